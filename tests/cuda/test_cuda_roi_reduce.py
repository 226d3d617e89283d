"""`roi_reduce` and its gradient on the GPU: the bits of a loop in float32, their PTX emulated."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="compiling for a GPU needs numba-cuda, which is not installed")

from netdsl.cuda.kernels.roi_reduce import plan_region
from netdsl.cuda.kernels.roi_reduce_grad import plan_region_grad
from netdsl.ir import TensorType
from netdsl.primitives import RoiReduce, RoiReduceGrad
from netdsl.schedule import View
from tests.cuda.emulated import emulated

#: maps, regions, cells, height and width, channels
SHAPES = [
    (2, 5, (3, 2), (9, 40), 7),
    (1, 3, (2, 2), (35, 33), 1),
    (1, 2, (1, 3), (4, 5), 130),
    (2, 1, (2, 1), (1, 1), 33),
    (1, 40, (2, 2), (6, 5), 3),
]


def operands(split, n, r, cells, size, channels):
    rng = np.random.default_rng(channels)
    blocks = cells[0] * cells[1] if split else 1

    def weights(count, length):
        return (rng.uniform(0, 1, (n, r, count, length)) * (rng.random((n, r, count, length)) < 0.3)).astype(
            np.float32
        )

    # Few different numbers, so that there are ties.
    x = rng.integers(-4, 5, (n, *size, channels * blocks)).astype(np.float32)
    g = rng.normal(size=(n, r, *cells, channels)).astype(np.float32)
    return x, weights(cells[0], size[0]), weights(cells[1], size[1]), g


def seen_by(op, rows, columns, channels):
    """Each cell, its channels of the map, and the pixels with both weights, in order."""
    for at, _, block in op.cells(rows, columns, channels):
        wy, wx = rows[at[:3]], columns[at[0], at[1], at[3]]
        yield at, block, [(y, x, wy[y] * wx[x]) for y in np.flatnonzero(wy) for x in np.flatnonzero(wx)]


def forward(op, x, rows, columns):
    """Fused sums, as float64 rounds them once: a product of two float32 is exact there."""
    y = np.zeros(op.infer(*(TensorType(a.shape) for a in (x, rows, columns)))[0].shape, np.float32)
    for at, block, pixels in seen_by(op, rows, columns, y.shape[-1]):
        for k, (i, j, weight) in enumerate(pixels):
            seen = x[at[0], i, j, block]
            if op.kind == "max":
                y[at] = np.maximum(y[at], seen) if k else seen
            else:
                y[at] = (np.float64(weight) * seen + y[at].astype(np.float64)).astype(np.float32)
    return y


def backward(op, rows, columns, g, x, y):
    dx = np.zeros(x.shape, np.float32)
    for at, block, pixels in seen_by(op, rows, columns, g.shape[-1]):
        left = np.ones(g.shape[-1], bool)
        for i, j, weight in pixels:
            if op.kind == "sum":
                dx[at[0], i, j, block] += weight * g[at]
            else:
                hit = left & (x[at[0], i, j, block] == y[at])
                dx[at[0], i, j, block][hit] += g[at][hit]
                left &= ~hit
    return dx


@pytest.mark.parametrize("kind", ["sum", "max"])
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_cells_and_pixels(kind, split, shape):
    x, rows, columns, g = operands(split, *shape)
    op, grad = RoiReduce(kind, split), RoiReduceGrad(kind, split)
    y = forward(op, x, rows, columns)
    np.testing.assert_array_equal(emulated(plan_region, op, x, rows, columns)[0], y)
    seen = [x, y] if kind == "max" else []
    (found,) = emulated(plan_region_grad, grad, rows, columns, g, *seen)
    np.testing.assert_array_equal(found, backward(grad, rows, columns, g, x, y))


def test_nothing_seen_gives_zero_and_nan_stays():
    x = np.full((1, 2, 2, 1), -3, np.float32)
    rows, columns = np.ones((1, 2, 1, 2), np.float32), np.ones((1, 2, 1, 2), np.float32)
    rows[0, 1] = 0
    (y,) = emulated(plan_region, RoiReduce("max"), x, rows, columns)
    np.testing.assert_array_equal(y.ravel(), [-3, 0])
    x[0, 0, 1] = np.nan
    (y,) = emulated(plan_region, RoiReduce("max"), x, rows, columns)
    np.testing.assert_array_equal(y.ravel(), [np.nan, 0])
    (dx,) = emulated(plan_region_grad, RoiReduceGrad("max"), rows, columns, np.ones_like(y), x, y)
    np.testing.assert_array_equal(dx.ravel(), [0, 0, 0, 0])


@pytest.mark.parametrize(
    ("n", "r", "cells", "size", "c"), [(1, 0, (2, 2), (3, 4), 2), (0, 2, (1, 1), (3, 4), 2)]
)
@pytest.mark.parametrize("kind", ["sum", "max"])
def test_no_regions_and_no_maps(n, r, cells, size, c, kind):
    x, rows, columns, g = operands(False, n, r, cells, size, c)
    assert emulated(plan_region, RoiReduce(kind), x, rows, columns)[0].size == 0
    seen = [x, g] if kind == "max" else []
    assert not emulated(plan_region_grad, RoiReduceGrad(kind), rows, columns, g, *seen)[0].any()


def test_more_threads_than_are_counted():
    types = [TensorType((8, 2**12, 2**12, 32)), TensorType((8, 1, 1, 2**12)), TensorType((8, 1, 1, 2**12))]
    types += [TensorType((8, 1, 1, 1, 32))]
    views = [View.dense(k, t) for k, t in enumerate(types)]
    with pytest.raises(LookupError, match="regions with 4_294_967_296 threads"):
        plan_region_grad(RoiReduceGrad("sum"), views[1:], views[:1])


def test_few_sources():
    """Of all the sizes that a detector has."""
    keys = set()
    for r, cells, size, c in [(1000, 7, 50, 256), (1000, 7, 25, 512), (300, 14, 200, 1024)]:
        types = [
            TensorType(s) for s in [(2, size, size, c), *[(2, r, cells, size)] * 2, (2, r, cells, cells, c)]
        ]
        views = [View.dense(k, t) for k, t in enumerate(types)]
        launches = plan_region(RoiReduce("sum"), views[:3], views[3:])
        launches += plan_region_grad(RoiReduceGrad("sum"), views[1:], views[:1])
        keys |= {launch.source.key for launch in launches}
    assert len(keys) == 4
