"""`concat`, `gather` and `scatter`: bit for bit what NumPy moves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.primitives import Concat, Gather, Scatter
from tests.cpu.planned import run_primitive

KINDS = (np.float32, np.int64, np.bool_)


def values(shape, kind, seed=0):
    return np.random.default_rng(seed).integers(0, 2 if kind is np.bool_ else 99, shape).astype(kind)


def check(op, arrays):
    for got, want in zip(run_primitive(op, arrays), op.reference(*arrays), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_concat(kind, axis):
    shapes = [tuple(n if k == axis else s for k, s in enumerate((3, 4, 9))) for n in (1, 5, 0, 17)]
    check(Concat(axis), [values(s, kind, k) for k, s in enumerate(shapes)])


@st.composite
def boxes(draw):
    whole = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)))
    start = tuple(draw(st.integers(-3, 9)) for _ in whole)
    step = tuple(draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in whole)
    part = tuple(draw(st.integers(0, 7)) for _ in whole)
    return whole, start, step, part


@settings(max_examples=40, deadline=None)
@given(boxes(), st.sampled_from(KINDS))
def test_gather_and_scatter(box, kind):
    whole, start, step, part = box
    check(Gather(start, step, part), [values(whole, kind)])
    check(Scatter(start, step, whole), [values(part, kind)])


def test_padding_and_flip_of_images():
    x = values((2, 6, 7, 5), np.float32)
    check(Gather((0, -2, -1, 0), (1, 1, 1, 1), (2, 9, 10, 5)), [x])
    check(Gather((0, 0, 6, 0), (1, 1, -1, 1), (2, 6, 7, 5)), [x])
