import numpy as np
import pytest

from netdsl.cost import facts
from netdsl.passes.affine import affine
from netdsl.passes.expressions import simplified
from netdsl.scalar import Arg, evaluate, format_expr, parse_expr

REAL, INT = "f32", "i64"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x0 + 0.0", "x0"),
        ("0.0 + x0 * 1.0", "x0"),
        ("neg(neg(x0)) / 1.0", "x0"),
        ("x0 - 0.0 + x1 * 0.0", "x0 + x1 * 0.0"),
        ("where(x0 > 0.0, x1, 0.0) * x0", "where(x0 > 0.0, x1, 0.0) * x0"),
        ("pow(x0, 2.0)", "x0 * x0"),
        ("where(1.0 < 2.0, x0, x1)", "x0"),
        ("where(x0 > 0.0, x1, x1)", "x1"),
        ("exp(0.0) * x0", "x0"),
        ("x0 * (2.0 * 0.25)", "x0 * 0.5"),
        ("stop_gradient(x0) + float(x1)", "x0 + x1"),
        ("log(0.0) + x0", "(-inf) + x0"),
        ("max(x0, 0.0)", "max(x0, 0.0)"),
        ("x0 / 0.0", "x0 / 0.0"),
    ],
)
def test_algebra(text, wanted):
    assert format_expr(simplified(parse_expr(text), (REAL, REAL))) == wanted


def test_types_stay():
    assert format_expr(simplified(parse_expr("x0 + 0.0"), (INT,))) == "float(x0)"
    assert format_expr(simplified(parse_expr("pow(x0, 2.0)"), (INT,))) == "float(x0) * float(x0)"
    assert format_expr(simplified(parse_expr("where(1.0 < 2.0, x0, 0.5)"), (INT,))) == "where(true, x0, 0.5)"
    assert format_expr(simplified(parse_expr("x0 + 0"), (INT,))) == "x0"
    assert format_expr(simplified(parse_expr("x0 * 0"), (INT,))) == "x0 * 0"
    assert format_expr(simplified(parse_expr("float(x0)"), (INT,))) == "float(x0)"


@pytest.mark.parametrize(
    "text", ["x0", "2.0 * x0 + x1", "neg((x0 - x1) * x2 / x1)", "(x0 + x0) * x2 - (x1 - x0)", "x1 * x2"]
)
def test_affine(text):
    e = parse_expr(text)
    scale, shift = affine(e, 0)
    values = [np.array(v) for v in (3.0, 0.7, -1.3)]
    whole = evaluate(scale * Arg(0) + shift, values, (), np.float64)
    np.testing.assert_allclose(whole, evaluate(e, values, (), np.float64))


@pytest.mark.parametrize("text", ["x0 * x0", "exp(x0)", "x1 / x0", "max(x0, 0.0)", "where(x0 > 0.0, x0, x1)"])
def test_not_affine(text):
    assert affine(parse_expr(text), 0) is None


def test_facts():
    known = facts(parse_expr("exp(x0 - x1) * 2.0"))
    assert (known.expensive, known.placed, known.size) == ("exp", False, 6)
    assert facts(parse_expr("float(i0) + x0")).placed
    assert facts(parse_expr("uniform(1, x0, 0)")).expensive == "uniform"


def test_facts_of_shared_parts_take_linear_time():
    e = Arg(0)
    for _ in range(24):
        e = e * e
    assert facts.__wrapped__(e).size == 2**25 - 1
    assert facts.__wrapped__(e).work == 24
