"""From source to PTX: what is shared and what is kept."""

from __future__ import annotations

import re
from importlib import metadata

import pytest

from netdsl.cuda.kernels.map import plan_elementwise
from netdsl.ir import TensorType
from netdsl.primitives import Contract, Map
from netdsl.scalar import Arg, where
from netdsl.scalar.expr import Unary
from netdsl.schedule import View

pytest.importorskip("numba_cuda", reason="compiling for a GPU needs numba-cuda, which is not installed")
from netdsl.cuda import compiler
from netdsl.cuda.compiler import compile_ptx, lowered
from netdsl.cuda.contract.plan import plan_contract

CARD = (9, 0)


def source(expression):
    """The source of a map over one operand."""
    views = [View.dense(k, TensorType((2, 50), "f32")) for k in range(2)]
    (launch,) = plan_elementwise(Map([expression]), views[:1], views[1:])
    return launch.source


def test_texts_that_differ_in_their_tapes_go_through_numba_once(monkeypatch, tmp_path):
    """One entry for the text, one for each kernel; nothing of a tape is left as a function."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    sources = [source(Unary("exp", Arg(0))), source(where(Arg(0) > 0, Arg(0), Arg(0) * 0.25))]
    assert len({s.text for s in sources}) == 1
    texts = [compile_ptx(s, CARD) for s in sources]
    assert "ex2.approx" in texts[0] and "ex2" not in texts[1]
    assert not any(word in text for text in texts for word in (".func", "call", ".f64", ".local"))
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 3
    assert [compile_ptx(s, CARD) for s in sources] == texts


def test_the_ir_of_a_text_is_the_same_for_all_cards():
    """So that numba.cuda, which takes the most time, sees a text once; the names that it gives are its own."""
    views = [View.dense(k, TensorType(shape)) for k, shape in enumerate([(64, 32), (32, 64), (64, 64)])]
    multiplied = Contract("forward", precision="bf16")
    texts = [source(Unary("exp", Arg(0))), plan_contract(multiplied, views[:2], views[2:])[0].source]
    for text in texts:
        found = {NAMES.sub("", lowered(text, "key", card)) for card in ((7, 5), (8, 6), (9, 0), (12, 0))}
        assert len(found) == 1


NAMES = re.compile(r"_ZN\w+|_cudapy_smem_\d+|kernel\$\d+")


def test_a_toolkit_may_bring_the_compiler(monkeypatch):
    """Without its package the file that is found says which libnvvm it is."""
    found = metadata.version

    def version(name):
        if name == "nvidia-nvvm":
            raise metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(metadata, "version", version)
    assert "nvvm" in compiler._nvvm().split()[0]
