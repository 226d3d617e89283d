"""Boxes: numbers worked out by hand."""

import numpy as np
import pytest

from netdsl.ops.anchors import Anchors
from netdsl.ops.box_decode import BoxDecode
from netdsl.ops.iou import Giou, Iou


@pytest.mark.parametrize(
    "box, iou, giou",
    [
        ((0, 0, 2, 2), 0, 0),
        ((1, 1, 3, 3), 1 - 1 / 7, 1 - 1 / 7 + 2 / 9),
        ((3, 0, 4, 2), 1, 1 + 2 / 8),  # apart
        ((2, 0, 4, 2), 1, 1),  # side by side
        ((2, 0, 0, 2), 1, 1),  # empty
    ],
)
def test_overlap_with_a_square(box, iou, giou):
    p, t = np.array([box], np.float64), np.array([[0, 0, 2, 2.0]])
    np.testing.assert_allclose(Iou().reference(p, t)[0], iou, atol=1e-6)
    np.testing.assert_allclose(Giou().reference(p, t)[0], giou, atol=1e-6)


def test_anchors_keep_their_area():
    (got,) = Anchors((8.0,), (16.0,), (0.25, 1.0, 4.0), (1.0, 2.0)).reference(np.zeros((1, 1, 1, 3)))
    expected = [(32, 8), (16, 16), (8, 32), (64, 16), (32, 32), (16, 64)]
    np.testing.assert_array_equal(got[0, :, 2:] - got[0, :, :2], expected)
    np.testing.assert_array_equal((got[0, :, 2:] + got[0, :, :2]) / 2, [(4, 4)] * 6)


def test_anchors_go_along_the_rows():
    (got,) = Anchors((8.0, 4.0), (2.0, 6.0), offset=0.0).reference(np.zeros((1, 2, 3, 1)))
    centres = (got[0, :, :2] + got[0, :, 2:]) / 2
    np.testing.assert_array_equal(centres[::2], [(x, y) for y in (0, 8) for x in (0, 4, 8)])
    np.testing.assert_array_equal(got[0, :2], [(-1, -1, 1, 1), (-3, -3, 3, 3)])


def test_no_deltas_give_the_anchor():
    anchors = np.array([[3.0, 4, 13, 9]])
    np.testing.assert_array_equal(BoxDecode().reference(np.zeros((1, 4)), anchors)[0], anchors)
    moved = BoxDecode((10.0, 10.0, 5.0, 5.0)).reference(np.array([[1, 2, 5 * np.log(2), 0]]), anchors)[0]
    np.testing.assert_allclose(moved, [[-1, 5, 19, 10]])
