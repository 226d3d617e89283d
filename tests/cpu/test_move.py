"""`concat`, `slice`, `pad`, `transpose`, `gather`: bit for bit what NumPy moves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.primitives import Concat, Gather, Pad, ScatterAdd, Slice, Transpose
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


@settings(max_examples=40)
@given(boxes(), st.sampled_from(KINDS))
def test_gather_and_scatter(box, kind):
    whole, start, step, part = box
    check(Slice(start, step, part), [values(whole, kind)])
    check(Pad(start, step, whole), [values(part, kind)])


def test_padding_and_flip_of_images():
    x = values((2, 6, 7, 5), np.float32)
    check(Slice((0, -2, -1, 0), (1, 1, 1, 1), (2, 9, 10, 5)), [x])
    check(Slice((0, 0, 6, 0), (1, 1, -1, 1), (2, 6, 7, 5)), [x])


@settings(max_examples=40)
@given(st.data(), st.sampled_from(KINDS))
def test_transpose(data, kind):
    shape = data.draw(st.lists(st.sampled_from([1, 2, 3, 5, 9, 17]), min_size=1, max_size=5))
    order = data.draw(st.permutations(range(len(shape))))
    check(Transpose(tuple(order)), [values(shape, kind)])


@st.composite
def rows(draw):
    shape = draw(st.lists(st.sampled_from([1, 2, 3, 9, 17, 70]), min_size=1, max_size=4))
    axis = draw(st.integers(0, len(shape) - 1))
    index = draw(st.lists(st.sampled_from([0, 3]), max_size=2))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return shape, axis, rng.integers(-2, shape[axis] + 2, [n or 4 for n in index])


@settings(max_examples=60)
@given(rows(), st.sampled_from(KINDS))
def test_take_and_put_add(case, kind):
    shape, axis, index = case
    check(Gather(axis), [values(shape, kind), index])
    there = (*shape[:axis], *index.shape, *shape[axis + 1 :])
    check(ScatterAdd(axis, shape[axis]), [values(there, np.float32, 1), index])


def test_an_index_far_outside_reads_and_writes_nothing():
    index = np.array([2**62, -(2**62), 1, 2**31])
    x = values((3, 5), np.float32)
    check(Gather(0), [x, index])
    check(ScatterAdd(0, 3), [values((4, 5), np.float32), index])
