"""Maps and copies against the NumPy meaning, over random expressions, shapes and broadcasts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.primitives import Map
from netdsl.scalar import Arg, Binary, Index, Lit, Unary, maximum, where
from tests.cpu.planned import run_primitive

FLOATS = ("neg", "abs", "sign", "floor", "tanh", "sigmoid")
PAIRS = ("add", "sub", "mul", "max", "min")


@st.composite
def expressions(draw, operands, rank, depth=3):
    """Over the given operands; a bool has no arithmetic of its own, so those come as conditions."""
    if depth == 0 or draw(st.booleans()):
        leaves = [draw(st.sampled_from(operands)), Lit(draw(st.floats(-2, 2, width=16)))]
        return draw(st.sampled_from([*leaves, *([Index(draw(st.integers(0, rank - 1)))] if rank else [])]))

    def part():
        return draw(expressions(operands, rank, depth - 1))

    match draw(st.integers(0, 2)):
        case 0:
            return Unary(draw(st.sampled_from(FLOATS)), part())
        case 1:
            return Binary(draw(st.sampled_from(PAIRS)), part(), part())
    return where(part() > part(), part(), part())


@st.composite
def cases(draw):
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 5, 8, 17, 33]), max_size=4)))
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    arrays = []
    for _ in range(draw(st.integers(1, 3))):
        own = [draw(st.sampled_from([1, n])) for n in shape][draw(st.integers(0, len(shape))) :]
        kind = draw(st.sampled_from("fffib"))
        values = rng.uniform(-3, 3, own)
        arrays.append(
            {"f": values.astype(np.float32), "i": np.round(values).astype(np.int64), "b": values > 0}[kind]
        )
    bools = [a.dtype == np.bool_ for a in arrays]
    operands = [where(Arg(k), 1.0, -0.5) if b else Arg(k) for k, b in enumerate(bools)]
    exprs = tuple(draw(expressions(operands, len(shape))) for _ in range(draw(st.integers(1, 2))))
    return Map(exprs, shape), arrays


@settings(max_examples=40)
@given(cases())
def test_random_maps(case):
    op, arrays = case
    for got, want in zip(run_primitive(op, arrays), op.reference(*arrays), strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("lanes", ["4", "8", "16"])
@pytest.mark.parametrize("columns", [1, 3, 6, 8, 31, 64, 1000])
def test_bias_and_relu_for_every_tail(monkeypatch, lanes, columns):
    monkeypatch.setenv("NETDSL_LANES", lanes)
    rng = np.random.default_rng(0)
    x, b = (rng.standard_normal(s).astype(np.float32) for s in ((7, 5, columns), (columns,)))
    (got,) = run_primitive(Map((maximum(Arg(0) + Arg(1), 0.0),)), [x, b])
    np.testing.assert_array_equal(got, np.maximum(x + b, 0))


def test_results_in_place_of_operands():
    rng = np.random.default_rng(1)
    w, g, m = (rng.standard_normal(100_003).astype(np.float32) for _ in range(3))
    moment = Arg(2) * 0.9 + Arg(1)
    op = Map((Arg(0) - 0.1 * moment, moment))
    new, kept = run_primitive(op, [w, g, m], in_place={0: 0, 1: 2})
    for got, want in zip((new, kept), op.reference(w, g, m), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_results_that_trade_places():
    a, b = (np.arange(k, k + 77, dtype=np.float32) for k in (0, 1000))
    first, second = run_primitive(Map((Arg(1), Arg(0))), [a, b], in_place={0: 0, 1: 1})
    np.testing.assert_array_equal(first, b)
    np.testing.assert_array_equal(second, a)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (5,), (70_000,), (3, 40_000)])
def test_fill_and_empty(shape):
    op = Map((Lit(1.5), Lit(7), Lit(True)), shape)
    for got, want in zip(run_primitive(op, []), op.reference(), strict=True):
        np.testing.assert_array_equal(got, np.broadcast_to(want, shape))
