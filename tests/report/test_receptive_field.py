"""Receptive fields against what a change of each input cell reaches."""

import numpy as np
import pytest

from netdsl.ir import interpret
from netdsl.ops.expand import expand
from netdsl.ops.receptive_field import receptive_fields
from tests.report.nets import graph_of

BLOCKS = """
block Unit(c, d = 1) { in -> add { | conv(c, 3, pad = same, dilation = d) | in } }
block Rest() { 1 - where(in > 0.5, in, 2) }
block Wide(c) { in -> concat { | conv(c, 1) | conv(c, 3, pad = same) | conv(c, 5, pad = same) } }
"""
NETS = {
    "two convolutions": "conv(2, 3) -> conv(2, 3)",
    "stride and pool": "conv(2, 5, stride = 2, pad = same) -> avg_pool(2) -> conv(2, 3, pad = same)",
    "valid after same": "conv(2, 3, pad = same) -> conv(2, 3) -> avg_pool(3, stride = 2)",
    "dilation": "conv(2, 3, pad = same, dilation = 2) -> conv(2, 3, pad = same, dilation = 4)",
    "a skip": "Unit(1) -> Unit(1)",
    "a dilated skip": "Unit(1, 3) -> conv(2, 3, stride = 2)",
    "numbers": "conv(2, 3) -> Rest() -> conv(2, 3, pad = same)",
    "branches": "Wide(2) -> avg_pool(2) -> Wide(1)",
    "one axis": "conv(2, (1, 5), stride = (1, 2), pad = same) -> conv(2, (3, 1), pad = same)",
    "uneven pads": "conv(2, 4, pad = same) -> conv(2, 2, stride = 2, pad = same_upper)",
    "down and across": "conv(2, 3, stride = 2, pad = same) -> Unit(2) -> conv(2, 2, stride = 2)",
}


def reached(graph):
    """For each output cell the input cells that change it, as two boolean maps per axis."""
    program = expand(graph)
    (image,) = program.leaves("input")
    feeds = {n.id: np.ones(n.types[0].shape) for n in program.leaves("param")}
    height, width = image.types[0].shape[1:3]

    def run(x):
        return interpret(program, feeds | {image.id: x}).outputs["y"]

    base = run(np.zeros(image.types[0].shape))
    seen = np.zeros((*base.shape[1:3], height, width), bool)
    for i in range(height):
        for k in range(width):
            x = np.zeros(image.types[0].shape)
            x[0, i, k] = 1
            seen[:, :, i, k] = (run(x) != base).any((0, 3))
    return seen


@pytest.mark.parametrize("name", NETS)
def test_equal_to_what_a_changed_cell_reaches(name):
    graph = graph_of(f"{BLOCKS} net N {{ input x: [23, 21, 1]\n output y = x -> {NETS[name]} }}")
    fields = receptive_fields(graph)[graph.outputs["y"].node]
    assert fields is not None
    seen, exact = reached(graph), 0
    for axis, field in enumerate(fields):
        both = seen.any((1 - axis, 3 - axis))  # of this axis alone: [output cell, input cell]
        for cell, cells in enumerate(both):
            first, last = np.flatnonzero(cells)[[0, -1]]
            start, stop = field.all.at(cell)
            assert start <= first and last < stop, (axis, cell)
            # At the border a path may end in the padding of a layer between.
            if start >= 0 and stop <= len(cells):
                exact += 1
                assert (first, last) == (start, stop - 1), (axis, cell)
    assert exact


def test_the_smallest_is_that_of_the_shortest_path():
    graph = graph_of(f"{BLOCKS} net N {{ input x: [23, 21, 1]\n output y = x -> Unit(1) -> conv(1, 3) }}")
    height, _ = receptive_fields(graph)[graph.outputs["y"].node]
    assert (height.smallest, height.size) == (3, 5)
