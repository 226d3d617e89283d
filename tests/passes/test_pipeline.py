import time

import numpy as np
import pytest

from netdsl.ir import Graph, Interpreted, TensorType, VerifyError, interpret
from netdsl.passes import PASSES, Hooks, Log, Pass, PassError, Pipeline, inference, training
from netdsl.passes.check import compare, random_feeds
from netdsl.passes.pipeline import FixedPoint
from netdsl.primitives import Input, Map, Param, PrimitiveBuilder
from netdsl.scalar import Arg, maximum, sigmoid
from netdsl.source import NetError, Source, Span


def small():
    """One dense layer with a bias and a relu."""
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((2, 3))), name="x")
    w, c = b.add1(Param(TensorType((3, 4))), name="w"), b.add1(Param(TensorType((4,))), name="b")
    y = b.map(lambda a: maximum(a, 0.0), b.map(lambda a, d: a + d, b.matmul(x, w), c))
    return b.finish({"y": y})


class Shift(Pass):
    """A pass that is wrong on purpose."""

    name = "shift"

    def run(self, graph, log):
        b = PrimitiveBuilder(graph)
        return b.finish({k: b.map(lambda a: a + 0.001, v) for k, v in graph.outputs.items()})


class Untyped(Pass):
    name = "untyped"

    def run(self, graph, log):
        nodes = list(graph)
        return Graph(reversed(nodes), graph.outputs)


def test_a_dense_layer_becomes_one_node():
    computing = [n for n in inference().run(small()) if n.inputs]
    assert [n.op.name for n in computing] == ["contract"]


def test_rewritten_nodes_say_where_they_come_from():
    b = PrimitiveBuilder()
    text = Source("a.net", "dense relu")
    x = b.add1(Input(TensorType((2, 3))), name="x")
    w = b.add1(Param(TensorType((3, 4))), name="w")
    (y,) = b.add(small()["contract"].op, x, w, name="dense", span=Span(text, 0, 5))
    (z,) = b.add(Map((maximum(Arg(0), 0.0),)), y, name="relu", span=Span(text, 6, 10))
    hooks = Hooks()
    graph = inference().run(b.finish({"z": z}), hooks)
    assert graph["relu"].origin == ("relu", "dense")
    assert graph["relu"].span.text == "dense"
    (event,) = hooks.log.events
    assert [s.text for s in event.spans] == ["dense", "relu"]
    assert event.bytes_saved == hooks.log.bytes_saved == 2 * 8 * 4


def test_passes_can_be_left_out():
    graph = inference().without(["fuse_epilogue", "fuse_maps"]).run(small())
    assert [n.op.name for n in graph if n.inputs] == ["contract", "map", "map"]
    names = [p.name for p in training()]
    for left_out in ("fuse_maps", "merge_maps"):  # one of those that repeat, and one that runs once
        assert [p.name for p in training().without([left_out])] == [n for n in names if n != left_out]


def test_an_unknown_pass_gets_a_suggestion():
    with pytest.raises(NetError, match="no pass is called fuse_map") as error:
        training().without(["fuse_map"])
    assert error.value.diagnostics[0].fix == "did you mean fuse_maps?"
    with pytest.raises(NetError, match="nonsense"):
        training().run(small(), Hooks(print_after=("nonsense",)))


def test_graphs_are_printed_after_the_passes_asked_for():
    printed = []
    inference().run(small(), Hooks(print_after=("fuse_epilogue",), write=printed.append))
    assert printed and all(text.startswith("# after fuse_epilogue\ngraph {") for text in printed)


def test_every_run_of_a_pass_is_timed():
    hooks = Hooks()
    inference().run(small(), hooks)
    assert {t.by for t in hooks.log.timings} == {p.name for p in PASSES}
    assert all(t.seconds >= 0 for t in hooks.log.timings)


def test_a_pass_that_changes_results_is_caught():
    Pipeline((Shift(),)).run(small())
    with pytest.raises(PassError, match="shift changed output y"):
        Pipeline((Shift(),)).run(small(), Hooks(check=True))


def test_the_first_difference_is_told_and_nan_is_none():
    before = Interpreted({"y": np.array([1.0, np.nan, 3.0])}, {})
    compare("shift", before, before)
    with pytest.raises(PassError, match=r"shift changed output y: 4\.0 at \[2\], before 3\.0"):
        compare("shift", before, Interpreted({"y": np.array([1.0, np.nan, 4.0])}, {}))


def test_a_pass_that_breaks_the_graph_is_caught():
    with pytest.raises(VerifyError, match="not defined before"):
        Pipeline((Untyped(),)).run(small())


def test_passes_repeat_until_nothing_changes():
    class Count(Pass):
        name = "count"
        runs = 0

        def run(self, graph, log):
            Count.runs += 1
            return graph

    Pipeline((FixedPoint((Count(), Count())),)).run(small())
    assert Count.runs == 2


def test_long_chains_stay_within_the_limits():
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((4,))), name="x")
    for _ in range(60):
        x = b.map(lambda a: a * a - 0.5, x)
    graph = b.finish({"x": x})
    small_graph = inference().run(graph)
    assert 2 < len(small_graph) < 40
    feeds = random_feeds(graph)
    np.testing.assert_array_equal(
        interpret(small_graph, feeds).outputs["x"], interpret(graph, feeds).outputs["x"]
    )


def test_a_thousand_nodes_take_less_than_a_second():
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((8, 16))), name="x")
    for k in range(165):
        w, c = (
            b.add1(Param(TensorType((16, 16))), name=f"w{k}"),
            b.add1(Param(TensorType((16,))), name=f"b{k}"),
        )
        y = b.map(lambda a, d: a + d, b.matmul(x, w), c)
        x = b.map(lambda a, s: a + s, b.map(lambda a: a * sigmoid(a), y), x)
    graph = b.finish({"y": x})
    assert len(graph) > 980
    start = time.process_time()
    inference().run(graph)
    assert time.process_time() - start < 10


def test_a_pass_that_runs_again_replaces_its_own_refusals_alone():
    node, log = small()["x"], Log()
    for by in ("a", "b"):
        log.refused(by, [node], "no")
        log.rewrote(by, [node], "done")
    log.begin("a")
    assert [(e.by, e.action) for e in log.events] == [("a", "rewrote"), ("b", "refused"), ("b", "rewrote")]
