"""Windows and their gradients on the GPU, as PTX that is emulated, against NumPy in float64."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

pytest.importorskip("numba_cuda", reason="compiling for a GPU needs numba-cuda, which is not installed")

from netdsl.cuda.kernels.reduce_window import plan_window
from netdsl.ir import ShapeError, TensorType
from netdsl.primitives import ReduceWindow, ReduceWindowGrad
from netdsl.schedule import View
from tests.cuda.emulated import emulated, run_emulated


def check(op, *arrays):
    (found,) = emulated(plan_window, op, *arrays)
    with np.errstate(all="ignore"):
        (wanted,) = op.reference(*(a.astype(np.float64) for a in arrays))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def gradient(op, cells):
    return ReduceWindowGrad(
        op.kind, op.size, op.stride, op.pad, op.dilation, op.overhang, op.include_pad, cells
    )


def both_ways(op, x):
    """The windows of x and the gradient of a random cotangent."""
    check(op, x)
    (y,) = op.reference(x)
    g = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    check(gradient(op, x.shape[1:-1]), *((x, y, g) if op.kind == "max" else (g,)))


def image(*shape):
    """Few different values, so that windows have ties."""
    return np.random.default_rng(0).integers(-2, 3, shape).astype(np.float32)


@st.composite
def windows(draw):
    rank = draw(st.integers(1, 3))

    def each(strategy):
        return tuple(draw(strategy) for _ in range(rank))

    spatial, size = each(st.integers(1, 9)), (*each(st.integers(1, 3))[1:], 3)  # few kernels
    stride, dilation = each(st.integers(1, 3)), each(st.sampled_from([1, 1, 2]))
    pad = tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in size)
    overhang = tuple(draw(st.integers(0, s - 1)) for s in stride)
    op = ReduceWindow(
        draw(st.sampled_from(["max", "avg"])), size, stride, pad, dilation, overhang, draw(st.booleans())
    )
    shape = (draw(st.integers(1, 2)), *spatial, draw(st.sampled_from([3, 8])))
    try:
        op.infer(TensorType(shape))
    except ShapeError:
        assume(False)
    return op, shape


@settings(max_examples=25, deadline=None)
@given(windows())
def test_random_windows(case):
    op, shape = case
    if op.kind == "avg":
        assume((op.counts(shape[1:-1], np.dtype(np.float32)) > 0).all())
    both_ways(op, image(*shape))


#: size, stride, pad, dilation, overhang
POOLS = {
    "2x2": ((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), (0, 0)),
    "3x3 s2 p1": ((3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), (0, 0)),
    "3x3 s1 p1": ((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), (0, 0)),
    "3x3 s2 ceil": ((3, 3), (2, 2), ((0, 0), (0, 0)), (1, 1), (1, 1)),
    "2x2 s3": ((2, 2), (3, 3), ((0, 0), (0, 0)), (1, 1), (0, 0)),
    "5x5 s1 d2": ((5, 5), (1, 1), ((4, 4), (4, 4)), (2, 2), (0, 0)),
    "8x11": ((8, 11), (8, 11), ((0, 0), (0, 0)), (1, 1), (0, 0)),
}


@pytest.mark.parametrize("channels", [1, 6, 32])
@pytest.mark.parametrize("name", POOLS)
def test_pools(name, channels):
    for kind in ("max", "avg"):
        both_ways(ReduceWindow(kind, *POOLS[name], include_pad=channels > 1), image(2, 8, 11, channels))


def test_more_threads_than_one_block_has():
    both_ways(ReduceWindow("max", *POOLS["2x2"]), image(3, 30, 30, 4))


def test_no_spatial_axis():
    for kind in ("max", "avg"):
        both_ways(ReduceWindow(kind, (), (), (), (), ()), image(5, 3))


def test_no_pictures_no_launch():
    views = [View.dense(0, TensorType((0, 8, 8, 3))), View.dense(1, TensorType((0, 4, 4, 3)))]
    assert plan_window(ReduceWindow("max", *POOLS["2x2"]), views[:1], views[1:]) == []


def test_windows_over_padding_alone():
    op = ReduceWindow("max", (2,), (2,), ((2, 2),), (1,), (0,))
    (found,) = emulated(plan_window, op, np.zeros((1, 0, 2), np.float32))
    assert found.tolist() == [[[-np.inf] * 2] * 2]


def test_a_window_with_nan_gives_nan_and_sends_no_gradient():
    x = image(1, 4, 4, 8)
    x[0, 0, 0, 3] = x[0, 1, 3, 7] = x[0, 2, 2, 0] = np.nan
    both_ways(ReduceWindow("max", *POOLS["2x2"]), x)
    both_ways(ReduceWindow("max", *POOLS["3x3 s1 p1"]), x)


@pytest.mark.parametrize("channels", [3, 4])
def test_infinities(channels):
    for end in (np.inf, -np.inf):
        x = np.full((1, 4, 4, channels), end, np.float32)
        op = ReduceWindow("max", *POOLS["3x3 s2 p1"])
        y, g = np.full((1, 2, 2, channels), end, np.float32), np.ones((1, 2, 2, channels), np.float32)
        assert (emulated(plan_window, op, x)[0] == y).all()
        (found,) = emulated(plan_window, gradient(op, (4, 4)), x, y, g)
        wanted = np.zeros(x.shape, np.float32)
        wanted[0, 0, 0] = wanted[0, 0, 1] = wanted[0, 1, 0] = wanted[0, 1, 1] = 1
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("channels", [5, 8])
def test_views_with_gaps(kind, channels):
    """A part of the channels of a wider tensor, and of its pictures."""
    wide = image(2, 9, 12, channels + 4)
    op = ReduceWindow(kind, *POOLS["3x3 s2 p1"])
    source = View.dense(0, TensorType(wide.shape)).sliced((0, 1, 2, 4), (1, 1, 1, 1), (2, 8, 10, channels))
    x = np.ascontiguousarray(wide[:, 1:, 2:, 4:])
    y = op.reference(x)[0]
    target = View.dense(1, TensorType((*y.shape[:3], channels + 4))).sliced((0, 0, 0, 0), (1,) * 4, y.shape)
    out = np.full((*y.shape[:3], channels + 4), 77, np.float32)
    flat = out.reshape(-1)
    run_emulated(plan_window(op, [source], [target]), {0: wide.reshape(-1), 1: flat})
    np.testing.assert_allclose(out[..., :channels], y, rtol=1e-6)
    assert (out[..., channels:] == 77).all()
    back = gradient(op, (8, 10))
    g = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    arrays = (x, y, g) if kind == "max" else (g,)
    reads = [source, View.dense(1, TensorType(y.shape))][: len(arrays) - 1]
    reads.append(View.dense(2, TensorType(y.shape)))
    result = View.dense(3, TensorType(wide.shape)).sliced((0, 1, 2, 0), (1, 1, 1, 1), x.shape)
    sent = np.zeros(wide.size, np.float32)
    buffers = {0: wide.reshape(-1), 1: y.reshape(-1), 2: g.reshape(-1), 3: sent}
    run_emulated(plan_window(back, reads, [result]), buffers)
    found = sent.reshape(wide.shape)[:, 1:, 2:, :channels]
    np.testing.assert_allclose(found, back.reference(*arrays)[0], rtol=1e-5, atol=1e-6)


def test_pictures_too_large_for_a_kernel():
    views = [View.dense(0, TensorType((1, 2**18, 2**14, 1))), View.dense(1, TensorType((1, 2, 1, 1)))]
    op = ReduceWindow("max", (2, 2), (2**17, 2**14), ((0, 0),) * 2, (1, 1), (0, 0))
    with pytest.raises(LookupError, match="reduce_window max 2x2 @ 262144x16384x1: a kernel takes"):
        plan_window(op, views[:1], views[1:])


def test_sources_are_the_same_for_other_sizes():
    def key(pool, *shape):
        op = ReduceWindow("max", *POOLS[pool])
        views = [View.dense(0, TensorType(shape)), View.dense(1, *op.infer(TensorType(shape)))]
        (launch,) = plan_window(op, views[:1], views[1:])
        return launch.source.key

    assert key("3x3 s2 p1", 2, 9, 9, 64) == key("3x3 s1 p1", 8, 56, 40, 16)
