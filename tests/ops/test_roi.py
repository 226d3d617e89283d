"""Regions of interest: boxes of every sort, and maps that are known everywhere."""

import numpy as np
import pytest

from netdsl.ir import TensorType, interpret
from netdsl.ops.expand import expand
from netdsl.ops.roi_align import RoiAlign
from netdsl.ops.roi_pool import PsRoiPool, RoiPool
from netdsl.primitives import Input, PrimitiveBuilder
from netdsl.runtime import Program

BOXES = [
    (-3.4, -2.5, 3.3, 1.7),  # over the corner
    (-9, -9, -5, -5),  # outside
    (2, 2, 2, 2),  # a point
    (5, 6, 1, 2),  # upside down
    (0, 0, 6, 5),  # all of the map
    (-30, -40, 50, 60),  # far more than the map
    (2.5, 1.5, 4.5, 3.5),  # halves
    (0.01, 0.02, 0.03, 0.05),
]


def graph_of(op, *shapes):
    b = PrimitiveBuilder()
    values = [b.add1(Input(TensorType(s)), name=f"x{k}") for k, s in enumerate(shapes)]
    return expand(b.finish({"y": b.add1(op, *values)}))


@pytest.mark.parametrize(
    "op",
    [
        RoiAlign(3),
        RoiAlign(2, 0.5, 2),
        RoiAlign(2, aligned=False),
        RoiAlign((1, 4), 1.7, 3, False),
        RoiPool(3),
        RoiPool((2, 1), 0.5),
        PsRoiPool(2),
        PsRoiPool((1, 4), 2.0),
    ],
    ids=str,
)
def test_boxes_of_every_sort(op):
    x = np.random.default_rng(5).normal(size=(1, 5, 6, 8)).astype(np.float32)
    boxes = np.array([BOXES], np.float32)
    graph = graph_of(op, x.shape, boxes.shape)
    (expected,) = op.reference(x.astype(np.float64), boxes.astype(np.float64))
    feeds = {"x0": x, "x1": boxes}
    np.testing.assert_allclose(interpret(graph, feeds).outputs["y"], expected, atol=1e-4)
    np.testing.assert_allclose(Program(graph, threads=2).run(feeds)["y"], expected, atol=1e-4)


def test_roi_align_of_a_slope_is_the_centre_of_the_cell():
    place = np.stack(np.meshgrid(np.arange(12) + 0.5, np.arange(10) + 0.5), axis=-1)[None]
    (got,) = RoiAlign(2, 0.5).reference(place, np.array([[[4.0, 6, 12, 18]]]))
    np.testing.assert_allclose(got[0, 0], [[(3, 4.5), (5, 4.5)], [(3, 7.5), (5, 7.5)]])


def test_roi_pool_counts_both_corners():
    x = np.arange(30.0).reshape(1, 5, 6, 1)
    (got,) = RoiPool(2).reference(x, np.array([[[1.0, 1, 3, 4]]]))
    np.testing.assert_array_equal(got[0, 0, :, :, 0], [[14, 15], [26, 27]])
    (got,) = PsRoiPool(1).reference(x, np.array([[[1.0, 1, 3, 4]]]))
    assert got.item() == x[0, 1:4, 1:3].mean()
