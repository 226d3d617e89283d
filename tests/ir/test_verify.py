"""The verifier finds what a faulty pass could do to a graph."""

from dataclasses import replace

import pytest

from netdsl.ir import Graph, TensorType, Value, VerifyError, verify
from netdsl.ops import BY_NAME
from netdsl.primitives import Input, PrimitiveBuilder, State


def small():
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((2, 3))), name="x")
    s = b.add1(State(TensorType((2, 3))), name="s")
    y = b.add1(BY_NAME["relu"](), x, name="y")
    b.update(s, y)
    return b.finish({"out": y})


def nodes(*order, **changes):
    found = {n.id: n for n in small()}
    return [replace(found[name], **changes.get(name, {})) for name in order]


BROKEN = [
    (nodes("y", "x", "s"), {"out": Value("y")}, {}, "y reads %x, which is not defined before it"),
    (nodes("x", "s"), {"out": Value("y")}, {}, "output out reads %y, which is not defined"),
    (nodes("x", "y", y={"inputs": (Value("x", 1),)}), {}, {}, "y reads %x:1: there is no such result"),
    (
        nodes("x", "y", y={"types": (TensorType((3, 2)),)}),
        {},
        {},
        r"y: has f32\[3,2\], its rule says f32\[2,3\]",
    ),
    (nodes("x", "y"), {}, {"x": Value("y")}, "update of x, which is not a param or state"),
    (nodes("x", "y"), {}, {"s": Value("y")}, "update of s, which is not a param or state"),
    (nodes("s"), {}, {"s": Value("y")}, "the update of s reads %y"),
]


def test_sound_graph_passes():
    graph = small()
    assert verify(graph) is graph


@pytest.mark.parametrize("broken, outputs, updates, message", BROKEN)
def test_broken_graphs_are_found(broken, outputs, updates, message):
    with pytest.raises(VerifyError, match=message):
        verify(Graph(broken, outputs, updates))


def test_update_of_another_type():
    b = PrimitiveBuilder(small())
    z = b.add1(Input(TensorType((3,))), name="z")
    with pytest.raises(VerifyError, match=r"s is f32\[2,3\], its update f32\[3\]"):
        verify(Graph(b.nodes.values(), {}, {"s": z}))


def test_known_nodes_are_checked_again_when_their_operands_changed():
    before = small()
    changed = [
        replace(n, op=Input(TensorType((5,))), types=(TensorType((5,)),)) if n.id == "x" else n
        for n in before
    ]
    with pytest.raises(VerifyError, match="y: has"):
        verify(Graph(changed, before.outputs), before)
