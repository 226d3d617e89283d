"""Receptive fields behind upsampling, cell by cell, against what a change of each input cell reaches.

The networks have one spatial axis and few channels, so that one run with a changed cell per sample shows everything;
the geometry is that of the published ones.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from netdsl.ir import interpret
from netdsl.ops.expand import expand
from netdsl.ops.rebatch import with_batch
from netdsl.ops.receptive_field import receptive_fields
from tests.report.nets import graph_of

AXIS = """
block Double(c, pad = same) { in -> conv(c, 3, pad = pad) -> relu -> conv(c, 3, pad = pad) -> relu }
block Rest(c) { in -> add { | conv(c, 1) -> conv(c, 3, pad = same) | in } }
block Down(c) { in -> conv(c, 3, stride = 2, pad = same) }
block Up(c) in low, copy { concat(low -> conv_transpose(c, 2, stride = 2), copy) -> Double(c) }
block Twice(c) { in -> conv(c, 1) -> upsample(2) }
block Hole(c, d) { in -> conv(c, 3, pad = same, dilation = d) }
block Atrous(c) { in -> concat { | conv(c, 1) | Hole(c, 2) | Hole(c, 4) } }
block Same(c, k) { in -> conv(c, k, pad = same) }
block Pyramid(c) { in -> concat {
  | in
  | avg_pool(2) -> conv(c, 1) -> resize(16, bilinear)
  | avg_pool(4) -> conv(c, 1) -> resize(16, bilinear)
} }
"""
UPSAMPLED = {
    "pool and upsample": "48: in -> avg_pool(2) -> upsample(2)",
    "pool and bilinear": "48: in -> avg_pool(2) -> upsample(2, bilinear)",
    "pool and corners": "21: in -> avg_pool(3) -> upsample(2, bilinear, align_corners = true)",
    "transposed 1 by 2": "24: in -> conv_transpose(1, 2, stride = 2)",
    "transposed 1 by 3": "20: in -> conv_transpose(1, 1, stride = 3) -> conv(1, 3)",
    "transposed 3 by 2": "24: in -> conv_transpose(1, 3, stride = 2, pad = 1) -> conv(1, 3)",
    "transposed 4 by 2": "32: in -> conv(1, 4, stride = 2, pad = 1) -> conv_transpose(1, 4, stride = 2, pad = 1)",
    "transposed, dilated": "20: in -> conv_transpose(1, 3, stride = 2, dilation = 3, pad = 1)",
    "transposed, thrice": "12: in -> " + " -> ".join(3 * ["conv_transpose(1, 3, stride = 2, pad = same)"]),
    "resize up": "15: in -> conv(1, 3) -> resize(31)",
    "resize down": "31: in -> conv(1, 3) -> resize(13) -> conv(1, 3, pad = same)",
    "resize there and back": "30: in -> resize(20, bilinear) -> conv(1, 3, pad = same) -> resize(30, bilinear)",
    "pixel shuffle": "24: in -> conv(4, 5, stride = 2, pad = same) -> pixel_shuffle(2) -> conv(1, 3, pad = same)",
    "ESPCN": "24: in -> Same(4, 5) -> Same(4, 3) -> Same(3, 3) -> pixel_shuffle(3)",
    "upsampled, then strided": "24: in -> upsample(4) -> conv(1, 3, stride = 2) -> upsample(3) -> conv(1, 2)",
    "crop behind upsampling": "24: in -> avg_pool(2) -> upsample(2) -> crop(((1, 2),)) -> conv(1, 3)",
    "odd sizes": "35: in -> Down(1) -> Down(1) -> resize(18) -> conv(1, 3) -> resize(35)",
    "SegNet": "48: m = in -> Double(1); n = m -> max_pool(2) -> Double(1); p = n -> max_pool(2) -> Double(1);"
    " q = (p, n) -> max_unpool(2) -> Double(1); (q, m) -> max_unpool(2) -> Double(1)",
    "FCN": "64: a = in -> Down(2) -> Down(2); b = a -> Down(2); c = b -> Down(2);"
    " up = (c -> conv(2, 1) -> conv_transpose(2, 4, stride = 2, pad = 1)) + (b -> conv(2, 1));"
    " both = (up -> conv_transpose(2, 4, stride = 2, pad = 1)) + (a -> conv(2, 1));"
    " both -> conv_transpose(2, 8, stride = 4, pad = 2)",
    "FPN": "64: a = in -> Down(2) -> Down(2); b = a -> Down(2); c = b -> Down(2);"
    " d = (c -> upsample(2)) + (b -> conv(2, 1)); (d -> upsample(2)) + (a -> conv(2, 1)) -> conv(2, 3, pad = same)",
    "YOLO v3": "256: a = in -> Down(1) -> Down(1); b = a -> Down(1) -> Rest(1);"
    " c = b -> Down(1) -> Double(1); d = concat(c -> Twice(1), b) -> Same(1, 3);"
    " concat(d -> Twice(1), a) -> Double(1)",
    "U-Net": "64: a = in -> Double(2); b = a -> max_pool(2) -> Double(2); c = b -> max_pool(2) -> Double(2);"
    " ((c, b) -> Up(2), a) -> Up(2)",
    "DeepLab v3+": "129: a = in -> Down(1) -> Down(1); b = a -> Down(1) -> Atrous(1) -> resize(33, bilinear);"
    " concat(a, b) -> conv(1, 3, pad = same) -> resize(129, bilinear, align_corners = true)",
    "PSPNet": "32: in -> Down(1) -> Pyramid(1) -> conv(1, 3, pad = same) -> upsample(2, bilinear)",
    "stacked hourglass": "32: in -> repeat 2 { in -> add { | in | max_pool(2) -> Same(1, 3) -> upsample(2) } }",
}


def changed(graph, tries):
    """For each output cell the input cells that change it: sample k has another number in cell k."""
    (name,), (image,) = graph.outputs, graph.leaves("input")
    shape = image.types[0].shape[1:]
    program = expand(with_batch(graph, shape[0]))
    feeds = {n.id: np.ones(n.types[0].shape) for n in program.leaves("param")}
    rng, seen = np.random.default_rng(0), False
    for _ in range(tries):
        before = np.broadcast_to(rng.uniform(0, 1, shape), (shape[0], *shape))
        after = before + 100 * np.eye(shape[0])[:, :, None]
        base, got = (
            interpret(program, feeds | {image.id: x}, np.float64).outputs[name] for x in (before, after)
        )
        seen |= (abs(got - base) > 1e-9).any(-1).T
    return seen


@pytest.mark.parametrize("name", UPSAMPLED)
def test_behind_upsampling_cell_by_cell(name):
    size, text = UPSAMPLED[name].split(": ", 1)
    block = "block All() {\n" + text.replace("; ", "\n") + "\n}\n"
    graph = graph_of(f"{AXIS}{block}net N {{\n input x: [{size}, 1]\n output y = x -> All()\n}}")
    (field,) = receptive_fields(graph)[graph.outputs["y"].node]
    # Unpooling shows a cell only where the largest of its window happens to lie.
    seen = changed(graph, 40 if "unpool" in text else 1)
    spans = [field.all.at(cell) for cell in range(len(seen))]
    exact = 0
    for cells, (start, stop) in zip(seen, spans, strict=True):
        found = np.flatnonzero(cells)
        assert not found.size or (start <= found[0] and found[-1] < stop)
        if start >= 0 and stop <= int(size):
            exact += 1
            assert (start, stop) == (found[0], found[-1] + 1)
    assert exact and field.size == max(stop - start for start, stop in spans)


def test_the_unet_of_2015():
    """The one in the zoo, cut down to rows and one channel; 204 is also what its gradient says in two axes."""
    text = Path("examples/unet.net").read_text().split("preset")[0]
    text = re.sub(r"\[H = 256.*", "[572, 1]", text)
    text = re.sub(r"  columns = .*\n", "", text).replace("(columns // 2, columns - columns // 2)", "")
    text = re.sub(r"height\((\w+)\)", r"shape(\1)[0]", text)
    text = text.replace("c = 64", "c = 1").replace("pad = same) {", "pad = valid) {")
    graph = graph_of(text)
    (field,) = receptive_fields(graph)[graph.outputs["logits"].node]
    seen = changed(graph, 1)
    assert field.size == max(np.ptp(np.flatnonzero(cells)) + 1 for cells in seen) == 204
