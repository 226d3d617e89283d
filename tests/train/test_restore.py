"""Graphs from files: what the parser cannot know is checked before they run."""

import numpy as np
import pytest

from netdsl.ir import TensorType, format_graph
from netdsl.ops import BY_NAME
from netdsl.primitives import Const, Input, PrimitiveBuilder
from netdsl.runtime.artifact import Model
from netdsl.source import NetError
from netdsl.train.restore import inference_program, restore_graph


def text(*lines, returned="y=%y"):
    return "graph {\n" + "\n".join(lines) + f"\nreturn {returned}\n}}"


X = "%x = input{type=f32[2,4]}() : f32[2,4]"
Y = "%y = relu(%x) : f32[2,4]"


@pytest.mark.parametrize(
    "lines, returned, message",
    [
        ([X, "%z = input{type=f32[3,4]}() : f32[3,4]", Y], "y=%y", "are not of one batch"),
        (["%x = input{type=f32[]}() : f32[]", "%y = relu(%x) : f32[]"], "y=%y", "are not of one batch"),
        ([X, Y], "y=%y aux y", "has no output"),
        ([X, Y], "", "has no output"),
        (
            ["%random/key = input{type=f32[2,4]}() : f32[2,4]", "%y = relu(%random/key) : f32[2,4]"],
            "y=%y",
            "keeps for itself",
        ),
        ([X, "%y = relu(%z) : f32[2,4]"], "y=%y", "%z is not defined before"),
    ],
)
def test_graphs_that_cannot_run(lines, returned, message, tmp_path):
    with pytest.raises(NetError) as caught:
        restore_graph(Model("N", text(*lines, returned=returned)), tmp_path / "m.safetensors")
    assert message in str(caught.value) and "m.safetensors" in str(caught.value)


def test_a_batch_that_does_not_fit(tmp_path):
    """A constant with the batch of its day."""
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((2, 4))), name="x")
    c = b.add1(Const(np.ones((2, 4), np.float32)), name="c")
    y = b.add1(BY_NAME["add"](), x, c)
    graph = restore_graph(Model("N", format_graph(b.finish({"y": y}))), tmp_path)
    assert inference_program(graph, 2).run({"x": np.zeros((2, 4))})["y"].sum() == 8
    with pytest.raises(NetError, match="the network cannot take 3 samples at a time"):
        inference_program(graph, 3)
