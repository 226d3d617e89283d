"""Every scalar function as vector code against NumPy and math in float64."""

import math

import numpy as np
import pytest

from netdsl.primitives import Map
from netdsl.scalar import Arg, Binary, Index, Lit, Unary, Uniform, cast_float, cast_int, power, where
from tests.cpu.planned import Planned, run_primitive

SPECIAL = [0.0, -0.0, math.inf, -math.inf, math.nan, 1e-45, -1e-45, 1.17549435e-38, 3.4028235e38]
SPECIAL += [-3.4028235e38, 1.0, -1.0, 88.72283, 88.72284, -87.4, -103.97, -103.98, 0.625, 0.9375, 4.0, 2e-4]


def numbers(count=8000, seed=0):
    """f32 of every size, many ordinary ones, and the special ones."""
    rng = np.random.default_rng(seed)
    wide = np.exp2(rng.uniform(-149, 128, count)) * rng.choice([-1, 1], count)
    near = [rng.uniform(-s, s, count) for s in (0.1, 1, 10, 100)]
    return np.concatenate([wide, *near, 1 + rng.uniform(-0.01, 0.01, count), SPECIAL]).astype(np.float32)


def ulps(got, exact):
    """The error in units in the last place of the exact value; inf where a special value is wrong."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32)
        unit = np.spacing(np.abs(np.where(np.isfinite(rounded), rounded, 1))).astype(np.float64)
        error = np.abs(got.astype(np.float64) - exact) / unit
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    finite = np.isfinite(got) & np.isfinite(rounded)
    return np.where(same & ~finite, 0.0, np.where(finite, error, np.inf))


def _sigmoid(x):
    return np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))


EXACT = {
    "exp": (np.exp, 1.5),
    "expm1": (np.expm1, 1.5),
    "log": (np.log, 1.0),
    "log1p": (np.log1p, 1.0),
    "tanh": (np.tanh, 3.5),
    "sigmoid": (_sigmoid, 2.5),
    "erf": (np.vectorize(math.erf), 2.5),
    "sin": (np.sin, 0.51),
    "cos": (np.cos, 0.51),
    "sqrt": (np.sqrt, 0.5),
    "floor": (np.floor, 0),
    "ceil": (np.ceil, 0),
    "round": (np.rint, 0),
    "sign": (np.sign, 0),
    "abs": (np.abs, 0),
    "neg": (np.negative, 0),
}


@pytest.fixture(params=[4, 8, 16], autouse=True)
def _lanes(request, monkeypatch):
    monkeypatch.setenv("NETDSL_LANES", str(request.param))


@pytest.fixture(scope="module")
def wide_numbers():
    return numbers()


def test_functions_of_one_operand(wide_numbers):
    x = wide_numbers
    values = Planned(Map(tuple(Unary(name, Arg(0)) for name in EXACT)), [x]).run()
    with np.errstate(all="ignore"):
        for (name, (function, bound)), got in zip(EXACT.items(), values, strict=True):
            error = ulps(got, function(x.astype(np.float64)))
            worst = int(error.argmax())
            assert error[worst] <= bound, f"{name}({x[worst]!r}) = {got[worst]!r}: {error[worst]:.2f} ulp"


def test_odd_functions_keep_the_sign_of_zero():
    x = np.array([0.0, -0.0], np.float32)
    for name in ("expm1", "log1p", "tanh", "erf", "sin", "sqrt", "floor"):
        (got,) = Planned(Map((Unary(name, Arg(0)),)), [x]).run()
        np.testing.assert_array_equal(np.signbit(got), [False, True], err_msg=name)


def test_power(wide_numbers):
    x, y = wide_numbers, np.random.default_rng(1).permutation(wide_numbers)
    y[:8000] = np.random.default_rng(2).integers(-9, 10, 8000)
    y[8000:12000] = 0.5
    (got,) = Planned(Map((power(Arg(0), Arg(1)),)), [x, y]).run()
    with np.errstate(all="ignore"):
        error = ulps(got, np.power(x.astype(np.float64), y.astype(np.float64)))
    worst = int(error.argmax())
    assert error[worst] <= 0.51, (x[worst], y[worst], got[worst])


PAIRS = ("add", "sub", "mul", "div", "max", "min", "lt", "le", "gt", "ge", "eq", "ne", "and", "or")


@pytest.mark.parametrize("kinds", ["ff", "fi", "if", "ii", "fb", "bi"])
def test_functions_of_two_operands(kinds):
    rng = np.random.default_rng(3)
    values = {
        "f": rng.choice(np.array([*SPECIAL, 0.5, 2.0, -3.5], np.float32), 400),
        "i": rng.integers(-5, 6, 400),
        "b": rng.random(400) < 0.5,
    }
    arrays = [values[kinds[0]], rng.permutation(values[kinds[1]])]
    op = Map(tuple(Binary(name, Arg(0), Arg(1)) for name in PAIRS))
    for name, got, want in zip(PAIRS, run_primitive(op, arrays), op.reference(*arrays), strict=True):
        np.testing.assert_array_equal(got, want, err_msg=name)


def test_division_of_integers_rounds_down_and_never_traps():
    low = np.iinfo(np.int64).min
    a = np.array([7, -7, 7, -7, 0, 5, low, low, 9, low], np.int64)
    b = np.array([2, 2, -2, -2, 3, 0, -1, 1, 10, 0], np.int64)
    op = Map((Binary("floordiv", Arg(0), Arg(1)), Binary("mod", Arg(0), Arg(1))))
    for got, want in zip(run_primitive(op, [a, b]), op.reference(a, b), strict=True):
        np.testing.assert_array_equal(got, want)


def test_division_of_floats_rounds_down():
    rng = np.random.default_rng(4)
    a, b = (rng.uniform(-50, 50, 500).astype(np.float32) for _ in range(2))
    a[:6], b[:6] = [1, -1, 1, -1, 5, 0], [math.inf, math.inf, -math.inf, -math.inf, 0, 3]
    op = Map((Binary("floordiv", Arg(0), Arg(1)), Binary("mod", Arg(0), Arg(1))))
    for got, want in zip(run_primitive(op, [a, b]), op.reference(a, b), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_integer_powers_wrap():
    a, b = np.array([2, -3, 1, -1, 0, 10], np.int64), np.array([62, 5, 10**9, 10**9 + 1, 0, 18], np.int64)
    (got,) = run_primitive(Map((power(Arg(0), Arg(1)),)), [a, b])
    np.testing.assert_array_equal(got, a**b)


def test_casts():
    x = np.array([1.9, -1.9, 0.0, math.nan, 1e30, -1e30, math.inf], np.float32)
    whole, condition = run_primitive(Map((cast_int(Arg(0)), Unary("not", Arg(0)))), [x])
    top, low = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    np.testing.assert_array_equal(whole, [1, -1, 0, 0, top, low, top])
    np.testing.assert_array_equal(condition, [False, False, True, False, False, False, False])


def test_where_and_literals_have_types():
    x = np.arange(-4, 5)
    op = Map((where(Arg(0), Arg(0) * 2, 0.25), where(Arg(0) > 1, Lit(3), Lit(True)), Arg(0) / 3))
    for got, want in zip(run_primitive(op, [x]), op.reference(x), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("shape", [(3,), (5, 7), (2, 3, 40), (1, 300)])
def test_uniform_has_the_bits_of_its_definition(shape):
    key = np.array((123456789 << 32) + 987654321)
    op = Map((Uniform(0xDEADBEEF, Arg(0)), Uniform(0xDEADBEEF, Arg(0), 1), Uniform(-7, Arg(0) + 1)), shape)
    for got, want in zip(run_primitive(op, [key]), op.reference(key), strict=True):
        np.testing.assert_array_equal(got, want)


def test_coordinates():
    x = np.zeros((3, 1, 5), np.float32)
    op = Map((Index(0) * 100 + Index(1) * 10 + Index(2), cast_float(Index(2)) + Arg(0)), (3, 4, 5))
    for got, want in zip(run_primitive(op, [x]), op.reference(x), strict=True):
        np.testing.assert_array_equal(got, want)
