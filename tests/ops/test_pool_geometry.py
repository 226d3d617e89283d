"""Pools over 700 small geometries - ceil, pads, dilation, maps smaller than a window - as other tools have them."""

import math

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from netdsl.autodiff import grad
from netdsl.ir import ShapeError, TensorType, interpret
from netdsl.ops.pool import AvgPool, MaxPool
from netdsl.primitives import Input, PrimitiveBuilder
from netdsl.runtime import Program

SMALL = (1, 2, 3, 4, 5, 7, 9)
NUMBERS = range(700)


def geometry(number):
    """The size of a map and settings drawn from the number; pads of half a window at most, as PyTorch wants it."""
    rng = np.random.default_rng(number)
    size = tuple(int(rng.choice(SMALL)) for _ in range(2))
    window = tuple(int(n) for n in rng.integers(1, 5, 2))
    stride, dilation = (tuple(int(n) for n in rng.integers(1, high, 2)) for high in (5, 4))
    pad = tuple(int(rng.integers(0, k // 2 + 1)) for k in window)
    return size, {
        "size": window, "stride": stride, "dilation": dilation, "pad": pad, "ceil": number % 3 > 0
    }  # fmt: skip


def windows(size, s):
    """Per axis the cells inside of every window; PyTorch's rule, a window at a time."""
    for n, k, step, d, p in zip(size, s["size"], s["stride"], s["dilation"], s["pad"], strict=True):
        room = (n + 2 * p - d * (k - 1) - 1) / step
        count = (math.ceil(room) if s["ceil"] else math.floor(room)) + 1
        if s["ceil"] and (count - 1) * step >= n + p:
            count -= 1
        yield [[c for c in range(o * step - p, o * step - p + k * d, d) if 0 <= c < n] for o in range(count)]


def pooled(op, size):
    """The graph of a pool and of the gradient of the sum of its squares."""
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((1, *size, 2))), name="x")
    (y,) = op.expand(b, x)
    op.infer(b.type(x))
    loss = b.reduce("sum", lambda v: v * v, y, axes=range(4))
    return grad(b.finish({"y": y, "loss": loss}), "loss", ["x"])


def image(size):
    """Different numbers, most of them below 0."""
    x = np.random.default_rng(0).permutation(2 * math.prod(size))
    return x.reshape(1, *size, 2).astype(np.float32) - math.prod(size) - 5


def first(x):
    return np.moveaxis(x, -1, 1)


def by_onnxruntime(kind, x, s, **settings):
    """The node of this kind; None where the runtime refuses it."""
    settings |= {"kernel_shape": s["size"], "strides": s["stride"], "dilations": s["dilation"]}
    node = helper.make_node(
        kind, ["x"], ["y"], pads=[*s["pad"], *s["pad"]], ceil_mode=int(s["ceil"]), **settings
    )
    types = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 2, None, None])] for n in "xy"]
    graph = helper.make_graph([node], "pool", *types)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return np.moveaxis(session.run(None, {"x": first(x)})[0], 1, -1)


@pytest.mark.parametrize(
    ("size", "window", "stride", "pad", "cells"),
    [
        (5, 2, 3, 0, 2),
        (6, 3, 2, 0, 3),  # the last one has two cells
        (5, 2, 3, 1, 2),  # a third one would begin behind the map, in the padding
        (6, 2, 3, 1, 3),
        (4, 1, 3, 0, 2),
        (3, 1, 4, 0, 1),  # a second one would begin past the map
    ],
)
def test_the_last_window_of_ceil_begins_in_the_map_or_before_it(size, window, stride, pad, cells):
    """Counted by hand, by the rule of PyTorch's documentation of MaxPool1d."""
    for op in (MaxPool, AvgPool):
        (y,) = op(window, stride, pad=pad, ceil=True).infer(TensorType((1, size, 2)))
        assert y.shape == (1, cells, 2)


@pytest.mark.parametrize("part", range(7))
def test_max_pool_as_onnxruntime(part):
    taken = 0
    for number in NUMBERS[part::7]:
        size, s = geometry(number)
        cells = list(windows(size, s))
        try:
            graph = pooled(MaxPool(**s), size)
        except ShapeError as error:
            # What is refused has no result, or windows without a cell: minus infinity in PyTorch.
            none = not all(cells) if "does not fit" in error.message else not all(map(all, cells))
            assert none, (number, error.message)
            continue
        taken += 1
        x = image(size)
        ours = (
            Program(graph, threads=1).run({"x": x}) if number % 5 == 0 else interpret(graph, {"x": x}).outputs
        )
        np.testing.assert_array_equal(ours["y"], by_onnxruntime("MaxPool", x, s), str(number))
        best = [
            max(x[0, i, k, 0] for i in rows for k in columns) for rows in cells[0] for columns in cells[1]
        ]
        assert ours["y"][..., 0].ravel().tolist() == best
    assert taken > 55


@pytest.mark.torch
@pytest.mark.parametrize("op", [MaxPool, AvgPool])
def test_values_and_gradients_as_pytorch(op):
    torch = pytest.importorskip("torch")
    taken = 0
    for number in NUMBERS:
        size, s = geometry(number)
        if op is AvgPool:
            s["dilation"] = 1
        t = torch.tensor(first(image(size)), requires_grad=True)
        settings_ = (t, s["size"], s["stride"], s["pad"])
        try:
            graph = pooled(op(**s), size)
        except ShapeError as error:
            try:
                y = torch.nn.functional.max_pool2d(*settings_, s["dilation"], ceil_mode=s["ceil"])
            except RuntimeError:
                continue
            assert not torch.isfinite(y).all(), (number, error.message)
            continue
        taken += 1
        if op is MaxPool:
            y = torch.nn.functional.max_pool2d(*settings_, s["dilation"], ceil_mode=s["ceil"])
        else:
            y = torch.nn.functional.avg_pool2d(*settings_, ceil_mode=s["ceil"])
        y.square().sum().backward()
        ours = interpret(graph, {"x": image(size)}).outputs
        for name, theirs in (("y", y.detach()), ("grad/x", t.grad)):
            np.testing.assert_allclose(first(ours[name]), theirs.numpy(), rtol=1e-5, err_msg=f"{number}")
    assert taken > 430
