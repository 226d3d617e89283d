"""What steps must do: operations and bytes counted by hand, and times at a roofline that is known."""

from itertools import pairwise
from pathlib import Path

import pytest

import netdsl
from netdsl.backend.ceilings import Ceilings, Level
from netdsl.backend.layout import lay_out
from netdsl.backend.registry import find_target
from netdsl.cost import primitive_flops
from netdsl.elaborate import elaborate
from netdsl.measure.demand import Demand, Moved, demands
from netdsl.measure.layer import kind_of, layer_of, place_text
from netdsl.source import Source
from netdsl.train.memory_prediction import program_graph

EXAMPLES = Path(__file__).parents[2] / "examples"
LEVELS = (Level(1 << 10, 100.0, 50.0), Level(1 << 20, 20.0, 10.0))
ROOF = Ceilings(1000.0, LEVELS)


def laid_out(file, net=None, mode="inference", batch=1):
    network, target = netdsl.load(EXAMPLES / f"{file}.net", net=net), find_target("cpu", threads=2)
    return lay_out(program_graph(network, batch, mode, target), target), network


@pytest.mark.parametrize(
    ("reach", "seconds"), [(0, 1.0), (1 << 10, 1.0), (1 << 15, 100 / 60), (1 << 20, 5.0), (1 << 30, 5.0)]
)
def test_bandwidth_lies_on_a_line_between_what_was_measured(reach, seconds):
    assert ROOF.read_time(100, reach) == pytest.approx(seconds)
    assert ROOF.write_time(100, reach) == pytest.approx(2 * seconds)


def test_the_limits_of_a_step():
    work = Demand(7, 250, (Moved(100, 0, False), Moved(50, 0, True), Moved(40, 1 << 20, False)))
    assert work.limits(ROOF) == pytest.approx({"compute": 0.5, "memory": 1 + 1 + 2})
    assert work.bytes == 190


def test_operations_and_bytes_of_a_dense_layer():
    """84 to 10: 840 multiply-adds and 10 additions; 84 numbers in, 10 out, a bias, and the packed weights."""
    layout, _ = laid_out("lenet5")
    (call, work), *_ = [
        (c, w) for c, w in zip(layout.lowered.run, demands(layout), strict=True) if c.node.id == "dense3.map"
    ]
    packed = layout.lowered.buffers[call.packed].type.nbytes
    assert packed >= 4 * 840
    assert (work.flops, work.bytes) == (2 * 840 + 10, packed + 4 * (84 + 10 + 10))
    # An epilogue's addition is work of its own.
    assert work.additions == 840 + 10


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_nothing_is_counted_twice(mode):
    layout, _ = laid_out("resnet", "resnet18", mode, batch=2)
    counted = sum(
        primitive_flops(call.node, [view.type for view in call.operands]) for call in layout.lowered.run
    )
    assert (
        sum(work.flops for work in demands(layout))
        == counted
        > 2 * 2 * 1_814_073_344 * (1 if mode == "inference" else 2)
    )


def test_weights_are_found_where_the_last_run_left_them():
    """All else was touched since; what the step before made was touched in that step, with its operands."""
    text = "net N { input x: [64]\n output y = x -> dense(1024) -> dense(2048) -> dense(512) }"
    network, target = elaborate(Source("n.net", text)), find_target("cpu", threads=1)
    found = demands(lay_out(program_graph(network, 1, "inference", target), target))
    total = sum(w.bytes for w in found)
    assert total == pytest.approx(4 * (64 * 1024 + 1024 * 2048 + 2048 * 512), rel=0.01)
    for before, work in pairwise(found):
        x, weights, _, made = work.moved
        assert [m.written for m in work.moved] == [False, False, False, True]
        assert weights.reach == pytest.approx(total, rel=0.01)
        assert before.bytes == pytest.approx(x.reach) and made.reach <= total
    assert found[1].moved[1].size == 4 * 1024 * 2048


def test_layers_by_name_with_what_is_fused():
    layout, network = laid_out("resnet", "resnet18")
    layers = [layer_of(call.node, network.graph) for call in layout.lowered.run]
    fused = next(one for one in layers if one.name == "stage1.basic1.conv_bn2.conv1")
    assert fused.along == ("batch_norm", "add", "relu")
    assert place_text(fused.span) == "resnet_blocks.net:4"
    assert {one.name for one in layers if not one.along} == {"stem1.max_pool1", "global_avg_pool1", "dense1"}


def test_gradients_and_updates_belong_to_their_layers():
    layout, network = laid_out("lenet5", mode="training")
    calls = layout.lowered.run
    names = {call.node.id: layer_of(call.node, network.objective).name for call in calls}
    assert names["grad/conv2.contract.contract_1"] == "conv2"
    assert names["check/dense3.weight.reduce"] == "dense3"
    updates = [n for call in calls for n in [call.node.id] if n.startswith("update/")]
    assert updates and {names[n] for n in updates} <= {"conv1", "conv2", "dense1", "dense2", "dense3"}
    kinds = {kind_of(call.node, []) for call in calls}
    assert {"contract forward", "contract backward_data", "contract backward_weights", "map"} <= kinds
