"""Which values lie in others, for targets that take gaps and for those that do not."""

import numpy as np
import pytest

from netdsl.ir import TensorType
from netdsl.primitives import Concat, Input, Pad, Param, PrimitiveBuilder, State
from netdsl.schedule import Layout, make_schedule

ONES = (1, 1, 1, 1)


def anything(node, side, index, view):
    return True


def rows_only(node, side, index, view):
    return view.layout <= Layout.ROWS


@pytest.fixture
def b():
    return PrimitiveBuilder()


def image(b, channels=8, n=1, name="x"):
    return b.add1(Input(TensorType((n, 4, 5, channels))), name=name)


def twice(b, x):
    return b.map(lambda a: a * 2.0, x)


def names(schedule):
    return [c.node.op.name for c in (*schedule.prepare, *schedule.run)]


def place(schedule, value):
    (found,) = [v for c in schedule.run for v, o in zip(c.results, c.node.outputs, strict=True) if o == value]
    return found.buffer, found.offset, found.strides


def test_a_growing_concatenation_is_one_buffer(b):
    """As in DenseNet: each concatenation is the first operand of the next."""
    x = image(b)
    parts = [twice(b, x)]
    whole = parts[0]
    for _ in range(3):
        parts.append(b.map(lambda a: a + 1.0, b.slice(twice(b, whole), (0, 0, 0, 0), (1, 4, 5, 8))))
        whole = b.add1(Concat(3), whole, parts[-1])
    schedule = make_schedule(b.finish({"y": twice(b, whole)}), anything)
    assert set(names(schedule)) == {"map"}
    places = [place(schedule, v) for v in parts]
    assert [p[0] for p in places] == [places[0][0]] * 4
    assert [p[1] for p in places] == [0, 32, 64, 96]
    assert {p[2] for p in places} == {(2560, 640, 128, 4)}


def test_targets_without_gaps_still_join_along_the_first_axis(b):
    first, second = twice(b, image(b, n=2)), twice(b, image(b, n=3, name="z"))
    across = b.add1(Concat(3), twice(b, first), b.map(lambda a: a + 1.0, first))
    schedule = make_schedule(b.finish({"y": twice(b, b.add1(Concat(0), first, second)), "c": across}))
    assert names(schedule).count("concat") == 1
    assert place(schedule, second)[1] == 2 * 4 * 5 * 8 * 4
    assert all(v.layout is Layout.DENSE for c in schedule.run for v in (*c.operands, *c.results))


def test_a_slice_is_read_where_it_lies(b):
    whole = twice(b, image(b))
    channels = b.slice(whole, (0, 0, 0, 2), (1, 4, 5, 4))
    crop = b.slice(whole, (0, 1, 1, 0), (1, 2, 3, 8))
    graph = b.finish({"a": twice(b, channels), "b": twice(b, crop)})
    assert names(make_schedule(graph, anything)) == ["map"] * 3
    assert sorted(names(make_schedule(graph, rows_only))) == ["map", "map", "map", "slice"]
    assert names(make_schedule(graph)).count("slice") == 2


def test_zeros_are_put_around_what_is_in_its_place(b):
    x = twice(b, image(b))
    padded = b.add1(Pad((0, 1, 0, 3), ONES, (1, 6, 5, 16)), x)
    schedule = make_schedule(b.finish({"y": twice(b, padded)}), anything)
    assert names(schedule) == ["map", "pad", "map"]
    buffer, offset, strides = place(schedule, x)
    assert (buffer, offset) == (place(schedule, padded)[0], 4 * (80 + 3))
    assert strides[1:] == (320, 64, 4)


def test_what_cannot_be_a_part_is_copied(b):
    """A leaf, the same value twice, a value of two concatenations, and a reshape that mixes rows and columns."""
    x = image(b)
    a, c = twice(b, x), b.map(lambda v: v + 3.0, x)
    mixed = b.reshape(b.map(lambda v: v - 1.0, x), (1, 4, 4, 10))
    other = b.map(lambda v: v * v, b.reshape(a, (1, 4, 4, 10)))
    outputs = {
        "leaf": b.add1(Concat(3), x, c),
        "twice": b.add1(Concat(3), a, a),
        "mixed": b.add1(Concat(3), mixed, other),
    }
    schedule = make_schedule(b.finish(outputs), anything)
    (leaf, same, mix) = [call for call in schedule.run if call.node.op.name == "concat"]
    inside = [[v.buffer == call.results[0].buffer for v in call.operands] for call in (leaf, same, mix)]
    assert inside == [[False, True], [False, False], [False, True]]


def test_what_is_in_another_value_is_not_overwritten(b):
    """A map may write over a value that nothing reads any more, but not while a concatenation with it is read."""
    x = image(b)
    a, c = twice(b, x), b.map(lambda v: v + 3.0, x)
    whole = b.add1(Concat(3), a, c)
    later = b.map(lambda v: v * 3.0, a)
    schedule = make_schedule(b.finish({"later": later, "whole": b.map(lambda v: v - 1.0, whole)}), anything)
    assert place(schedule, later)[0] != place(schedule, a)[0]


def test_slices_of_weights_that_are_updated_are_copied(b):
    w = b.add1(State(TensorType((4, 8))), name="w")
    part = b.slice(w, (0, 0), (2, 8))
    b.update(w, b.map(lambda v: v + 1.0, w))
    schedule = make_schedule(b.finish({"y": b.map(lambda v: v * 2.0, part)}), anything)
    assert "slice" in names(schedule)


def test_weights_that_are_joined_are_prepared_in_place(b):
    w = b.add1(Param(TensorType((3, 8))), name="w")
    x = b.add1(Input(TensorType((2, 3))), name="x")
    joined = b.add1(Concat(1), b.map(lambda v: v * 2.0, w), b.map(lambda v: v * np.float32(3), w))
    schedule = make_schedule(b.finish({"y": b.matmul(x, joined)}), anything)
    assert [c.node.op.name for c in schedule.prepare] == ["map", "map"]
    assert schedule.buffers[schedule.prepare[0].results[0].buffer].kind == "fixed"


@pytest.mark.parametrize("kind", ["pads", "slices", "concatenations"])
def test_parts_of_parts_many_levels_deep(kind):
    """Neither Python's stack nor a square of the depth is in the way."""
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((1, 2, 1500))))
    x = b.map(lambda a: a + 1.0, x)
    for k in range(1200):
        if kind == "pads":
            x = b.add1(Pad((0, 0, 0), (1, 1, 1), (1, 2, 1501 + k)), x)
        elif kind == "slices":
            x = b.slice(x, (0, 0, 1), (1, 2, 1499 - k))
        else:
            x = b.concat([x, b.map(lambda a: a * 2.0, b.slice(x, (0, 0, 0), (1, 2, 1)))], 2)
    x = b.map(lambda a: a + 1.0, x)
    schedule = make_schedule(b.finish({"y": x}), lambda *_: True)
    assert len([u for u in schedule.buffers if u.kind == "varying"]) <= 2 + (kind == "concatenations")
