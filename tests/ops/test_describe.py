"""The documentation of ops as data, the generated table, and the page on adding one."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from netdsl.elaborate import elaborate
from netdsl.ir.settings import INITIALIZERS, initializer
from netdsl.ops import BY_NAME, LIBRARY, OPS, PLACES
from netdsl.ops.conv import Conv
from netdsl.ops.describe import describe, describe_initializers, render_list, render_markdown, render_one
from netdsl.source import Source
from netdsl.train.data_settings import data_plan
from netdsl.train.settings import train_settings
from netdsl.train.vocabulary import vocabulary

DOCS = Path(__file__).parents[2] / "docs"


def test_settings_in_the_order_they_are_written():
    doc = describe(Conv)
    assert doc.signature().startswith("conv(channels, kernel, stride = 1, pad = valid, ")
    assert [s.name for s in doc.settings if s.positional] == ["channels", "kernel"]
    assert [s.name for s in doc.settings if s.default is None] == ["channels", "kernel"]
    assert doc.family == "convolution" and "weight" in doc.weights
    assert "bias" in render_one(doc) and json.dumps(doc.to_json())


@pytest.mark.parametrize("op", LIBRARY, ids=lambda op: op.name)
def test_every_setting_is_documented(op):
    doc = describe(op)
    assert doc.summary.endswith(".") or doc.summary[-1] in ".`]", doc.summary
    assert all(s.doc for s in doc.settings)
    assert set(op.positional) <= {s.name for s in doc.settings}


def test_list_has_every_op():
    lines = render_list([describe(op) for op in LIBRARY]).splitlines()
    assert [line.split()[0] for line in lines] == [op.name for op in LIBRARY]
    assert len({op.name for op in LIBRARY}) == len(LIBRARY)


def test_table_in_the_docs(golden):
    golden(DOCS / "ops.md", render_markdown([*(describe(op) for op in LIBRARY), *vocabulary()]))


def test_every_initializer_has_a_page():
    pages = {doc.name: doc for doc in describe_initializers()}
    assert {*pages} == {*INITIALIZERS, "constant", "normal"}
    for name, doc in pages.items():
        assert (
            initializer(f"{name}(0.5)" if doc.settings else name) and doc.summary and doc.text != doc.summary
        )
        assert ("2 / fan_in" in doc.text or "2 / (fan_in + fan_out)" in doc.text) == ("_" in name)


@pytest.mark.parametrize("doc", vocabulary(), ids=lambda doc: f"{doc.family}: {doc.name}")
def test_what_a_page_shows_is_right_in_a_file(doc):
    layer, setting = (doc.use, "") if doc.family == "initialisers" else ("conv(8, 3)", doc.use)
    text = f"net N {{ input x: [8, 8, 1]\n output y = x -> {layer} -> flatten -> dense(10) }}\n"
    if setting.startswith("data") and " train " not in setting:
        setting = setting.replace("{", "{ train = digits.train;")
    if setting.startswith("train"):
        setting = setting.replace("{", "{ loss = cross_entropy(y, label);")
    network = elaborate(Source("a.net", text + setting))
    if setting.startswith("train"):
        train_settings(network)
    if setting.startswith("data"):
        data_plan(network, 0)


def test_example_of_the_page_is_the_real_op():
    page = (DOCS / "add-an-op.md").read_text(encoding="utf-8")
    block, *_ = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert block in (DOCS.parent / "netdsl/ops/activation.py").read_text(encoding="utf-8")


def test_every_op_is_where_the_library_says():
    for name, (module, kind) in PLACES.items():
        op = BY_NAME[name]
        assert (op.name, op.__module__) == (name, f"netdsl.ops.{module}")
        assert op.__name__ == (name.title().replace("_", "") if kind.isupper() else kind)
        assert BY_NAME[name] is op
    assert list(BY_NAME) == [op.name for op in LIBRARY]
    assert "no_such_op" not in BY_NAME and "no_such_op" not in OPS and "input" in OPS


def test_a_report_imports_the_ops_of_its_network_alone():
    text = "import sys, netdsl.elaborate; print([m for m in sys.modules if m.startswith('netdsl.ops.')])"
    shown = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
    assert "netdsl.ops.base" in shown and "netdsl.ops.learnt_activation" not in shown
