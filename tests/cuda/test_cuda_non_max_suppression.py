"""`non_max_suppression` on the GPU against its reference, its PTX emulated."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="compiling for a GPU needs numba-cuda, which is not installed")

from netdsl.cuda.compiler import compile_ptx
from netdsl.cuda.kernels.non_max_suppression import plan_suppress
from netdsl.ir import TensorType
from netdsl.primitives import NonMaxSuppression
from netdsl.schedule import View
from tests.cuda.emulated import CAPABILITY, emulated


def boxes_of(rng, *shape):
    """Whole numbers: overlaps are exact, and some boxes are equal, empty or upside down."""
    *lead, b = shape
    low = rng.integers(0, 8, (*lead, 2, b))
    return np.concatenate([low, low + rng.integers(-1, 6, low.shape)], axis=-2).astype(np.float32)


def check(op, boxes, scores):
    np.testing.assert_array_equal(
        emulated(plan_suppress, op, boxes, scores)[0], op.reference(boxes, scores)[0]
    )


@pytest.mark.parametrize(
    ("n", "k", "b", "count"),
    [
        (1, 1, 1, 1),
        (2, 3, 50, 60),
        (1, 2, 64, 5),
        (2, 1, 300, 300),
        (3, 4, 33, 1),
        (1, 3, 900, 40),
        (2, 2, 5, 0),
    ],
)
@pytest.mark.parametrize(("iou", "score"), [(0.0, 2.0), (0.3, None), (0.7, 100.0)])
def test_boxes(n, k, b, count, iou, score):
    rng = np.random.default_rng(b)
    check(
        NonMaxSuppression(count, iou, score),
        boxes_of(rng, n, b),
        rng.integers(-4, 8, (n, k, b)).astype(np.float32),
    )


def test_many_that_are_kept_are_held_against_all():
    """A grid of boxes of which every second overlaps its neighbour by half."""
    rng = np.random.default_rng(0)
    x = np.arange(700, dtype=np.float32)
    boxes = np.stack([x, 0 * x, x + 2, 0 * x + 1])[None]
    check(NonMaxSuppression(400, 0.3), boxes, rng.permutation(700).astype(np.float32).reshape(1, 1, 700))


def test_a_class_may_have_boxes_of_its_own():
    rng = np.random.default_rng(1)
    check(
        NonMaxSuppression(90, 0.3),
        boxes_of(rng, 2, 3, 70),
        rng.integers(-4, 8, (2, 3, 70)).astype(np.float32),
    )


def test_scores_that_are_no_numbers_are_never_kept():
    boxes = boxes_of(np.random.default_rng(0), 1, 20)
    scores = np.linspace(-1, 1, 20, dtype=np.float32).reshape(1, 1, 20).copy()
    scores[0, 0, [3, 17]] = np.nan
    scores[0, 0, [5, 19]] = -np.inf, np.inf
    boxes[0, 2, 4] = np.nan
    check(NonMaxSuppression(20, 0.4), boxes, scores)


def test_overlaps_are_those_of_float32():
    """Boxes whose overlap is the threshold, up to rounding."""
    rng = np.random.default_rng(2)
    boxes = np.concatenate([rng.uniform(0, 1, (1, 2, 128)), rng.uniform(1, 2, (1, 2, 128))], axis=1).astype(
        np.float32
    )
    scores = rng.uniform(0, 1, (1, 1, 128)).astype(np.float32)
    for threshold in overlaps_of(boxes[0], int(scores.argmax()))[:4]:
        check(NonMaxSuppression(128, float(threshold)), boxes, scores)


def test_products_are_rounded_by_themselves():
    """No compiler may make a fused multiply-add of an area and a sum, which the CPU does not."""
    views = [View.dense(k, TensorType(shape)) for k, shape in enumerate([(1, 4, 9), (1, 1, 9)])]
    launches = plan_suppress(NonMaxSuppression(3, 0.5), views, [View.dense(2, TensorType((1, 3), "i64"))])
    ptx = compile_ptx(launches[-1].source, CAPABILITY)
    assert "mul.rn.f32" in ptx and "mul.f32" not in ptx and "fma" not in ptx


def overlaps_of(boxes, number):
    low, high = np.maximum(boxes[:2], boxes[:2, number, None]), np.minimum(boxes[2:], boxes[2:, number, None])
    common = np.prod(np.maximum(high - low, 0), axis=0)
    areas = np.prod(boxes[2:] - boxes[:2], axis=0)
    return common / (areas + areas[number] - common)


def test_no_boxes():
    check(NonMaxSuppression(3, 0.5), np.zeros((2, 4, 0), np.float32), np.zeros((2, 3, 0), np.float32))
    check(NonMaxSuppression(3, 0.5), np.zeros((0, 4, 5), np.float32), np.zeros((0, 3, 5), np.float32))
