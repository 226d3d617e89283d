"""What building an expression simplifies, and the types of scalars."""

import numpy as np
import pytest

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
    logical_and,
    logical_not,
    maximum,
    power,
    size,
    substitute,
    where,
)

X, Y = Arg(0), Arg(1)


@pytest.mark.parametrize(
    "built, simple",
    [
        (X + 0.0, X),
        (0 + X, X),
        (X - 0.0, X),
        (0.0 - X, Unary("neg", X)),
        (X * 1.0, X),
        (X * 0.0, Lit(0.0)),
        (X * -1.0, Unary("neg", X)),
        (X / 1.0, X),
        (-Unary("neg", X), X),
        (X + -Y, Binary("sub", X, Y)),
        (Lit(2.0) * 3.0 + 1.0, Lit(7.0)),
        (Lit(1.0) / 0.0, Binary("div", Lit(1.0), Lit(0.0))),
        (power(X, 0), Lit(1.0)),
        (power(X, 2), Binary("mul", X, X)),
        (where(Lit(True), X, Y), X),
        (where(X > Y, X, X), X),
        (Where(X > 0.0, Y, Lit(0.0)) * X, Where(X > 0.0, Binary("mul", X, Y), Lit(0.0))),
    ],
)
def test_simplified(built, simple):
    assert built == simple


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


def test_size_counts_shared_parts_once():
    shared = exp(X)
    assert size(shared * shared + 1.0) == 3
    assert size(X) == 0


def test_substitute_keeps_sharing():
    shared = exp(X)
    new = substitute(shared + shared, lambda x: Y if x == X else None)
    assert new == exp(Y) + exp(Y) and new.a is new.b


def test_coordinates_and_integers():
    e = where(eq(Index(1), Arg(0)), 1.0, 0.0)
    np.testing.assert_array_equal(evaluate(e, [np.array([[2], [0]])], (2, 3)), [[0, 0, 1], [1, 0, 0]])
    big = np.array([2**40 + 1])
    assert evaluate(X * 2, [big], (1,))[0] == 2 * (2**40 + 1)
