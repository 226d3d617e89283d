"""What the rules state of steps reaches both ends of every buffer: one that lacks a byte is found."""

import pytest

from netdsl import passes
from netdsl.backend.lower import lower
from netdsl.cpu.bounds import Broken, Claims, Room
from netdsl.cpu.contract.bounds import _Columns
from netdsl.cpu.target import CpuTarget
from netdsl.cpu.verify import RULES, PlanError, _Rooms, verify
from netdsl.ir import TensorType
from netdsl.ops.expand import expand
from netdsl.schedule import Layout, View, make_schedule
from tests.cpu.test_bounds import WINOGRAD, planned, step_of, trained
from tests.ops.samples import GOOD, build
from tests.ops.test_conformance import with_gradients

OPS = [
    "roi_align",
    "ps_roi_pool",
    "nms",
    "gather",
    "top_k",
    "max_pool",
    "depthwise_conv",
    "conv",
    "reduce_max",
]
# Of a picture that is mirrored first, windows two apart leave the last column out.
SAMPLES = [s for s in GOOD if s.op.name in OPS and not s.training and "reflect" not in str(s)]


def plan(sample):
    """The steps of an op and its gradients."""
    graph, names = build(sample)
    wrt = [n for k, n in enumerate(names) if k not in sample.fixed]
    target = CpuTarget(2)
    primitives = passes.inference(target).run(with_gradients(expand(graph), wrt))
    return lower(make_schedule(primitives), target)


def unnoticed(lowered):
    """The dense views of which, for all that the steps of their call state, a byte at one end may lack."""
    buffers = [View.dense(k, b.type) for k, b in enumerate(lowered.buffers)]
    for call in (*lowered.prepare, *lowered.calls):
        rooms = _Rooms(call, buffers)
        places = {}
        for step in call.steps:
            for slot in step.slots.values():
                places.setdefault(rooms.of(slot).view, []).append((step, slot))
        for view, users in places.items():
            if view.layout is Layout.DENSE and view.type.nbytes:
                fewer = TensorType((view.type.nbytes - 1,), "bool")
                for start in (0, 1):
                    short = Room("it", View.dense(view.buffer, fewer, view.offset + start))
                    if not any(broken(step, slot, rooms, short) for step, slot in users):
                        yield call.node.id, view, start


def broken(step, slot, rooms, room):
    """Whether a step has no place in a room that it gets for one of its own."""
    try:
        RULES[step.driver](Claims(step, lambda other: room if other is slot else rooms.of(other)))
    except Broken:
        return True
    return False


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_buffer_that_lacks_a_byte_is_found(sample):
    lowered = plan(sample)
    verify(lowered)
    assert not list(unnoticed(lowered))


@pytest.mark.parametrize("made", [planned, trained, lambda: planned(WINOGRAD)])
def test_a_buffer_of_a_net_that_lacks_a_byte_is_found(made):
    assert not list(unnoticed(made()))


def test_a_field_without_a_buffer_is_named():
    lowered = planned()
    del step_of(lowered, "reduce_window").slots["out"]
    with pytest.raises(PlanError, match="out points at no buffer"):
        verify(lowered)


def test_the_panel_before_the_last_may_end_behind_it():
    """Three panels, each 8 bytes on: two vectors of eight columns, but the last one has a single column."""
    columns = _Columns(count=3, vectors=2, ending=1, lanes=8, tail=1)
    assert columns.stored(8) == columns.read(8) == 8 + 2 * 8 * 4
