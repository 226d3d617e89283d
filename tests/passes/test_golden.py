"""Each file of `golden/`: a pass, a graph, the graph after the pass, and what the pass says it did."""

from pathlib import Path

import numpy as np
import pytest

from netdsl.ir import format_graph, interpret, verify
from netdsl.ir.parse import parse_graph
from netdsl.passes import PASSES, Log
from netdsl.passes.check import random_feeds
from netdsl.primitives import LEAVES, PRIMITIVES

HERE = Path(__file__).parent / "golden"
OPS = {op.name: op for op in (*LEAVES, *PRIMITIVES)}
BY_NAME = {p.name: p for p in PASSES}
RULE = "---\n"


@pytest.mark.parametrize("path", sorted(HERE.glob("*.ir")), ids=lambda p: p.stem)
def test_golden(path, golden):
    given = path.read_text(encoding="utf-8").split(RULE)[0]
    name = given.splitlines()[0].removeprefix("# ")
    before, log = parse_graph(given, OPS), Log()
    after = verify(BY_NAME[name]().run(before, log))
    golden(path, RULE.join([given, format_graph(after) + "\n", "".join(f"{e}\n" for e in log.events)]))
    assert parse_graph(format_graph(after), OPS).outputs == after.outputs
    feeds = random_feeds(before)
    old, new = interpret(before, feeds), interpret(after, feeds)
    for key, value in new.outputs.items():
        np.testing.assert_allclose(value, old.outputs[key], rtol=1e-5, atol=1e-6)
    for key, value in new.updates.items():
        np.testing.assert_allclose(value, old.updates[key], rtol=1e-5, atol=1e-6)


def test_every_pass_has_a_golden_file():
    assert {p.stem for p in HERE.glob("*.ir")} >= set(BY_NAME)
