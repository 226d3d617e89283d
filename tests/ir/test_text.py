"""The text form of graphs, of ops and of primitives, parses back to the same graph."""

from dataclasses import replace

import numpy as np
import pytest

from netdsl.ir import TensorType, Value, format_graph
from netdsl.ir.literal import format_setting
from netdsl.ir.parse import _string, parse_graph
from netdsl.ops import LIBRARY, OPS
from netdsl.ops.expand import expand
from netdsl.primitives import LEAVES, PRIMITIVES, Const, Input, Param, PrimitiveBuilder
from netdsl.source import NetError
from tests.ops.samples import build
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
  %fc.weight = param{type=f32[3], init="ones", decay=false}() : f32[3]
  %reduce = reduce{kind="sum", expr=`x0 * x1`, axes=(0, 1)}(%x, %fc.weight) : f32[]
  return loss=%reduce
  aux loss
  update %fc.weight=%fc.weight
}"""


def test_golden():
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((2, 3))), name="x")
    w = b.add1(Param(TensorType((3,)), init="ones", decay=False), name="fc.weight")
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
    "body, line, column, message",
    [
        ("%x = magic() : f32[2]", 2, 1, "no op is called magic"),
        ("%x = input{typ=f32[2]}() : f32[2]", 2, 12, "input has no setting typ"),
        ("%x = input() : f32[2]", 2, 1, "input needs type"),
        ("%x = input{type=3}() : f32[2]", 2, 12, "type must be a type such as"),
        ("%x = input{type=f32[2], type=f32[2]}() : f32[2]", 2, 25, "input got type twice"),
        (X + "%x = input{type=f32[2]}() : f32[2]", 3, 1, "%x is there already"),
        ("%x = input{type=f32[2]}() : f32[3]", 2, 1, "the text says f32[3], the rule f32[2]"),
        (X + "%y = map{exprs=(`x0`,)}(%z) : f32[2]", 3, 1, "%z is not defined before"),
        (X + "%y = map{exprs=(`x0`,)}(%x:1) : f32[2]", 3, 1, "%x:1 is not defined before"),
        (X + "%y = map{exprs=(`x0 *`,)}(%x) : f32[2]", 3, 10, "expected an operand"),
        (X + "%y = map{exprs=3}(%x) : f32[2]", 3, 10, "exprs must be tuple[Expr, ...], not 3"),
        (X + '%y = reduce{kind="sum", expr=`x0`, axes=(1,)}(%x) : f32[]', 3, 1, "axes"),
        (X + '%y = reduce{kind="sum", expr=`x0`, axes=(true,)}(%x) : f32[]', 3, 36, "axes must be tuple[int"),
        (X + "%y = reshape{shape=(-2, -1)}(%x) : f32[2]", 3, 1, "cannot reshape"),
        ('%x = const{value=array("float32", (2,), "AAAA")}() : f32[2]', 2, 12, "does not match its 3 bytes"),
        ('%x = const{value=array("float32", (-1, -1), "AAAA")}() : f32[2]', 2, 12, "does not match its 3"),
        ('%x = const{value=array("float32", 1, "AAAA")}() : f32[2]', 2, 12, "does not match its 3 bytes"),
        (
            '%x = const{value=array("float32", (-1, -1), "AAAAAA==")}() : f32[2]',
            2,
            12,
            "not match its 4 bytes",
        ),
        (
            '%x = const{value=array("float32", (true,), "AAAAAA==")}() : f32[2]',
            2,
            12,
            "not match its 4 bytes",
        ),
        ('%x = const{value=array("object", (2,), "AAAA")}() : f32[2]', 2, 12, "array of object"),
        (f"%x = const{{value={10**400}}}() : i64[]", 2, 12, "must be an integer of 64 bits at most"),
        (f"%x = const{{value={'(' * 300}{')' * 300}}}() : i64[]", 2, 12, "nested deeper than 100"),
        ("%x == 3", 2, 5, "this is not how graphs are written"),
        ("%x = input{type=f32[99999999999]}() : f32[99999999999]", 2, 12, "at most 8_589_934_592 are"),
        ("%x = input{type=f32[1,1,1,1,1,1,1,1,1]}() : f32[1,1,1,1,1,1,1,1,1]", 2, 12, "rank 9; at most 8"),
    ],
)
def test_broken_text_is_refused(body, line, column, message):
    with pytest.raises(NetError) as caught:
        parse_graph(f"graph {{\n{body}\nreturn y=%x\n}}", PRIMITIVE_OPS, "m.safetensors")
    (found,) = caught.value.diagnostics
    assert message in found.message
    assert str(found.span) == f"m.safetensors:{line}:{column}"


X4 = "%x = input{type=f32[2,8,8,4]}() : f32[2,8,8,4]\n"
W = "%w = param{type=f32[3,3,4,6]}() : f32[3,3,4,6]\n"


@pytest.mark.parametrize(
    "body, message",
    [
        ("%y = conv{channels=6, kernel=3, bias=(1, 2)}(%x, %w)", "bias must be true or false, not (1, 2)"),
        ("%y = conv{channels=6, kernel=-1, bias=false}(%x, %w)", "kernel must be a positive integer"),
        ("%y = conv{channels=6, kernel=3, stride=0, bias=false}(%x, %w)", "stride must be a positive"),
        ("%y = conv{channels=6, kernel=65536, bias=false}(%x, %w)", "the weights of conv are f32[65536,655"),
        ("%y = conv{channels=6, kernel=3}(%x, %w)", "the weights of conv are f32[3,3,4,6], f32[6], not f32["),
        ("%y = conv{channels=6, kernel=3, bias=false}(%w, %x)", "the weights of conv are"),
        ("%y = conv{channels=6, kernel=3, bias=false}()", "conv takes 1 tensor, not 0"),
        ("%y = reshape{shape=(1, 77, -0.5, -4.0)}(%x)", "shape must be sizes, one of which may be -1"),
        ('%y = batch_norm{eps="x"}(%x)', "eps must be a number, not 'x'"),
        ("%y = relu{slope=3}(%x)", "relu has no setting slope"),
        ("%y = add(%x, %x, %w)", "add"),
        (f"%y = dense{{units={10**400}}}(%x, %w)", "units must be at most 8_589_934_592, not 1000"),
        (f"%y = lrn{{size={10**400}}}(%x)", "size must be at most 8_589_934_592, not 1000"),
        (f"%y = argmax{{axis=-{10**30}}}(%x)", "axis must be at most 9_223_372_036_854_775_807, not -1000"),
    ],
)
def test_the_checks_of_the_language_hold(body, message):
    """For the text of a graph as for that of a network."""
    with pytest.raises(NetError) as caught:
        parse_graph(f"graph {{\n{X4}{W}{body} : f32[2,6,6,6]\nreturn y=%y\n}}", OPS)
    (found,) = caught.value.diagnostics
    assert message in found.message and found.span.line == 4


@pytest.mark.parametrize(
    "end, message",
    [
        ("return y=%x, y=%x", "the output y is there already"),
        ("return y=%x aux z", "there is no output z"),
        ("return y=%x update %x=%x", "%x is neither a param nor a state"),
        ("return y=%x update %w=%x", "%w is f32[3,3,4,6], its update f32[2,8,8,4]"),
    ],
)
def test_results_are_checked(end, message):
    with pytest.raises(NetError) as caught:
        parse_graph(f"graph {{\n{X4}{W}{end}\n}}", OPS)
    assert message in caught.value.diagnostics[0].message


@pytest.mark.parametrize("text", ['a"b', "a\\", '\\"', '\\\\"x', "é"])
def test_any_string(text):
    b = PrimitiveBuilder()
    b.add1(replace(Param(TensorType((3,))), init=text), name="é1.Größe")
    graph = b.finish({"wörter": Value("é1.Größe")})
    assert format_graph(graph).count("é1.Größe") == 2
    with pytest.raises(NetError, match="init must be one of"):
        parse_graph(format_graph(graph), PRIMITIVE_OPS)
    assert _string(format_setting(text)) == text


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("", 1, 1), ("graph {\n%x = input{type=f32[2]}() : f32[2]", 2, 29)],
)
def test_a_text_that_breaks_off_is_said_at_its_last_word(text, line, column):
    with pytest.raises(NetError) as caught:
        parse_graph(text, PRIMITIVE_OPS)
    (found,) = caught.value.diagnostics
    assert found.message == "this is not how graphs are written"
    assert (found.span.line, found.span.column) == (line, column)


ONE_NODE = "graph {\n%x = input{type=f32[2]}() : f32[2]\nreturn y=%x\n}"


@pytest.mark.parametrize(
    ("limit", "largest", "message"),
    [
        ("MAX_GRAPH_TEXT", len(ONE_NODE), "characters"),
        ("MAX_NODES", 1, "the graph has more than 0 nodes"),
    ],
)
def test_limits_of_a_text(monkeypatch, limit, largest, message):
    monkeypatch.setattr(f"netdsl.ir.parse.{limit}", largest)
    assert [n.id for n in parse_graph(ONE_NODE, PRIMITIVE_OPS)] == ["x"]
    monkeypatch.setattr(f"netdsl.ir.parse.{limit}", largest - 1)
    with pytest.raises(NetError, match=message):
        parse_graph(ONE_NODE, PRIMITIVE_OPS)


@pytest.mark.parametrize(("value", "deep"), [("((()))", False), ("(((())))", True)])
def test_brackets_as_deep_as_the_limit(monkeypatch, value, deep):
    monkeypatch.setattr("netdsl.ir.parse.MAX_NESTING", 2)
    with pytest.raises(NetError) as caught:
        parse_graph(f"graph {{\n%x = const{{value={value}}}() : f32[]\nreturn y=%x\n}}", PRIMITIVE_OPS)
    assert ("nested deeper than 2" in caught.value.diagnostics[0].message) == deep
