"""Operations layer by layer, as Darknet counts them.

The tables in `darknet/` are what `darknet ops` prints (Debian's package, 2018-09-14) of the configurations that it
ships; those of the classifiers were given our input size. A multiply-add is two operations.
"""

import re
from pathlib import Path

import pytest

from netdsl.elaborate import elaborate
from netdsl.report import summarize
from netdsl.syntax.read import read_source

EXAMPLES = Path(__file__).parents[2] / "examples"
TABLES = Path(__file__).parent / "darknet"
NETWORKS = [
    ("darknet", "darknet19", "darknet_ref", {}),
    ("darknet19", "darknet19", "darknet19", {}),
    ("darknet53", "darknet53", None, {}),
    ("vgg-16", "vgg", "vgg16", {}),
    ("yolov2", "yolo_v2", None, {}),
    ("yolov3", "yolo_v3", None, {"H": "608", "W": "608"}),
    ("yolov3-tiny", "tiny_yolo_v3", None, {}),
]
DENSE = re.compile(r" *\d+ connected +(\d+) +-> +(\d+)")
LAYER = re.compile(r" *\d+ conv +(\d+) +(\d+) x *\d+ */ *(\d+).*-> *(\d+) x *(\d+) x *(\d+) +([\d.]+) BFLOPs")


def printed(name):
    """Each layer with weights as (kernel, stride, output shape, operations in billions), and the exact total."""
    text = (TABLES / f"{name}.txt").read_text()
    convs = [(list(map(int, m.groups()[1:6])), m[7]) for m in map(LAYER.match, text.splitlines()) if m]
    layers = [(k, s, (h, w, c), flops) for (k, s, w, h, c), flops in convs]
    dense = [(int(m[1]), int(m[2])) for m in map(DENSE.match, text.splitlines()) if m]
    layers += [(1, 1, (1, 1, units), f"{2 * width * units / 1e9:.3f}") for width, units in dense]
    return layers, int(re.search(r"Operations: (\d+)", text)[1])


def layers_of(graph):
    """The same of ours: a dense layer is a 1x1 convolution of one pixel, as it is in some of Darknet's files."""
    rows = {row.name: row for row in summarize("", graph).rows}
    for node in graph:
        if node.op.name in ("conv", "dense"):
            dense, row = node.op.name == "dense", rows[node.id]
            kernel, stride = (1, 1) if dense else (node.op.kernel, node.op.stride)
            yield kernel, stride, (1, 1, *row.shape) if dense else row.shape, f"{2 * row.macs / 1e9:.3f}"


@pytest.mark.parametrize(("table", "file", "net", "settings"), NETWORKS, ids=[row[0] for row in NETWORKS])
def test_operations_equal_darknets_layer_by_layer(table, file, net, settings):
    graph = elaborate(read_source(EXAMPLES / f"{file}.net"), net=net, overrides=settings).graph
    layers, total = printed(table)
    assert len(layers) > 5
    assert sorted(layers_of(graph)) == sorted(layers)
    assert 2 * summarize("", graph).totals.macs == total
