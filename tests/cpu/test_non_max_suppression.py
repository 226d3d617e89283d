"""`non_max_suppression` against its reference: ties, classes, thresholds, and boxes that are none."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.primitives import NonMaxSuppression
from tests.cpu.planned import run_primitive


def boxes_of(rng, n, b):
    # Whole numbers: overlaps are exact, and some boxes are equal, empty or upside down.
    low = rng.integers(0, 8, (n, 2, b))
    return np.concatenate([low, low + rng.integers(-1, 6, (n, 2, b))], axis=1).astype(np.float32)


def check(op, boxes, scores):
    np.testing.assert_array_equal(run_primitive(op, [boxes, scores])[0], op.reference(boxes, scores)[0])


@settings(max_examples=60)
@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 50),
    st.integers(0, 60),
    st.sampled_from([0.0, 0.3, 0.7]),
    st.sampled_from([None, 2.0, 100.0]),
    st.integers(0, 999),
)
def test_any_boxes(n, k, b, count, iou, score, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-4, 8, (n, k, b)).astype(np.float32)
    check(NonMaxSuppression(count, iou, score), boxes_of(rng, n, b), scores)


def test_a_class_may_have_boxes_of_its_own():
    rng = np.random.default_rng(1)
    boxes = np.stack([boxes_of(rng, 2, 40) for _ in range(3)], axis=1)
    check(NonMaxSuppression(30, 0.3), boxes, rng.integers(-4, 8, (2, 3, 40)).astype(np.float32))


def test_scores_that_are_no_numbers_are_never_kept():
    boxes = boxes_of(np.random.default_rng(0), 1, 20)
    scores = np.linspace(-1, 1, 20, dtype=np.float32).reshape(1, 1, 20).copy()
    scores[0, 0, [3, 17]] = np.nan
    scores[0, 0, [5, 19]] = -np.inf, np.inf
    boxes[0, 2, 4] = np.nan
    check(NonMaxSuppression(20, 0.4), boxes, scores)
    kept = NonMaxSuppression(20, 0.4).reference(boxes, scores)[0][0]
    assert kept[0] == 19 and not {3, 17, 5} & set(kept)


def test_a_class_drops_only_its_own():
    boxes = np.tile(np.array([0, 0, 4, 4], np.float32)[:, None], (1, 1, 3))
    scores = np.array([[[1, 3, 2], [9, 0, 9]]], np.float32)
    np.testing.assert_array_equal(NonMaxSuppression(4, 0.5).reference(boxes, scores)[0], [[3, 1, -1, -1]])
    check(NonMaxSuppression(4, 0.5), boxes, scores)
