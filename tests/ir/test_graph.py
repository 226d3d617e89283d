"""The graph and its NetworkX view; the builder."""

from dataclasses import replace

import networkx as nx
import pytest

from netdsl.ir import Node, Scope, ShapeError, TensorType, Value, broadcast_shapes
from netdsl.ir.graph import RESULTS
from netdsl.ir.types import source_axes
from netdsl.ops.dense import Dense
from netdsl.ops.merge import Add
from netdsl.primitives import Input, Map, Param, PrimitiveBuilder, State
from netdsl.scalar import Arg
from netdsl.source import Source, Span


def twice():
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((2, 3))), name="x")
    y = b.add1(Add(), x, x, name="y")
    return b, b.finish({"out": y})


def test_the_networkx_view():
    _, graph = twice()
    assert sorted(graph.nx.edges) == [("x", "y"), ("y", RESULTS)]
    assert nx.ancestors(graph.nx, RESULTS) == {"x", "y"}
    with pytest.raises(nx.NetworkXError, match="Frozen"):
        graph.nx.add_edge("y", "x")


def test_sorted_puts_a_late_operand_directly_before_its_first_reader():
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((2,))), name="x")
    for name in ("a", "b", "c", "late"):
        b.add1(Map((Arg(0) + 1.0,)), x, name=name)
    b.nodes["b"] = replace(b.nodes["b"], inputs=(Value("late"),))
    graph = b.finish({"y": Value("c")})
    assert [n.id for n in graph.sorted()] == ["x", "a", "late", "b", "c"]
    assert (again := graph.sorted()).sorted() is again
    b.nodes["late"] = replace(b.nodes["late"], inputs=(Value("b"),))
    with pytest.raises(ValueError, match=r"(late|b) depends on itself"):
        b.finish({"y": Value("c")}).sorted()


def test_users_and_results():
    _, graph = twice()
    assert [(n.id, k) for n, k in graph.users(Value("x"))] == [("y", 0), ("y", 1)]
    assert graph.users(Value("y")) == ()
    assert graph.is_result(Value("y")) and not graph.is_result(Value("x"))
    assert len(graph) == 2 and "x" in graph and [n.id for n in graph.leaves("input")] == ["x"]


def test_graph_is_immutable():
    _, graph = twice()
    with pytest.raises(TypeError):
        graph.outputs["more"] = Value("x")
    with pytest.raises(AttributeError):
        graph["x"].id = "z"


def test_updates_are_results():
    b, _ = twice()
    state = b.add1(State(TensorType((2, 3))), name="s")
    b.update(state, Value("y"))
    graph = b.finish({})
    assert graph.is_result(Value("y")) and graph.updates == {"s": Value("y")}


def test_fresh_names_count_up():
    b, _ = twice()
    names = [b.add1(Add(), Value("x"), name="y").node for _ in range(3)]
    assert names == ["y_1", "y_2", "y_3"]


def test_builder_refuses_what_does_not_fit():
    b, _ = twice()
    w = b.add1(Param(TensorType((4, 3))), name="w")
    with pytest.raises(ShapeError) as caught:
        b.add(Add(), Value("x"), w)
    assert caught.value.operand == 1 and list(b.nodes) == ["x", "y", "w"]


def test_within_names_and_points_back():
    b, _ = twice()
    span = Span(Source("a.net", "y = x"), 0, 1)
    origin = Node("head.fc", Dense(3), (), (), span)
    with b.within(origin):
        inner = b.nodes[b.add1(Add(), Value("x")).node]
    assert (inner.id, inner.span, inner.origin) == ("head.fc.add", span, ("head.fc",))
    with b.within(inner, "grad/head.fc"):
        deeper = b.nodes[b.add1(Add(), Value("x")).node]
    assert (deeper.id, deeper.origin) == ("grad/head.fc.add", ("head.fc",))
    assert b.nodes[b.add1(Add(), Value("x")).node].span is None


def test_scopes_and_aux_are_kept():
    b, _ = twice()
    graph = b.finish({"a": Value("x"), "b": Value("y")}, ["b"], {"block": Scope("Block", "Block()")})
    assert graph.aux == {"b"} and graph.scopes["block"].text == "Block()"
    assert graph.with_outputs({"a": Value("x")}).aux == frozenset()


def test_types():
    t = TensorType((2**20, 2**20), "i64")
    assert (t.size, t.nbytes, t.rank, str(t)) == (2**40, 2**43, 2, "i64[1048576,1048576]")
    assert broadcast_shapes((3, 1), (4,), ()) == (3, 4)
    with pytest.raises(ValueError, match="do not broadcast"):
        broadcast_shapes((3,), (4,))
    assert source_axes((1, 4), (2, 3, 4)) == (0, 1)
    assert source_axes((1,), (1,)) == ()
