"""Scalar expressions print and parse back to the same tree; what is not one is refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netdsl.scalar import Arg, Binary, Index, Lit, Unary, Uniform, Where, format_expr, parse_expr
from netdsl.scalar.operators import BINARY, UNARY

LEAVES = st.one_of(
    st.integers(0, 20).map(Arg),
    st.integers(0, 7).map(Index),
    st.floats().map(Lit),
    st.integers(-(2**63), 2**63 - 1).map(Lit),
    st.booleans().map(Lit),
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Unary, st.sampled_from(sorted(UNARY)), inner),
        st.builds(Binary, st.sampled_from(BINARY), inner, inner),
        st.builds(Where, inner, inner, inner),
        st.builds(Uniform, st.integers(0, 2**32 - 1), inner, st.integers(0, 1)),
    ),
    max_leaves=12,
)


@given(EXPRESSIONS)
def test_text_parses_back(e):
    assert parse_expr(format_expr(e)) == e


def test_text_is_what_people_write():
    x, y = Arg(0), Arg(1)
    e = Where(x > 0.0, (x - y) * 2.0, Binary("max", x / (y - 1), Unary("exp", -x)))
    assert format_expr(e) == "where(x0 > 0.0, (x0 - x1) * 2.0, max(x0 / (x1 - 1), exp(neg(x0))))"


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "expected an operand"),
        ("x0 +", "found the end"),
        ("x0 x1", "unexpected 'x1'"),
        ("(x0", "expected )"),
        ("exp(x0, x1)", "no scalar function exp of 2"),
        ("system(x0)", "no scalar function system"),
        ("y3", "unknown operand 'y3'"),
        ("x0 @ x1", "unexpected ' @ x1'"),
        ("uniform(x0, x1, 0)", "uniform takes a stream number"),
        ("uniform(1, x1, 2)", "uniform takes a stream number"),
        ("-x0", "expected a number"),
        ("1.2.3", "expected a number"),
        ("(" * 200 + "x0" + ")" * 200, "nested too deeply"),
        (" + ".join(["x0"] * 1000), "nested too deeply"),
    ],
)
def test_nonsense_is_refused(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_expr(text)
