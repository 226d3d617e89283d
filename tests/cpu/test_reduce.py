"""Reductions against NumPy in float64, over every layout of axes."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.cpu.planners import plan
from netdsl.ir import TensorType
from netdsl.primitives import Reduce
from netdsl.scalar import Arg, Index, cast_float, cast_int, eq, exp, where
from netdsl.schedule import View
from tests.cpu.planned import run_primitive


def check(op, arrays, rtol=1e-5):
    (got,) = run_primitive(op, arrays)
    wide = [a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays]
    (want,) = op.reference(*wide)
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)
    assert got.shape == want.shape
    return got


def axis_sets(rank):
    return [c for n in range(rank + 1) for c in itertools.combinations(range(rank), n)]


@pytest.mark.parametrize("kind", ["sum", "max", "min"])
@pytest.mark.parametrize("axes", axis_sets(4))
def test_all_axes(kind, axes):
    x = np.random.default_rng(0).standard_normal((3, 5, 4, 11)).astype(np.float32)
    check(Reduce(kind, Arg(0), axes), [x])
    check(Reduce(kind, Arg(0) * 2.0, axes, keepdims=True), [x])


@settings(max_examples=40)
@given(st.data())
def test_random_shapes_and_broadcasts(data):
    shape = tuple(data.draw(st.lists(st.sampled_from([1, 2, 3, 7, 16, 41]), min_size=1, max_size=4)))
    axes = tuple(k for k in range(len(shape)) if data.draw(st.booleans()))
    own = tuple(data.draw(st.sampled_from([1, n])) for n in shape)[data.draw(st.integers(0, len(shape))) :]
    rng = np.random.default_rng(1)
    x, y = (rng.standard_normal(s).astype(np.float32) for s in (shape, own))
    kind = data.draw(st.sampled_from(["sum", "max", "min"]))
    e = where(Arg(1) > 0.0, Arg(0), Arg(1) * Arg(0)) + cast_float(
        Index(data.draw(st.integers(0, len(shape) - 1)))
    )
    check(Reduce(kind, e, axes), [x, y])


@pytest.mark.parametrize("lanes", ["4", "8", "16"])
def test_rows_and_columns_for_every_vector(monkeypatch, lanes):
    monkeypatch.setenv("NETDSL_LANES", lanes)
    rng = np.random.default_rng(2)
    for n in (1, 5, 15, 16, 33, 130):
        x = rng.standard_normal((9, n)).astype(np.float32)
        check(Reduce("sum", exp(Arg(0)), (1,)), [x])
        check(Reduce("max", Arg(0), (0,)), [x])


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((3_000_001,), (0,)),
        ((60_000, 33), (0,)),
        ((4, 300_000), (1,)),
        ((2000, 600), (0,)),
        ((50, 40_000), (0,)),
    ],
)
def test_long_sums_are_as_accurate_as_numpys(shape, axes):
    x = np.random.default_rng(3).random(shape, np.float32)
    (got,) = run_primitive(Reduce("sum", Arg(0), axes), [x])
    exact = x.sum(axes, np.float64)
    assert np.max(np.abs(got - exact) / exact) < 4e-7


def test_labels_and_masks():
    rng = np.random.default_rng(4)
    logits, labels = rng.standard_normal((50, 10)).astype(np.float32), rng.integers(0, 10, (50, 1))
    picked = where(eq(Index(1), Arg(1)), Arg(0), 0.0)
    check(Reduce("sum", picked, (1,)), [logits, labels])
    mask = logits > 0
    check(Reduce("sum", where(Arg(1), Arg(0), 0.0), (0, 1)), [logits, mask])


@pytest.mark.parametrize("kind", ["sum", "max", "min"])
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_integers(kind, axes):
    x = np.random.default_rng(5).integers(-(10**12), 10**12, (37, 21))
    op = Reduce(kind, Arg(0) * 3, axes)
    (got,) = run_primitive(op, [x])
    np.testing.assert_array_equal(got, op.reference(x)[0])


def test_count_of_hits():
    x = np.random.default_rng(6).standard_normal((100, 9)).astype(np.float32)
    (got,) = run_primitive(Reduce("sum", cast_int(Arg(0) > 0.0), (0, 1)), [x])
    assert got == (x > 0).sum()


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_nan_wins_and_infinities_stay(axes):
    x = np.random.default_rng(7).standard_normal((40, 40)).astype(np.float32)
    x[3, 5], x[7, 9], x[11, 2] = np.nan, np.inf, -np.inf
    for kind in ("max", "min"):
        (got,) = run_primitive(Reduce(kind, Arg(0), axes), [x])
        np.testing.assert_array_equal(got, Reduce(kind, Arg(0), axes).reference(x)[0])


def test_empty():
    assert run_primitive(Reduce("sum", Arg(0), (0,)), [np.zeros((0, 3), np.float32)])[0].tolist() == [0, 0, 0]
    assert run_primitive(Reduce("max", Arg(0), (1,)), [np.zeros((0, 3), np.float32)])[0].shape == (0,)


def test_a_small_reduction_is_one_step():
    """Partial results, in memory of their own, are for reductions that are worth several threads."""
    x, y = View.dense(0, TensorType((64, 8))), View.dense(1, TensorType((8,)))
    steps = plan(Reduce("sum", Arg(0), (0,)), [x], [y], 2).steps
    assert [step.scratch for step in steps] == [0]
