"""`roi_reduce` and `roi_reduce_grad` against the references: sparse weights, empty cells, channels of their own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.primitives import RoiReduce, RoiReduceGrad
from tests.cpu.planned import run_primitive


def operands(split, n, r, cells, size, channels, seed=0):
    rng = np.random.default_rng(seed)
    blocks = cells[0] * cells[1] if split else 1

    def weights(count, length):
        w = rng.uniform(0, 1, (n, r, count, length)) * (rng.random((n, r, count, length)) < 0.3)
        return w.astype(np.float32)

    # Few different numbers, so that there are ties.
    x = rng.integers(-4, 5, (n, *size, channels * blocks)).astype(np.float32)
    g = rng.normal(size=(n, r, *cells, channels)).astype(np.float32)
    return x, weights(cells[0], size[0]), weights(cells[1], size[1]), g


def check(kind, split, *shape):
    x, rows, columns, g = operands(split, *shape)
    op, grad = RoiReduce(kind, split), RoiReduceGrad(kind, split)
    (y,) = op.reference(x, rows, columns)
    np.testing.assert_allclose(run_primitive(op, [x, rows, columns])[0], y, rtol=1e-5, atol=1e-5)
    seen = [x, y] if kind == "max" else []
    (want,) = grad.reference(rows, columns, g, *seen)
    np.testing.assert_allclose(run_primitive(grad, [rows, columns, g, *seen])[0], want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["sum", "max"])
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("channels", [1, 7, 16, 70])
def test_kernels(kind, split, channels):
    check(kind, split, 2, 5, (3, 2), (9, 40), channels)


SHAPES = st.tuples(
    st.integers(1, 3),
    st.integers(1, 4),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 35), st.integers(1, 20)),
    st.sampled_from([1, 3, 8, 17, 130]),
    st.integers(0, 99),
)


@settings(max_examples=30)
@given(st.sampled_from(["sum", "max"]), st.booleans(), SHAPES)
def test_any_shape(kind, split, shape):
    check(kind, split, *shape)


def test_nothing_seen_gives_zero_and_nan_stays():
    x = np.full((1, 2, 2, 1), -3, np.float32)
    rows, columns = np.ones((1, 2, 1, 2), np.float32), np.ones((1, 2, 1, 2), np.float32)
    rows[0, 1] = 0
    np.testing.assert_array_equal(run_primitive(RoiReduce("max"), [x, rows, columns])[0].ravel(), [-3, 0])
    x[0, 0, 1] = np.nan
    np.testing.assert_array_equal(run_primitive(RoiReduce("max"), [x, rows, columns])[0].ravel(), [np.nan, 0])


def test_the_adjoint():
    x, rows, columns, g = operands(True, 2, 3, (2, 2), (5, 6), 3)
    (y,), (back,) = (
        RoiReduce("sum", True).reference(x, rows, columns),
        RoiReduceGrad("sum", True).reference(rows, columns, g),
    )
    np.testing.assert_allclose((y * g).sum(), (back * x).sum(), rtol=1e-4)
