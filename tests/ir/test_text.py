"""The text form of graphs, of ops and of primitives, parses back to the same graph."""

import numpy as np
import pytest

from netdsl.ir import TensorType, format_graph
from netdsl.ir.parse import parse_graph
from netdsl.ops import LIBRARY, OPS
from netdsl.ops.expand import expand
from netdsl.primitives import LEAVES, PRIMITIVES, Const, Input, Param, PrimitiveBuilder
from tests.ops.test_conformance import build
from tests.random_graphs import random_graph

PRIMITIVE_OPS = {op.name: op for op in (*LEAVES, *PRIMITIVES)}
GOOD = [s for op in LIBRARY for s in op.samples() if s.error is None]


def same(a, b):
    assert list(a) == list(b)
    assert (a.outputs, a.updates, a.aux) == (b.outputs, b.updates, b.aux)


@pytest.mark.parametrize("sample", GOOD, ids=str)
def test_every_op(sample):
    graph, _ = build(sample)
    same(parse_graph(format_graph(graph), OPS), graph)
    primitives = expand(graph, sample.training)
    same(parse_graph(format_graph(primitives), PRIMITIVE_OPS), primitives)


@pytest.mark.parametrize("seed", range(4))
def test_training_steps(seed):
    graph = random_graph(seed, training=True)
    same(parse_graph(str(graph), PRIMITIVE_OPS), graph)


GOLDEN = """graph {
  %x = input{type=f32[2,3]}() : f32[2,3]
  %fc.weight = param{type=f32[3], init="a\\"\\\\b", decay=false}() : f32[3]
  %reduce = reduce{kind="sum", expr=`x0 * x1`, axes=(0, 1)}(%x, %fc.weight) : f32[]
  return loss=%reduce
  aux loss
  update %fc.weight=%fc.weight
}"""


def test_golden():
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((2, 3))), name="x")
    w = b.add1(Param(TensorType((3,)), init='a"\\b', decay=False), name="fc.weight")
    loss = b.reduce("sum", lambda v, u: v * u, x, w, axes=(0, 1))
    b.update(w, w)
    graph = b.finish({"loss": loss}, aux=["loss"])
    assert format_graph(graph) == GOLDEN
    same(parse_graph(GOLDEN, PRIMITIVE_OPS), graph)


@pytest.mark.parametrize(
    "array",
    [
        np.float32([[1.5, -0.0], [np.inf, np.nan]]),
        np.arange(3),
        np.array([True, False]),
        2.5,
        -3,
        True,
        1e-30,
    ],
)
def test_constants(array):
    b = PrimitiveBuilder()
    c = b.add1(Const(array), name="c")
    graph = b.finish({"c": c})
    again = parse_graph(format_graph(graph), PRIMITIVE_OPS)
    assert again["c"].op == graph["c"].op and again["c"].types == graph["c"].types


X = "%x = input{type=f32[2]}() : f32[2]\n"


@pytest.mark.parametrize(
    "body, message",
    [
        ("%x = magic() : f32[2]", "line 2: no op is called magic"),
        ("%x = input{typ=f32[2]}() : f32[2]", "line 2: .* unexpected keyword argument 'typ'"),
        ("%x = input() : f32[2]", "line 2: .* missing 1 required"),
        ("%x = input{type=3}() : f32[2]", "line 2: "),
        (X + "%x = input{type=f32[2]}() : f32[2]", "line 3: %x is there already"),
        ("%x = input{type=f32[2]}() : f32[3]", r"the text says f32\[3\], the rule f32\[2\]"),
        (X + "%y = map{exprs=(`x0`,)}(%z) : f32[2]", "line 3: %z is not defined before"),
        (X + "%y = map{exprs=(`x0`,)}(%x:1) : f32[2]", "line 3: %x:1 is not defined before"),
        (X + "%y = map{exprs=(`x0 *`,)}(%x) : f32[2]", "line 3: expected an operand"),
        (X + "%y = map{exprs=3}(%x) : f32[2]", "line 3: "),
        (X + '%y = reduce{kind="sum", expr=`x0`, axes=(1,)}(%x) : f32[]', "line 3: axes"),
        (X + "%y = reshape{shape=(-2, -1)}(%x) : f32[2]", "line 3: cannot reshape"),
        ('%x = const{value=array("float32", (2,), "AAAA")}() : f32[2]', "does not match its 3 bytes"),
        ('%x = const{value=array("object", (2,), "AAAA")}() : f32[2]', "array of object"),
        ("%x == 3", "line 2, column 5"),
    ],
)
def test_broken_text_is_refused(body, message):
    with pytest.raises(ValueError, match=message):
        parse_graph(f"graph {{\n{body}\nreturn y=%x\n}}", PRIMITIVE_OPS)
