"""What building an expression simplifies, and the types of scalars."""

import math

import numpy as np
import pytest

from netdsl.passes.expressions import simplified
from netdsl.scalar import (
    Arg,
    Binary,
    Index,
    Lit,
    Unary,
    Where,
    cast_float,
    cast_int,
    dtype_of,
    eq,
    evaluate,
    exp,
    format_expr,
    logical_and,
    logical_not,
    maximum,
    power,
    product,
    substitute,
    total,
    walk,
    where,
)
from netdsl.scalar.algebra import difference, quotient

X, Y = Arg(0), Arg(1)


R = exp(X)  # is f32 whatever X is


@pytest.mark.parametrize(
    "built, simple",
    [
        (R + 0.0, R),
        (0 + R, R),
        (R - 0.0, R),
        (0.0 - R, Unary("neg", R)),
        (R * 1.0, R),
        (R * -1, Unary("neg", R)),
        (R / 1.0, R),
        (X * 1.0, Unary("float", X)),
        (0.0 + X, Unary("float", X)),
        (X / 1, Unary("float", X)),
        (X * 1, Binary("mul", X, Lit(1))),
        (X * 0, Binary("mul", X, Lit(0))),
        (X * 0.0, Binary("mul", X, Lit(0.0))),
        (0.0 / X, Binary("div", Lit(0.0), X)),
        (Index(0) + 0, Index(0)),
        (Index(0) * 1.0, Unary("float", Index(0))),
        (-Unary("neg", X), X),
        (X + -Y, Binary("sub", X, Y)),
        (Lit(2.0) * 3.0 + 1.0, Lit(7.0)),
        (Lit(2**62) * 4, Lit(0)),
        (-Lit(-(2**63)), Lit(-(2**63))),
        (-Lit(True), Unary("neg", Lit(True))),
        (Lit(1.0) / 0.0, Binary("div", Lit(1.0), Lit(0.0))),
        (power(R, 0), Lit(1.0)),
        (power(X, 0.0), Lit(1.0)),
        (power(X, 0), Binary("pow", X, Lit(0))),
        (power(X, 2), Binary("mul", X, X)),
        (power(X, 2.0), Binary("mul", Unary("float", X), Unary("float", X))),
        (where(Lit(True), R, 1.0), R),
        (where(Lit(True), X, 1.0), Where(Lit(True), X, Lit(1.0))),
        (where(X > Y, X, X), X),
        (Where(X > 0.0, Y, Lit(0.0)) * X, Binary("mul", Where(X > 0.0, Y, Lit(0.0)), X)),
    ],
)
def test_simplified(built, simple):
    assert built == simple


def test_the_algebra_of_derivatives_keeps_zeros():
    mask = Where(X > 0.0, Y, Lit(0.0))
    assert product(X, Lit(0.0)) == Lit(0.0) == quotient(Lit(0.0), X)
    assert product(mask, X) == Where(X > 0.0, Binary("mul", X, Y), Lit(0.0))
    assert quotient(mask, X) == Where(X > 0.0, Binary("div", Y, X), Lit(0.0))
    assert (product(X, Lit(1.0)), total(Lit(0.0), X), difference(X, Lit(0.0))) == (X, X, X)
    assert product(Lit(-1.0), X) == difference(Lit(0.0), X) == Unary("neg", X)


# No zeros, whose sign may change: 0.0 - x is -x.
OPERANDS = {
    "f32": np.array([1.5, -2.0, math.inf, -math.inf, math.nan, 1e-40, 0.25, -1.0]),
    "i64": np.array([3, 1, -1, 2, 7, -5, 2**40, -(2**62)]),
}


def trees(rng, depth):
    """The same random expression as it is written and as operators build it."""
    if depth == 0 or rng.random() < 0.2:
        leaf = [X, Y, *map(Lit, (0, 1, -1, 2, 0.0, 1.0, -1.0, 2.0, 0.5))][rng.integers(11)]
        return leaf, leaf
    (a, left), (b, right) = trees(rng, depth - 1), trees(rng, depth - 1)
    op = ("add", "sub", "mul", "div", "pow", "neg", "where")[rng.integers(7)]
    if op == "neg":
        return Unary("neg", a), -left
    if op == "where":
        return Where(a > b, a, b), where(Binary("gt", left, right), left, right)
    if op in ("pow", "div"):
        b = right = Lit(int(rng.integers(0, 3))) if op == "pow" else (X, Y, Lit(1), Lit(2.0))[rng.integers(4)]
    built = {"add": left + right, "sub": left - right, "mul": left * right, "div": left / right}
    return Binary(op, a, b), power(left, right) if op == "pow" else built[op]


@pytest.mark.parametrize("seed", range(40))
def test_what_is_folded_has_the_type_and_the_value_of_what_was_written(seed):
    rng = np.random.default_rng(seed)
    for _ in range(50):
        kinds = [("f32", "i64", "f32")[k] for k in rng.integers(0, 3, 2)]
        args = [rng.permutation(OPERANDS[k]) for k in kinds]
        written, built = trees(rng, 3)
        for short in (built, simplified(written, tuple(kinds)), simplified(built, tuple(kinds))):
            assert dtype_of(short, kinds) == dtype_of(written, kinds), format_expr(written)
            with np.errstate(all="ignore"):
                got, want = (evaluate(e, args, (8,), np.float64) for e in (short, written))
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-30, err_msg=format_expr(written))


def test_literals_know_their_type():
    assert Lit(1) != Lit(1.0) and Lit(True) != Lit(1) and Lit(0.0) != Lit(-0.0)
    assert Lit(float("nan")) == Lit(float("nan"))


def test_an_expression_is_not_a_truth():
    with pytest.raises(TypeError, match=r"use where\(\)"):
        bool(X > 0.0)


@pytest.mark.parametrize(
    "e, dtype",
    [
        (X + 1, "f32"),
        (Y + 1, "i64"),
        (Y + 1.0, "f32"),
        (Y / 2, "f32"),
        (Y // 2, "i64"),
        (X > Y, "bool"),
        (logical_and(X > 0.0, logical_not(eq(Y, 1))), "bool"),
        (where(X > 0.0, Y, 0.0), "f32"),
        (Index(0), "i64"),
        (cast_int(X), "i64"),
        (cast_float(X > 0.0), "f32"),
        (exp(Y), "f32"),
        (maximum(Y, 0), "i64"),
    ],
)
def test_types(e, dtype):
    assert dtype_of(e, ["f32", "i64"]) == dtype
    kind = {"f32": "f", "i64": "i", "bool": "b"}[dtype]
    assert evaluate(e, [np.ones(3, np.float32), np.arange(1, 4)], (3,)).dtype.kind == kind


@pytest.mark.parametrize("e", [Arg(2), Unary("erfc", X), Binary("hypot", X, Y)])
def test_nonsense_has_no_type(e):
    with pytest.raises(TypeError):
        dtype_of(e, ["f32", "i64"])


def test_a_walk_visits_shared_parts_once():
    shared = exp(X)
    product = shared * shared
    assert list(walk(product + 1.0)) == [X, shared, product, Lit(1.0), product + 1.0]


def test_substitute_keeps_sharing():
    shared = exp(X)
    new = substitute(shared + shared, lambda x: Y if x == X else None)
    assert new == exp(Y) + exp(Y) and new.a is new.b


def test_coordinates_and_integers():
    e = where(eq(Index(1), Arg(0)), 1.0, 0.0)
    np.testing.assert_array_equal(evaluate(e, [np.array([[2], [0]])], (2, 3)), [[0, 0, 1], [1, 0, 0]])
    big = np.array([2**40 + 1])
    assert evaluate(X * 2, [big], (1,))[0] == 2 * (2**40 + 1)
