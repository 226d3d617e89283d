"""Views against NumPy: the bytes of `numpy.ndarray(shape, ..., offset, strides)` are those of the view."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netdsl.ir import TensorType
from netdsl.schedule import Layout, View

BYTES = 1 << 13


def elements(view):
    """The first byte of every element, as NumPy walks them."""
    whole = np.arange(BYTES)
    return np.ndarray(view.shape, np.int64, whole, 8 * view.offset, [8 * s for s in view.strides])


def touched(view):
    return {int(b) + k for b in elements(view).reshape(-1) for k in range(view.item)}


@st.composite
def views(draw, ranks=(1, 4)):
    """A slice of a slice of a dense buffer."""
    shape = draw(st.lists(st.integers(1, 5), min_size=ranks[0], max_size=ranks[1]))
    view = View.dense(0, TensorType(tuple(shape), draw(st.sampled_from(["f32", "i64", "bool"]))))
    for _ in range(draw(st.integers(0, 2))):
        step = [draw(st.sampled_from([1, 1, 1, 2])) for _ in view.shape]
        start = [draw(st.integers(0, n - 1)) for n in view.shape]
        left = [(n - 1 - a) // d + 1 for n, a, d in zip(view.shape, start, step, strict=True)]
        view = view.sliced(start, step, [draw(st.integers(1, n)) for n in left])
    return view


@given(views())
def test_layouts_are_what_their_names_say(view):
    places = elements(view)
    dense = (np.diff(places.reshape(-1)) == view.item).all()
    rows = places.reshape(-1, view.shape[-1])
    packed = (np.diff(rows, axis=1) == view.item).all()
    even = len(set(np.diff(rows[:, 0]).tolist())) <= 1
    assert (view.layout == Layout.DENSE) == dense
    assert (view.layout <= Layout.ROWS) == bool(dense or (packed and even))
    if view.layout <= Layout.ROWS and len(rows) > 1:
        assert view.pitch == rows[1, 0] - rows[0, 0]


@given(views(), st.data())
def test_reshaping_keeps_the_elements_or_is_refused(view, data):
    count = view.type.size
    first = data.draw(st.sampled_from([n for n in range(1, count + 1) if count % n == 0]))
    second = data.draw(st.sampled_from([n for n in range(1, count // first + 1) if count // first % n == 0]))
    shape = (first, second, count // first // second)
    found, places = view.reshaped(shape), elements(view)
    flat = places.copy()
    if found is not None:
        np.testing.assert_array_equal(elements(found), flat.reshape(shape))
    else:
        with pytest.raises(AttributeError):
            places.shape = shape  # NumPy says so where a copy would be needed


@given(views(ranks=(3, 3)), st.permutations(range(3)))
def test_transposing(view, order):
    np.testing.assert_array_equal(elements(view.transposed(order)), elements(view).transpose(order))


def test_slicing_backwards_and_outside():
    view = View.dense(0, TensorType((4, 3)))
    np.testing.assert_array_equal(elements(view.sliced((3, 0), (-1, 1), (4, 3))), elements(view)[::-1])
    assert view.sliced((0, 0), (-1, 1), (1, 3)) == View(0, TensorType((1, 3)), (-12, 4))
    for start, step, count in ((-1, 1, 2), (2, 1, 3), (4, 1, 1), (4, -1, 2), (1, -1, 3)):
        with pytest.raises(ValueError, match="has no elements"):
            view.sliced((start, 0), (step, 1), (count, 3))
    assert view.sliced((4, 0), (1, 1), (0, 3)).offset == 0  # nothing is nowhere


@given(views(ranks=(2, 3)), views(ranks=(2, 3)))
def test_views_that_share_a_byte_overlap_and_those_inside_are_subsets(a, b):
    if touched(a) & touched(b):
        assert a.overlaps(b)
    if a.inside(b):
        assert touched(a) <= touched(b)


def test_other_buffers_hold_nothing_of_a_view():
    ours, theirs = (View.dense(k, TensorType((2, 3))) for k in (0, 1))
    assert not ours.inside(theirs) and not ours.overlaps(theirs) and ours.inside(ours)


def test_parts_of_a_concatenation_do_not_overlap():
    whole = View.dense(0, TensorType((2, 5, 7, 12)))
    parts = [whole.sliced((0, 0, 0, a), (1,) * 4, (2, 5, 7, n)) for a, n in ((0, 5), (5, 1), (6, 6))]
    for k, part in enumerate(parts):
        assert part.layout is Layout.ROWS
        assert part.pitch == 48
        assert part.inside(whole)
        assert not whole.inside(part)
        assert [part.overlaps(other) for other in parts] == [k == j for j in range(3)]
        assert part.reshaped((70, part.shape[-1])).pitch == 48
        assert part.reshaped((2, 5, 7 * part.shape[-1])) is None or part.shape[-1] == 1


@given(views(ranks=(2, 3)), st.data())
def test_what_a_view_holds_is_its_own(view, data):
    own = touched(view)
    first = data.draw(st.integers(max(0, min(own) - 2), max(own)))
    length = data.draw(st.integers(1, 12))
    strides = [s for s in view.strides if s] + [1, 4]
    over = [
        (data.draw(st.integers(1, 4)), data.draw(st.sampled_from(strides)))
        for _ in range(data.draw(st.integers(0, 2)))
    ]
    starts = [first]
    for count, stride in over:
        starts = [s + k * stride for s in starts for k in range(count)]
    if view.holds(first, length, over):
        assert {s + k for s in starts for k in range(length)} <= own


def test_rows_are_held_with_gaps_left_out():
    part = View.dense(0, TensorType((6, 12))).sliced((0, 3), (1, 1), (6, 5))
    assert part.holds(12, 20, [(6, 48)])
    assert part.holds(16, 4, [(2, 96), (2, 48), (3, 4)])
    assert not part.holds(12, 24, [(6, 48)])  # a float of the next part
    assert not part.holds(12, 20, [(7, 48)])
    assert not part.holds(8, 4)


@pytest.mark.parametrize(
    ("shape", "pitch"), [((3, 5), 20), ((1, 5), 20), ((5,), 20), ((), 4), ((0, 5), 20), ((3, 1), 4)]
)
def test_rows_of_a_dense_view_are_as_far_apart_as_they_are_long(shape, pitch):
    assert View.dense(0, TensorType(shape)).pitch == pitch


def test_views_that_run_backwards():
    whole = View.dense(0, TensorType((4,)), 16)
    back = whole.sliced((3,), (-1,), (4,))
    low, high = whole.sliced((1,), (-1,), (2,)), whole.sliced((3,), (-1,), (2,))
    assert elements(back).tolist() == [28, 24, 20, 16]
    assert back.inside(whole) and whole.inside(back) and low.inside(back) and not back.inside(low)
    assert low.overlaps(back) and not low.overlaps(high) and not high.overlaps(low)
    assert whole.holds(28, 4, [(4, -4)]) and back.holds(28, 4, [(4, -4)])
    assert whole.holds(99, 0) and whole.holds(99, 4, [(0, 4)]) and not whole.holds(99, 4)
    assert not whole.holds(24, 4, [(4, -4)]) and not whole.holds(32, 4, [(4, -4)])


def test_over_a_larger_space_what_is_repeated_stands_still():
    view = View.dense(0, TensorType((4, 1, 5)))
    assert view.over((4, 1, 5)) == (20, 0, 4) and view.over((2, 4, 3, 5)) == (0, 20, 0, 4)
    assert View.dense(0, TensorType(())).over((2, 3)) == (0, 0)
    assert View(0, TensorType((2,)), (4,)) == View.dense(0, TensorType((2,)), 0)
