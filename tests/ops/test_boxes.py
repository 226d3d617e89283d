"""Boxes: numbers worked out by hand."""

import numpy as np
import pytest

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
