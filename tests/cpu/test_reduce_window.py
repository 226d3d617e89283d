"""Windows and their gradients against the NumPy meaning."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netdsl.ir import ShapeError, TensorType
from netdsl.primitives import ReduceWindow, ReduceWindowGrad
from tests.cpu.planned import run_primitive


def check(op, arrays):
    (got,) = run_primitive(op, arrays)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got, op.reference(*arrays)[0], rtol=1e-5, atol=1e-6)


def both_ways(op, x):
    """The windows of x and the gradient of a random cotangent."""
    check(op, [x])
    (y,) = op.reference(x)
    g = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    settings_ = (op.kind, op.size, op.stride, op.pad, op.dilation, op.overhang, op.include_pad)
    grad = ReduceWindowGrad(*settings_, x.shape[1:-1])
    check(grad, [x, y, g] if op.kind == "max" else [g])


def image(shape, seed=0):
    # Few different values, so that windows have ties.
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float32)


@st.composite
def windows(draw):
    rank = draw(st.integers(1, 3))

    def each(strategy):
        return tuple(draw(strategy) for _ in range(rank))

    spatial, size = each(st.integers(1, 9)), each(st.integers(1, 3))
    stride, dilation = each(st.integers(1, 3)), each(st.sampled_from([1, 1, 2]))
    pad = tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in size)
    overhang = tuple(draw(st.integers(0, s - 1)) for s in stride)
    op = ReduceWindow(
        draw(st.sampled_from(["max", "avg"])), size, stride, pad, dilation, overhang, draw(st.booleans())
    )
    shape = (draw(st.integers(1, 3)), *spatial, draw(st.sampled_from([1, 3, 6, 8, 17, 40])))
    try:
        op.infer(TensorType(shape))
    except ShapeError:
        assume(False)
    return op, shape


@settings(max_examples=60)
@given(windows())
def test_random_windows(case):
    op, shape = case
    x = image(shape)
    if op.kind == "avg":
        counts = op.counts(shape[1:-1], np.dtype(np.float32))
        assume((counts > 0).all())
    both_ways(op, x)


POOLS = {
    "2x2": ((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), (0, 0)),
    "3x3 s2 p1": ((3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), (0, 0)),
    "3x3 s1 p1": ((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), (0, 0)),
    "3x3 s2 ceil": ((3, 3), (2, 2), ((0, 0), (0, 0)), (1, 1), (1, 1)),
    "2x2 s3": ((2, 2), (3, 3), ((0, 0), (0, 0)), (1, 1), (0, 0)),
}


@pytest.mark.parametrize("lanes", ["4", "8", "16"])
@pytest.mark.parametrize("channels", [1, 6, 16, 33, 64, 80])
@pytest.mark.parametrize("name", POOLS)
def test_pools(monkeypatch, name, channels, lanes):
    monkeypatch.setenv("NETDSL_LANES", lanes)
    for kind in ("max", "avg"):
        both_ways(ReduceWindow(kind, *POOLS[name]), image((2, 8, 11, channels)))


def test_a_window_with_nan_gives_nan():
    x = image((1, 4, 4, 9))
    x[0, 0, 0, 3] = x[0, 1, 3, 8] = x[0, 2, 2, 0] = np.nan
    op = ReduceWindow("max", *POOLS["2x2"])
    (got,) = run_primitive(op, [x])
    np.testing.assert_array_equal(got, op.reference(x)[0])


def test_the_first_of_equal_cells_gets_the_gradient():
    x, y, g = (
        np.ones((1, 4, 4, 5), np.float32),
        np.ones((1, 2, 2, 5), np.float32),
        np.ones((1, 2, 2, 5), np.float32),
    )
    (got,) = run_primitive(ReduceWindowGrad("max", *POOLS["2x2"], input=(4, 4)), [x, y, g])
    want = np.zeros((1, 4, 4, 5), np.float32)
    want[:, ::2, ::2] = 1
    np.testing.assert_array_equal(got, want)


def test_padding_gets_no_gradient_where_all_cells_are_minus_infinity():
    x = np.full((1, 4, 4, 5), -np.inf, np.float32)
    op = ReduceWindow("max", *POOLS["3x3 s2 p1"])
    y, g = np.full((1, 2, 2, 5), -np.inf, np.float32), np.ones((1, 2, 2, 5), np.float32)
    np.testing.assert_array_equal(run_primitive(op, [x])[0], y)
    grad = ReduceWindowGrad(*dataclasses.astuple(op), input=(4, 4))
    (got,) = run_primitive(grad, [x, y, g])
    np.testing.assert_array_equal(got, grad.reference(x, y, g)[0])
    assert got.sum() == g.sum()


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize(
    ("size", "stride", "pad", "overhang", "length"),
    [
        (2, 2, (0, 0), 0, 6),  # every cell is in a window
        (2, 2, (0, 0), 0, 7),  # the last one is in none
        (2, 3, (0, 0), 0, 8),  # nor are those between
        (2, 2, (1, 0), 0, 4),  # as many cells as the windows have, but the first window hangs over
        (3, 3, (1, 1), 2, 7),
    ],
)
def test_windows_apart_clear_the_cells_between(kind, size, stride, pad, overhang, length):
    op = ReduceWindow(kind, (size,) * 2, (stride,) * 2, (pad,) * 2, (1, 1), (overhang,) * 2)
    for channels in (3, 8, 20):
        both_ways(op, image((2, length, length + stride, channels)))
