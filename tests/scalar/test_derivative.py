"""Every scalar function's symbolic derivative against finite differences in float64."""

import math

import numpy as np
import pytest

from netdsl.scalar import (
    Arg,
    Binary,
    Lit,
    Unary,
    absolute,
    derivative,
    evaluate,
    exp,
    log1p,
    maximum,
    minimum,
    partial,
    power,
    sigmoid,
    sqrt,
    stationary,
    stop_gradient,
    tanh,
    where,
)
from netdsl.scalar.operators import ARITHMETIC, COMPARE, FIXED, UNARY

X, Y = Arg(0), Arg(1)
#: points where no function has a kink or a jump, all in the domain of log and sqrt
POINTS = np.array([0.21, 0.74, 1.37, 2.63])
OTHERS = np.array([1.41, 0.33, 2.2, 0.58])
SMOOTH = sorted(set(UNARY) - {"not", "int", *FIXED})


def value(e, x, y=OTHERS):
    return evaluate(e, [np.asarray(x, float), np.asarray(y, float)], np.shape(x), np.float64)


def slope(e, arg, step=1e-6):
    moved = [(POINTS + h, OTHERS) if arg == 0 else (POINTS, OTHERS + h) for h in (step, -step)]
    return (value(e, *moved[0]) - value(e, *moved[1])) / (2 * step)


@pytest.mark.parametrize("op", SMOOTH)
def test_unary(op):
    e = Unary(op, X * 1.5 - 0.1)
    np.testing.assert_allclose(value(partial(e, 0), POINTS), slope(e, 0), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("op", sorted(set(ARITHMETIC) - {"floordiv"}))
@pytest.mark.parametrize("arg", [0, 1])
def test_binary(op, arg):
    e = Binary(op, X + 0.05, Y)
    np.testing.assert_allclose(value(partial(e, arg), POINTS), slope(e, arg), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("op", [*COMPARE, "floordiv"])
def test_what_jumps_is_flat(op):
    assert partial(Binary(op, X, Y), 0) == Lit(0.0)


@pytest.mark.parametrize("e", [exp(X * Y), tanh(X / Y), sigmoid(X - Y), sqrt(X * Y), maximum(X * Y, 0.5)])
def test_by_the_result(e):
    for arg in (0, 1):
        by_result = derivative(e, arg, Arg(2))
        got = evaluate(by_result, [POINTS, OTHERS, value(e, POINTS)], POINTS.shape, np.float64)
        np.testing.assert_allclose(got, value(partial(e, arg), POINTS), rtol=1e-12)


def test_branches_and_shared_parts():
    inner = X * Y
    e = where(X > 1.0, inner * inner, power(inner, 3.0)) + minimum(inner, X)
    np.testing.assert_allclose(value(partial(e, 0), POINTS), slope(e, 0), rtol=1e-6)


def at(e, x, y=1.0):
    return float(value(e, np.array([x]), np.array([y]))[0])


def test_conventions_at_kinks():
    assert at(partial(maximum(X, 0.0), 0), 0.0) == 0.0
    assert at(partial(absolute(X), 0), 0.0) == 0.0
    # Equal operands share the gradient, as in PyTorch.
    assert at(partial(maximum(X, Y), 0), 1.0) == at(partial(minimum(X, Y), 1), 1.0) == 0.5


def test_stop_gradient_cuts():
    assert partial(stop_gradient(X) * X, 0) == stop_gradient(X)


def test_stationary_is_fixed_for_one_derivative():
    assert partial(stationary(X) * X, 0) == X
    assert partial(partial(stationary(X) * X, 0), 0) == Lit(1.0)


def curvature(e, a, b, step=1e-4):
    total = 0
    for s, t in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        moved = [POINTS, OTHERS]
        moved[a] = moved[a] + s * step
        moved[b] = moved[b] + t * step
        total = total + s * t * value(e, *moved)
    return total / (4 * step * step)


@pytest.mark.parametrize("op", SMOOTH)
def test_second_derivative_of_unary(op):
    e = Unary(op, X * 1.5 - 0.1)
    np.testing.assert_allclose(value(partial(partial(e, 0), 0), POINTS), curvature(e, 0, 0), 1e-5, 1e-6)


@pytest.mark.parametrize("op", sorted(set(ARITHMETIC) - {"floordiv"}))
@pytest.mark.parametrize("args", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_second_derivative_of_binary(op, args):
    e = Binary(op, X + 0.05, Y)
    found = value(partial(partial(e, args[0]), args[1]), POINTS)
    np.testing.assert_allclose(found, curvature(e, *args), 1e-5, 1e-6)


def test_derivatives_stay_small():
    assert partial(X + Y, 0) == Lit(1.0)
    assert partial(3.0 * X, 0) == Lit(3.0)
    assert partial(log1p(Y), 0) == Lit(0.0)
    assert math.isclose(at(partial(log1p(X), 0), 1.0), 0.5)
