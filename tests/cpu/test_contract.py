import itertools

import numpy as np
import pytest

from netdsl.ir import TensorType
from netdsl.primitives import Contract
from netdsl.primitives.epilogue import NOTHING, Epilogue
from tests.cpu.running import contraction, run_steps

# name: (x, kernel, features, stride, pad, dilation, groups)
SHAPES = {
    "dense": ((5, 7), (), 10, (), (), (), 1),
    "dense wide": ((3, 70), (), 37, (), (), (), 1),
    "dense one row": ((1, 130), (), 33, (), (), (), 1),
    "1x1": ((2, 5, 3, 9), (1, 1), 17, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "valid": ((2, 9, 8, 3), (3, 3), 8, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "one channel": ((3, 12, 12, 1), (3, 3), 32, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "same": ((2, 7, 7, 4), (3, 3), 5, (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "stride 2": ((2, 9, 10, 3), (3, 3), 6, (2, 2), ((1, 1), (0, 1)), (1, 1), 1),
    "stride 3 kernel 2": ((1, 9, 10, 3), (2, 2), 6, (3, 3), ((0, 0), (0, 0)), (1, 1), 1),
    "dilated": ((2, 9, 9, 4), (3, 3), 5, (1, 1), ((2, 2), (2, 2)), (2, 2), 1),
    "dilated strided": ((1, 11, 9, 2), (3, 2), 3, (2, 1), ((2, 2), (0, 1)), (2, 3), 1),
    "groups": ((2, 6, 6, 6), (3, 3), 8, (1, 1), ((1, 1), (1, 1)), (1, 1), 2),
    "depthwise": ((2, 6, 5, 7), (3, 3), 7, (2, 1), ((1, 1), (1, 1)), (1, 1), 7),
    "whole map": ((4, 3, 3, 8), (3, 3), 12, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "1-D": ((2, 15, 3), (4,), 5, (2,), ((1, 2),), (1,), 1),
    "3-D": ((1, 4, 5, 4, 2), (2, 3, 2), 4, (1, 2, 1), ((0, 1), (1, 1), (0, 0)), (1, 1, 1), 1),
    "one pixel": ((1, 1, 1, 1), (1, 1), 1, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "wide pad": ((1, 4, 4, 2), (2, 2), 3, (1, 1), ((3, 3), (3, 2)), (1, 1), 1),
    "deep": ((1, 4, 4, 700), (3, 3), 40, (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
}


def tensors(shape, role):
    x_shape, kernel, features, stride, pad, dilation, groups = SHAPES[shape]
    op = Contract("forward", stride, pad, dilation, groups)
    w_shape = (*kernel, x_shape[-1] // groups, features)
    y_shape = op.infer(TensorType(x_shape), TensorType(w_shape))[0].shape
    sizes = {"forward": None, "backward_data": x_shape[1:-1], "backward_weights": kernel}
    op = Contract(role, stride, pad, dilation, groups, sizes[role])
    pick = {"forward": (0, 1, 2), "backward_data": (2, 1, 0), "backward_weights": (0, 2, 1)}[role]
    shapes = (x_shape, w_shape, y_shape)
    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal(shapes[k]).astype(np.float32) for k in pick[:2])
    return op, a, b, shapes[pick[2]]


def computed(op, a, b, shape, parts, epilogue=NOTHING, extra=()):
    plan, places, result = contraction(op, (a, b, *extra), shape, epilogue)
    run_steps([*plan.pack, *plan.steps], places, parts)
    return result


@pytest.mark.parametrize("role", ["forward", "backward_data", "backward_weights"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lanes", ["4", "8", "16"])
def test_equals_the_definition(shape, role, lanes, monkeypatch):
    monkeypatch.setenv("NETDSL_LANES", lanes)
    op, a, b, result = tensors(shape, role)
    expected = op.reference(a.astype(np.float64), b.astype(np.float64))[0]
    one = computed(op, a, b, result, 1)
    np.testing.assert_allclose(one, expected, rtol=1e-4, atol=2e-5 * max(1, np.abs(expected).max()))
    for parts in (2, 3):
        assert np.array_equal(one, computed(op, a, b, result, parts))


@pytest.mark.parametrize(("shape", "bounded"), [*itertools.product(["same", "deep", "dense"], [True, False])])
def test_bias_residual_and_bounds(shape, bounded):
    op, a, b, result = tensors(shape, "forward")
    rng = np.random.default_rng(5)
    bias, residual = (rng.standard_normal(s).astype(np.float32) for s in (result[-1], result))
    low, high = (0.0, 2.0) if bounded else (-np.inf, np.inf)
    expected = np.clip(op.reference(a.astype(np.float64), b)[0] + bias + residual, low, high)
    got = computed(op, a, b, result, 2, Epilogue(2, 3, low, high), (bias, residual))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-3)
