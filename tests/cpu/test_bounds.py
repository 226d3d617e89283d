"""Plans are checked before they run: geometries that once ended the process, and faults that are planted."""

import numpy as np
import pytest

from netdsl import passes
from netdsl.backend.lower import lower
from netdsl.cpu.contract import bounds as bounds_contract
from netdsl.cpu.contract import winograd_bounds
from netdsl.cpu.contract.arguments import WORK_BYTES
from netdsl.cpu.kernels import bounds as bounds_kernels
from netdsl.cpu.planners import PLANNERS
from netdsl.cpu.target import CpuTarget
from netdsl.cpu.verify import PlanError, verify
from netdsl.elaborate import elaborate
from netdsl.ir import interpret
from netdsl.ops.expand import expand
from netdsl.runtime import Program
from netdsl.schedule import make_schedule
from netdsl.source import Source
from netdsl.train.memory_prediction import program_graph

# Each of these ended a run with SIGSEGV, or wrote behind its work buffer.
GEOMETRIES = [
    ([100, 768], "conv(1, 65, pad = same)", 1),
    ([80, 512], "conv(1, 400, pad = same)", 1),
    ([152, 512], "conv(2, 7, stride = 50, pad = full, dilation = 100)", 1),
    ([300, 512], "conv(512, 128, pad = same, groups = 16)", 1),
    ([1, 900, 96], "conv(4, (1, 31), pad = same)", 1),
    ([1, 300, 700], "conv(3, (1, 9), pad = same, dilation = (1, 12))", 1),
    ([40, 64], "conv(3, 5, pad = full, dilation = 2000)", 1),
    ([9, 6000], "conv(16, 9, pad = same)", 2),
    ([5, 9, 3000], "conv(16, (5, 3), pad = same)", 1),
]
IDS = [f"{shape} {layer}" for shape, layer, _ in GEOMETRIES]


def graph_of(shape, layer, batch):
    text = f"net G {{\n  input x: {shape}\n  output y = x -> {layer}\n}}\n"
    return passes.inference().run(expand(elaborate(Source("g.net", text), batch).graph))


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("case", GEOMETRIES, ids=IDS)
def test_plans_of_large_bands_stay_inside(case, lanes, monkeypatch):
    monkeypatch.setenv("NETDSL_LANES", str(lanes))
    schedule = make_schedule(graph_of(*case))
    for threads in (1, 2, 64):
        verify(lower(schedule, CpuTarget(threads)))


@pytest.mark.parametrize("case", GEOMETRIES, ids=IDS)
def test_large_bands_are_right(case):
    graph = graph_of(*case)
    rng = np.random.default_rng(0)
    feeds = {
        n.id: rng.standard_normal(n.types[0].shape).astype(np.float32)
        for n in (*graph.leaves("input"), *graph.leaves("param"))
    }
    program = Program(graph, threads=2)
    for name in program.weights:
        program.set(name, feeds[name])
    expected = interpret(graph, feeds, np.float64).outputs["y"]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(program.run({"x": feeds["x"]})["y"], expected, rtol=0, atol=2e-5 * scale)


def test_a_band_that_does_not_fit_is_found(monkeypatch):
    """What the planner did: a band of several MB into a work buffer that has less."""
    from netdsl.cpu.contract.correlate_plan import _Correlate

    monkeypatch.setattr(_Correlate, "_gathers", lambda self: False)
    schedule = make_schedule(graph_of(*GEOMETRIES[1]))
    with pytest.raises(
        PlanError, match=rf"plan of conv1.*uses bytes 0 to \d+ of a work buffer that has {WORK_BYTES}"
    ):
        verify(lower(schedule, CpuTarget(2)))


def test_every_driver_has_a_rule():
    drivers = {"correlate", "weight_gradient", "pack", "add_parts_driver", "depthwise", "depthwise_gradient"}
    drivers |= {"map", "reduce"} | {op.name for op in PLANNERS} - {"concat", "slice", "pad", "transpose"}
    drivers |= {"band_gradient", "winograd", "winograd_weights"}
    assert drivers == {*bounds_contract.RULES, *winograd_bounds.RULES, *bounds_kernels.RULES}


LENET = """net L {
  input x: [12, 12, 3]
  output y = x -> conv(8, 3, pad = 1) -> relu -> max_pool(2) -> depthwise_conv(3, pad = 1)
    -> conv(6, 3) -> global_avg_pool -> dense(5) -> softmax
}
"""
WINOGRAD = """net W {
  input x: [23, 22, 40]
  a = x -> conv(40, 3, pad = 1)
  b = a -> conv(40, 3, pad = 1)
  output y = relu(b + x) -> conv(17, 3, bias = false)
}
"""


def planned(text=LENET):
    graph = elaborate(Source("l.net", text), 2).graph
    return lower(make_schedule(passes.inference().run(expand(graph))), CpuTarget(2))


def step_of(lowered, driver, number=0):
    steps = [s for call in lowered.calls for s in call.steps if s.driver == driver]
    return steps[number]


# Driver, a field of its block, what it becomes, what is said: each a fault that would read or write elsewhere.
PLANTED = {
    "longer rows of the result": ("correlate", "c_row", lambda v: 2 * v, "writes bytes"),
    "an origin before the result": ("correlate", "c_origin", lambda v: -4, "negative"),
    "more groups than there are": ("correlate", "groups", lambda v: v + 1, "writes bytes"),
    "another panel of columns": ("correlate", "panels", lambda v: v + 1, "writes bytes"),
    "weights further apart": ("correlate", "b_step", lambda v: 2 * v, "reads bytes .* of packed"),
    "more planes": ("correlate", "planes", lambda v: 2 * v, "writes bytes"),
    "blocks that leave rows out": ("correlate", "row_blocks", lambda v: v + 1, "blocks of rows"),
    "tiles taller than kernels": ("correlate", "most", lambda v: 99, "no tile of 99 rows"),
    "another table of chunks": ("correlate", "chunks", lambda v: v + 8, "is not kept"),
    "more chunks": ("correlate", "chunk_count", lambda v: v + 1, "words"),
    "more units to pack": ("pack", "unit_count", lambda v: v + 1, "words"),
    "longer rows to pack": ("pack", "row", lambda v: 2 * v, "writes bytes .* of packed"),
    "more channels than there are": ("depthwise", "channels", lambda v: 3 * v, "reads bytes|writes bytes"),
    "inner pixels behind the line": ("depthwise", "inner_first", lambda v: v + 9, "inner pixels"),
    "a larger window map": ("reduce_window", "n", lambda v: 2 * v, "reads bytes"),
    "tiles of another image": ("winograd", "tiles", lambda v: v + 1, "no whole images"),
    "two more images of tiles": ("winograd", "tiles", lambda v: 3 * v, "bytes"),
    "a wider source": ("winograd", "width", lambda v: v + 1, "reads bytes"),
    "more rows of the result": ("winograd", "rows", lambda v: v + 1, "bytes"),
    "a column of tiles less": ("winograd", "tile_columns", lambda v: v - 1, "leave pixels out"),
    "more features": ("winograd", "features", lambda v: v + 8, "bytes"),
    "panels that are missing": ("winograd", "panels", lambda v: v - 1, "panels miss columns"),
    "more channels of tiles": ("winograd", "channels", lambda v: v + 1, "bytes|follow|chunks"),
    "positions of weights further apart": (
        "winograd",
        "b_position",
        lambda v: v + 4,
        "reads bytes .* of packed",
    ),
    "positions that overlap": ("winograd", "v_position", lambda v: v - 64, "tiles overlap"),
    "tiles over their products": ("winograd", "m_start", lambda v: v - 64, "overlap their products"),
    "products that overlap": ("winograd", "m_position", lambda v: v - 128, "products overlap"),
    "a larger block of tiles": ("winograd", "block_tiles", lambda v: v + 1, "tiles overlap"),
    "shorter rows of products": ("winograd", "m_row", lambda v: v - 4, "products overlap"),
    "tiles of another size": ("winograd", "edge", lambda v: 6 - v, "other tiles"),
    "larger panels of taps": ("winograd_weights", "size", lambda v: v + 4, "bytes"),
    "one panel more": ("winograd_weights", "panels", lambda v: v + 1, "bytes"),
    "positions further apart": ("winograd_weights", "position", lambda v: v + 4, "writes bytes .* of packed"),
    "a longer axis": ("map", "sizes", lambda v: v + 1, "bytes"),
    "a longer reduction": ("reduce", "sizes", lambda v: v + 1, "bytes"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_faults_are_named(name):
    driver, field, change, message = PLANTED[name]
    lowered = planned(WINOGRAD if driver.startswith("winograd") else LENET)
    verify(lowered)
    step = step_of(lowered, driver)
    word = step.args.layout[field].word
    step.args.words[word] = change(int(step.args.words[word]))
    with pytest.raises(PlanError, match=message) as caught:
        verify(lowered)
    assert "please report it" in str(caught.value) and "l.net:" in str(caught.value)


TRAINED = """net T {
  input x: [9, 9, 3]
  output y = x -> conv(40, 3, pad = 1, groups = 1) -> relu -> max_pool(3, stride = 2) -> depthwise_conv(3, pad = 1)
    -> conv(8, 3) -> conv(96, 2) -> flatten -> dense(5)
}
train {
  loss = cross_entropy(y, label)
  batch = 2
}
"""
BOXES = """net B {
  input boxes: [9, 4]
  input s: [9]
  output kept, _, _ = (boxes, s) -> nms(4, 0.5)
}
"""


def trained():
    made = elaborate(Source("t.net", TRAINED), 2)
    return lower(make_schedule(program_graph(made, 2, "training")), CpuTarget(2))


def suppressed():
    graph = elaborate(Source("b.net", BOXES), 2).graph
    return lower(make_schedule(passes.inference().run(expand(graph))), CpuTarget(2))


# Sizes and strides of a block, each of which is one more than the planner says, or as many times more as is said.
LARGER = {
    "weight_gradient": [
        "w_row",
        "y_pixel",
        "y_columns",
        "groups",
        "y_buffer=99",
        "last_tail",
        "panels",
    ],
    "band_gradient": [
        "w_row",
        "w_tap",
        "y_pixel",
        "y_columns=2",
        "terms=2",
        "kernel_rows",
        "tap_row=2",
        "y_buffer=999",
        "y_buffer=0",
        "band_span=99",
        "rows",
        "parts",
        "last_tail",
        "panels",
    ],
    "depthwise_gradient": [
        "parts",
        "w_bytes=2",
        "channels=3",
        "rows",
        "y_pixel=2",
        "a_pixel=2",
        "count_width=2",
    ],
    "add_parts_driver": ["parts", "count", "stride=2"],
    "reduce_window_grad": ["n", "c=2", "x_pitch=2", "g_pitch=2", "out_pitch=2"],
    "non_max_suppression": ["n", "k", "b", "line=9", "count", "sample=9"],
}


@pytest.mark.parametrize(("driver", "change"), [(d, c) for d, changes in LARGER.items() for c in changes])
def test_larger_sizes_leave_their_buffers(driver, change):
    lowered = suppressed() if driver == "non_max_suppression" else trained()
    verify(lowered)
    field, _, factor = change.partition("=")
    args = step_of(lowered, driver).args
    word = args.layout[field].word
    args.words[word] = args.words[word] * int(factor) if factor else args.words[word] + 1
    with pytest.raises(PlanError, match=r"the plan of .* is wrong"):
        verify(lowered)
