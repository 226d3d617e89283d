"""Each file of `golden/`: a pass, perhaps with options, a graph, the graph after it, and what the pass says it did.

Every reason that a pass can give for a refusal is in one of them.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from netdsl.ir import format_graph, interpret, verify
from netdsl.ir.parse import parse_graph
from netdsl.passes import PASSES, Log
from netdsl.passes.check import random_feeds
from netdsl.passes.limits import Limits
from netdsl.primitives import LEAVES, PRIMITIVES
from tests.passes.reasons import reasons

HERE = Path(__file__).parent / "golden"
OPS = {op.name: op for op in (*LEAVES, *PRIMITIVES)}
BY_NAME = {p.name: p for p in PASSES}
RULE = "---\n"


@pytest.mark.filterwarnings("ignore:(?s).*is left out")
@pytest.mark.parametrize("path", sorted(HERE.glob("*.ir")), ids=lambda p: p.stem)
def test_golden(path, golden):
    given = path.read_text(encoding="utf-8").split(RULE)[0]
    name, options = re.match(r"# (\w+)(?:\{(.*)\})?\n", given).groups("")
    chosen = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", options)}
    chosen |= re.findall(r"(precision)=(\w+)", options)
    before, log = parse_graph(given, OPS), Log()
    limits = {key: chosen.pop(key) for key in ("max_size", "max_operands", "gpus", "index") if key in chosen}
    if limits:
        chosen["limits"] = Limits(**limits)
    after = verify(BY_NAME[name](**chosen).run(before, log))
    golden(path, RULE.join([given, format_graph(after) + "\n", "".join(f"{e}\n" for e in log.events)]))
    assert parse_graph(format_graph(after), OPS).outputs == after.outputs
    tolerance = 1e-5 if BY_NAME[name].keeps_values else 2e-2
    feeds = random_feeds(before)
    old, new = interpret(before, feeds), interpret(after, feeds)
    for key, value in new.outputs.items():
        np.testing.assert_allclose(value, old.outputs[key], rtol=tolerance, atol=tolerance)
    for key, value in new.updates.items():
        np.testing.assert_allclose(value, old.updates[key], rtol=tolerance, atol=tolerance)


def test_every_pass_has_a_golden_file():
    assert {p.stem for p in HERE.glob("*.ir")} >= set(BY_NAME)


@pytest.mark.parametrize("pass_", PASSES, ids=lambda p: p.name)
def test_every_reason_of_a_refusal_is_in_a_golden_file(pass_):
    lines = [line for path in HERE.glob("*.ir") for line in path.read_text("utf-8").splitlines()]
    refused = [found[1] for line in lines if (found := re.match(f"{pass_.name} refused .+?: (.*)", line))]
    missing = [text for text, reason in reasons(pass_).items() if not any(map(reason.fullmatch, refused))]
    assert not missing
