"""Output shapes for odd input sizes on 300 random settings, against ONNX' shape inference and PyTorch."""

import numpy as np
import onnx
import pytest

from netdsl.interop.onnx import OnnxGraph, to_onnx
from netdsl.ir import ShapeError, TensorType
from netdsl.ops.conv import Conv
from netdsl.ops.conv_transpose import ConvTranspose
from netdsl.ops.lp_pool import LpPool
from netdsl.ops.pool import AvgPool, MaxPool
from netdsl.primitives import Input, Param, PrimitiveBuilder

SIZES = (63, 97, 225, 301)


def settings(number):
    """One of the ops with settings drawn from the number, and the size of its input."""
    rng = np.random.default_rng(number)

    def one(*choices):
        return choices[rng.integers(len(choices))]

    kernel, stride = int(rng.integers(1, 8)), int(rng.integers(1, 5))
    size = tuple(int(rng.choice(SIZES)) for _ in range(2))
    pads = tuple(tuple(int(n) for n in rng.integers(0, kernel, 2)) for _ in range(2))
    match number % 4:
        case 0:
            pad = one("same", "valid", "full", "same_upper", "same_lower", int(rng.integers(0, 4)), pads)
            return Conv(2, kernel, stride, pad, int(rng.integers(1, 4))), size
        case 1:
            extra = int(rng.integers(0, stride))
            pad = one("valid", int(rng.integers(0, kernel)), pads)
            return ConvTranspose(2, kernel, stride, pad, extra, int(rng.integers(1, 3))), size
        case 2:
            pad = one("valid", "same_upper", int(rng.integers(0, kernel // 2 + 1)))
            return MaxPool(kernel, stride, pad, one(True, False), int(rng.integers(1, 4))), size
    pad, ceil = one("valid", "same_lower", int(rng.integers(0, kernel // 2 + 1))), one(True, False)
    if number % 8 == 7:
        return LpPool(kernel, stride, pad, ceil), size
    return AvgPool(kernel, stride, pad, ceil, include_pad=one(True, False)), size


def graph_of(op, size):
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((1, *size, 3))), name="image")
    params = [b.add1(Param(TensorType(p.shape)), name=p.name) for p in op.params(b.type(x))]
    return b.finish({"y": b.add1(op, x, *params, name="op")})


def sized(model):
    """The model without the shapes that its exporter wrote down, and with those that ONNX infers."""
    del model.graph.value_info[:]
    for result in model.graph.output:
        result.type.tensor_type.ClearField("shape")
    (result,) = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph.output
    return tuple(d.dim_value for d in result.type.tensor_type.shape.dim)


@pytest.mark.parametrize("number", range(300))
def test_shape(number):
    op, size = settings(number)
    try:
        graph = graph_of(op, size)
    except ShapeError as error:
        assert "pad must be below" in error.message or "output_padding" in error.message
        return
    if (
        op.onnx(
            OnnxGraph(), [n.types[0] for n in graph if not n.inputs], *(n.id for n in graph if not n.inputs)
        )
        is None
    ):
        assert op.name == "avg_pool" and op.ceil and op.include_pad
        return
    assert graph.type(graph.outputs["y"]).shape == sized(to_onnx(graph))


@pytest.mark.torch
@pytest.mark.parametrize("number", range(300))
def test_shape_as_in_pytorch(number):
    torch = pytest.importorskip("torch")
    op, size = settings(number)
    pad = 0 if op.pad == "valid" else op.pad
    if not isinstance(pad, int) or (pad and op.name == "lp_pool"):
        pytest.skip("PyTorch has no such pads")
    layers = {
        "conv": lambda: torch.nn.Conv2d(3, 2, op.kernel, op.stride, pad, op.dilation),
        "conv_transpose": lambda: torch.nn.ConvTranspose2d(
            3, 2, op.kernel, op.stride, pad, op.output_padding, dilation=op.dilation
        ),
        "max_pool": lambda: torch.nn.MaxPool2d(op.size, op.stride, pad, op.dilation, ceil_mode=op.ceil),
        "lp_pool": lambda: torch.nn.LPPool2d(2, op.size, op.stride, op.ceil),
        "avg_pool": lambda: torch.nn.AvgPool2d(op.size, op.stride, pad, op.ceil),
    }
    try:
        graph = graph_of(op, size)
    except ShapeError:
        with pytest.raises(RuntimeError):
            layers[op.name]()(torch.zeros(1, 3, *size))
        return
    _, *spatial, _ = graph.type(graph.outputs["y"]).shape
    assert tuple(spatial) == tuple(layers[op.name]()(torch.zeros(1, 3, *size)).shape[2:])
