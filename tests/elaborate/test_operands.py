"""Operators on tensors, and numbers as operands, against NumPy."""

import numpy as np
import pytest

from netdsl.elaborate import elaborate
from netdsl.ir import interpret
from netdsl.ops.expand import expand
from netdsl.source import NetError, Source

X = np.array([[-2.0, 0.0, 0.5, 3.0]])


def network(expression, more=""):
    return elaborate(Source("net.net", f"net N {{ input x: [4]\n output y = {expression} }}\n{more}"))


def value(expression):
    return interpret(expand(network(expression).graph), {"x": X}, np.float64).outputs["y"]


@pytest.mark.parametrize(
    "expression, expected",
    [
        ("x > 0", X > 0),
        ("x >= 0.5", X >= 0.5),
        ("0 < x", X > 0),
        ("x <= -x", X <= 0),
        ("x == 3", X == 3),
        ("x != 3", X != 3),
        ("where(x > 0, x, 0.1 * x)", np.where(X > 0, X, 0.1 * X)),
        ("where(x > 0, 1, -1)", np.where(X > 0, 1, -1)),
        ("where(x == 0, 0, 1 / x)", [[-0.5, 0, 2, 1 / 3]]),
        ("(x > 0, x, -x) -> where", np.abs(X)),
        ("[x, -x, x] -> add", X),
        ("sub(1, x)", 1 - X),
        ("x -> sub(1)", X - 1),
        ("add(1, x, 2)", X + 3),
        ("x -> less(1)", X < 1),
    ],
)
def test_value(expression, expected):
    np.testing.assert_allclose(value(expression), expected)


@pytest.mark.parametrize(
    "expression, message",
    [
        ('x > "a"', '> takes tensors and numbers, not "a"'),
        ("where(x, x, 0)", r"where takes a condition, not numbers \[4\]"),
        ("where(x > 0, x)", "where takes 3 tensors, not 2"),
        ("(x > 0) * x", r"mul takes numbers, not conditions \[4\]"),
        ("relu(x) if x > 0 else x", "if is computed while compiling"),
        ("x * 1e39", "a tensor holds numbers up to 3.40e"),
        ("add(x, 10 ** 60)", "a tensor holds numbers up to 3.40e"),
        ("concat(x, 1)", "concat takes no settings without a name"),
        ("x -> dense(3, size = 1)", "its settings are units, bias, init, bias_init"),
    ],
)
def test_what_is_no_operand(expression, message):
    with pytest.raises(NetError, match=message):
        network(expression)


def test_a_claim_is_about_settings():
    with pytest.raises(NetError, match="cannot depend on a tensor's values"):
        network("x + 1", "expect { y == 3 }")


def test_what_is_not_needed_has_no_name():
    text = "net N { input x: [4]\n _, y, _, _ = x -> split(4)\n output z = y }"
    graph = elaborate(Source("net.net", text)).graph
    np.testing.assert_array_equal(interpret(expand(graph), {"x": X}, np.float64).outputs["z"], X[:, 1:2])


def test_several_outputs_at_once():
    text = "net N { input x: [4]\n output a, _, c, _ = x -> split(4)\n aux d, e = (c, a * 2) }"
    graph = elaborate(Source("net.net", text)).graph
    assert list(graph.outputs) == ["a", "c", "d", "e"] and set(graph.aux) == {"d", "e"}
    found = interpret(expand(graph), {"x": X}, np.float64).outputs
    expected = {"a": X[:, :1], "c": X[:, 2:3], "d": X[:, 2:3], "e": 2 * X[:, :1]}
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_an_indexed_name_feeds_all_that_was_assigned():
    text = "net N { input x: [4]\n for i in 0..3 { z[i] = i * x }\n output y = z -> concat }"
    graph = elaborate(Source("net.net", text)).graph
    got = interpret(expand(graph), {"x": X}, np.float64).outputs["y"]
    np.testing.assert_array_equal(got, np.concatenate([0 * X, X, 2 * X], 1))


@pytest.mark.parametrize(
    "head, found", [("[x, 3]", "3"), ("[]", "a list"), ("(x, relu)", "the function relu")]
)
def test_what_is_fed_are_tensors(head, found):
    with pytest.raises(NetError, match=f"-> takes a tensor, not {found}"):
        network(f"{head} -> concat")


def test_an_indexed_name_is_a_value():
    body = "a[0] = x\n b = a\n a[0] = 2 * x\n a[1] = 3 * x\n output y = b -> concat\n output z = a -> concat"
    text = f"net N {{ input x: [4]\n {body} }}"
    graph = elaborate(Source("net.net", text)).graph
    found = interpret(expand(graph), {"x": X}, np.float64).outputs
    assert np.array_equal(found["y"], X)
    assert np.array_equal(found["z"], np.concatenate([2 * X, 3 * X], -1))


@pytest.mark.parametrize("body", ["[in, -in, in]", "x[0] = in\n x[1] = -in\n x[2] = in\n x", "(in, -in, in)"])
def test_a_block_gives_one_tensor_or_several(body):
    assert network("x -> Several -> add", f"block Several {{ {body} }}").graph.outputs
    with pytest.raises(NetError, match="the block Several gives 3, not a tensor"):
        network("x -> Several -> add", "block Several { 3 }")


@pytest.mark.parametrize(
    "joined",
    [
        "concat(c, d -> upsample(2))",
        "concat(d -> upsample(2), c)",
        "(c, d -> upsample(2)) -> concat",
        "(d -> upsample(2), c) -> add",
        "c -> concat { | max_pool(2) -> upsample(2) | identity }",
        "c -> concat { | identity | max_pool(2) -> upsample(2) }",
        "c + (d -> upsample(2))",
        "(d -> upsample(2)) + c",
    ],
)
def test_a_size_that_halving_and_doubling_changes_is_explained_in_every_order(joined):
    body = f"c = x -> max_pool(2)\n d = c -> max_pool(2)\n output y = {joined}"
    with pytest.raises(NetError) as error:
        elaborate(Source("net.net", f"net N {{ input x: [30, 30, 4]\n {body} }}"))
    (problem,) = error.value.diagnostics
    said = "15 is odd: halved and doubled again it is 14, at 1/2 of the input"
    assert problem.fix == f"{said}; inputs whose sizes divide by 4 fit, such as 32"
