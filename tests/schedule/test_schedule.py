import numpy as np
import pytest

from netdsl.ir import TensorType
from netdsl.primitives import Input, Param, PrimitiveBuilder, State
from netdsl.schedule import execution_order, make_schedule


def leaf(b, kind, name, *shape):
    return b.add1(kind(TensorType(shape)), name=name)


def momentum_step():
    """w and its velocity: the update of w reads the new velocity, a late reader the old w."""
    b = PrimitiveBuilder()
    x, w, v = leaf(b, Input, "x", 4, 3), leaf(b, Param, "w", 3, 3), leaf(b, State, "v", 3, 3)
    y = b.matmul(x, w)
    new_v = b.map(lambda a, c: 0.9 * a + c, v, w)
    b.update(v, new_v)
    b.update(w, b.map(lambda a, c: a - c, w, new_v))
    return b.finish({"z": b.matmul(y, w)})


def test_updates_come_after_every_reader_of_the_old_value():
    graph = momentum_step()
    order = [n.id for n in execution_order(graph)]
    assert order.index(graph.updates["w"].node) > order.index(graph.outputs["z"].node)
    assert order.index(graph.updates["v"].node) < order.index(graph.updates["w"].node)


def test_updates_come_after_readers_of_the_old_value_under_another_shape():
    b = PrimitiveBuilder()
    x, w = leaf(b, Input, "x", 2, 6), leaf(b, Param, "w", 4, 3)
    flat = b.reshape(b.reshape(w, (2, 6)), (6, 2))
    b.update(w, b.map(lambda a: a - 1.0, w))
    graph = b.finish({"y": b.matmul(x, flat)})
    order = [n.id for n in execution_order(graph)]
    assert order.index(graph.updates["w"].node) > order.index(graph.outputs["y"].node)
    schedule = make_schedule(graph)
    assert schedule.copies == () and [c.node.op.name for c in schedule.run] == ["contract", "map"]


def test_an_output_that_is_a_leaf_under_another_shape_has_memory_of_its_own():
    b = PrimitiveBuilder()
    w = leaf(b, State, "w", 4)
    b.update(w, b.map(lambda a: a + 1.0, w))
    schedule = make_schedule(b.finish({"old": b.reshape(w, (2, 2))}))
    assert schedule.outputs["old"] != schedule.leaves["w"]


def test_updates_are_computed_in_place():
    schedule = make_schedule(momentum_step())
    assert schedule.copies == ()
    written = {view.buffer for call in schedule.run for view in call.results}
    assert {schedule.leaves["w"], schedule.leaves["v"]} <= written


def test_swapped_leaves_are_copied():
    b = PrimitiveBuilder()
    p, q = leaf(b, State, "p", 2), leaf(b, State, "q", 2)
    b.update(p, q)
    b.update(q, b.map(lambda a: a + 1.0, p))
    schedule = make_schedule(b.finish({}))
    results = [r.buffer for call in schedule.run for r in call.results]
    assert len(results) == len(set(results)) == 2
    new = {schedule.leaves[leaf]: leaf for leaf in ("p", "q")}
    assert all(old.buffer in new for old, _ in schedule.copies)


def test_an_output_that_is_a_leaf_has_memory_of_its_own():
    b = PrimitiveBuilder()
    w = leaf(b, State, "w", 2)
    b.update(w, b.map(lambda a: a + 1.0, w))
    schedule = make_schedule(b.finish({"old": w}))
    assert schedule.outputs["old"].buffer != schedule.leaves["w"]


def test_what_depends_on_weights_alone_is_prepared():
    b = PrimitiveBuilder()
    x, w = leaf(b, Input, "x", 4, 3), leaf(b, Param, "w", 3, 3)
    scaled = b.map(lambda a, c: a * c, w, b.const(np.float32(2)))
    schedule = make_schedule(b.finish({"y": b.matmul(x, scaled)}))
    assert [c.node.id for c in schedule.prepare] == [scaled.node]
    assert schedule.buffers[schedule.prepare[0].results[0].buffer].kind == "fixed"


def test_a_dying_operand_lends_its_memory_to_a_map():
    b = PrimitiveBuilder()
    x = leaf(b, Input, "x", 4, 4)
    y = b.map(lambda a: a + 1.0, b.map(lambda a: a * 2.0, x))
    schedule = make_schedule(b.finish({"y": y}))
    assert sum(buffer.kind == "varying" for buffer in schedule.buffers) == 1
    broadcast = b.map(lambda a, c: a + c, b.map(lambda a: a * 3.0, x), b.reshape(y, (4, 1, 4)))
    schedule = make_schedule(b.finish({"z": broadcast}))
    call = schedule.run[-1]
    assert call.results[0].buffer not in {v.buffer for v in call.operands}


@pytest.mark.parametrize(
    "compute",
    [
        lambda b, x: b.transpose(x, (1, 0)),
        lambda b, x: b.matmul(x, x),
        lambda b, x: b.reduce("sum", lambda a: a, x, axes=(0,), keepdims=True),
    ],
    ids=["transpose", "contract", "reduce"],
)
def test_other_nodes_write_where_no_operand_is(compute):
    """Their loops read elements again after the first results are there."""
    b = PrimitiveBuilder()
    x = b.map(lambda a: a * 2.0, leaf(b, Input, "x", 4, 4))
    schedule = make_schedule(b.finish({"y": compute(b, x)}))
    *_, call = schedule.run
    assert {v.buffer for v in call.results}.isdisjoint(v.buffer for v in call.operands)


def test_a_small_operand_that_dies_is_no_place_for_the_result():
    b = PrimitiveBuilder()
    x, row = leaf(b, Input, "x", 4, 4), leaf(b, Input, "row", 4)
    kept, small = b.map(lambda a: a + 1.0, x), b.map(lambda a: a * 2.0, row)
    schedule = make_schedule(b.finish({"kept": kept, "y": b.map(lambda a, c: a + c, small, kept)}))
    *_, call = schedule.run
    assert {v.buffer for v in call.results}.isdisjoint(v.buffer for v in call.operands)
