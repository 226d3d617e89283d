"""Odd settings, drawn at random: every way to find the rows of a GEMM, borders wider than maps, empty phases."""

import numpy as np
import pytest

from netdsl.cpu.contract.arguments import BAND, DIRECT, GATHER
from netdsl.cpu.contract.geometry import backward, cut, forward, geometry, run_chunks, runs, split
from netdsl.cpu.contract.problem import Options
from netdsl.ir import TensorType
from netdsl.ir.op import ShapeError
from netdsl.primitives import Contract
from netdsl.primitives.epilogue import NOTHING, Epilogue
from netdsl.schedule import View
from tests.cpu.running import TWO_THREADS, contraction, run_steps


def dense(*shapes):
    return [View.dense(k, TensorType(shape)) for k, shape in enumerate(shapes)]


def draw(seed):
    """An operation with shapes of x, w and y."""
    rng = np.random.default_rng(seed)
    while True:
        axes = int(rng.integers(0, 4))
        groups = int(rng.choice([1, 1, 1, 2, 3]))
        c, f = (int(v) for v in rng.choice([1, 2, 3, 5, 8, 13, 17, 33, 40], 2))
        if rng.random() < 0.2:
            groups, c, f = int(rng.choice([2, 7, 9, 20, 35])), 1, 1
        size = tuple(int(v) for v in rng.integers(1, 14 if axes < 3 else 6, axes))
        kernel = tuple(int(v) for v in rng.integers(1, 5, axes))
        stride = tuple(int(v) for v in rng.choice([1, 1, 2, 3], axes))
        dilation = tuple(int(v) for v in rng.choice([1, 1, 2, 3], axes))
        pad = tuple((int(a), int(b)) for a, b in rng.integers(0, 5, (axes, 2)) * rng.integers(0, 2))
        op = Contract("forward", stride, pad, dilation, groups)
        x, kernel_shape = (int(rng.integers(1, 5)), *size, groups * c), (*kernel, c, groups * f)
        try:
            y = op.infer(TensorType(x), TensorType(kernel_shape))[0].shape
        except ShapeError:
            continue
        return op, x, kernel_shape, y


PLAIN = Options(2, exact=True)


def run(op, role, shapes, parts, epilogue=NOTHING, extra=(), options=TWO_THREADS):
    x, kernel, _ = shapes
    size = {"forward": None, "backward_data": x[1:-1], "backward_weights": kernel[:-2]}[role]
    op = Contract(role, op.stride, op.pad, op.dilation, op.groups, size)
    order = {"forward": (0, 1, 2), "backward_data": (2, 1, 0), "backward_weights": (0, 2, 1)}[role]
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(shapes[k]).astype(np.float32) for k in order[:2])
    plan, places, result = contraction(op, (a, b, *extra), shapes[order[2]], epilogue, options)
    run_steps([*plan.pack, *plan.steps], places, parts)
    return result, op.reference(a.astype(np.float64), b.astype(np.float64))[0], plan


@pytest.mark.parametrize("role", ["forward", "backward_data", "backward_weights"])
@pytest.mark.parametrize("seed", range(40))
def test_equals_the_definition(seed, role):
    op, *shapes = draw(seed)
    result, expected, _ = run(op, role, shapes, 1)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=2e-5 * max(1, np.abs(expected).max()))
    assert np.array_equal(result, run(op, role, shapes, 2)[0])


@pytest.mark.parametrize("seed", range(0, 40, 3))
def test_epilogue_of_roles_that_have_pixels(seed):
    op, *shapes = draw(seed)
    for role, shape in (("forward", shapes[2]), ("backward_data", shapes[0])):
        rng = np.random.default_rng(seed)
        bias, residual = (rng.standard_normal(s).astype(np.float32) for s in (shape[-1:], shape))
        result, total, _ = run(op, role, shapes, 2, Epilogue(2, 3, -0.5, 1.5), (bias, residual))
        np.testing.assert_allclose(result, np.clip(total + bias + residual, -0.5, 1.5), rtol=1e-3, atol=1e-3)


MODES = {
    "1x1": (DIRECT, (2, 9, 9, 16), (1, 1, 16, 32), 1, 0),
    "no padding": (DIRECT, (2, 30, 30, 16), (3, 3, 16, 32), 1, 0),
    "padding": (BAND, (2, 30, 30, 16), (3, 3, 16, 32), 1, 1),
    "padding, strided": (BAND, (2, 60, 60, 16), (3, 3, 16, 32), 2, 1),
    "narrow map": (GATHER, (2, 3, 3, 64), (3, 3, 64, 256), 1, 1),
    "a row of 1024 channels": (GATHER, (1, 4, 4, 1024), (1, 1, 1024, 64), 1, 0),
    "a band larger than the workspace": (GATHER, (1, 5, 9, 6000), (5, 3, 6000, 16), 1, 1),
}


@pytest.mark.parametrize("name", MODES)
def test_rows_are_found_in_the_expected_way(name, monkeypatch):
    monkeypatch.setenv("NETDSL_LANES", "8")
    mode, x, kernel, stride, pad = MODES[name]
    op = Contract("forward", (stride, stride), ((pad, pad), (pad, pad)), (1, 1), 1)
    y = op.infer(TensorType(x), TensorType(kernel))[0].shape
    result, expected, plan = run(op, "forward", (x, kernel, y), 3, options=PLAIN)
    assert plan.steps[0].args["mode"] == mode
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_long_rows_are_cut_into_blocks():
    op = Contract("forward", (1,), ((2, 2),), (1,), 1)
    x, kernel = (1, 5000, 24), (5, 24, 16)
    result, expected, plan = run(op, "forward", (x, kernel, (1, 5000, 16)), 2)
    assert plan.steps[0].args["column_blocks"] > 1
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("role", ["forward", "backward_data", "backward_weights"])
def test_nan_reaches_the_result(role):
    """Bounds do not hide that training went wrong."""
    op, x, kernel, y = (
        Contract("forward", (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
        (1, 4, 4, 3),
        (3, 3, 3, 8),
        (1, 4, 4, 8),
    )
    order = {"forward": (x, kernel, y), "backward_data": (y, kernel, x), "backward_weights": (x, y, kernel)}[
        role
    ]
    size = {"forward": None, "backward_data": (4, 4), "backward_weights": (3, 3)}[role]
    op = Contract(role, op.stride, op.pad, op.dilation, 1, size)
    epilogue = Epilogue(low=0.0) if role != "backward_weights" else Epilogue()
    arrays = [np.full(s, v, np.float32) for s, v in zip(order[:2], (np.nan, 1), strict=True)]
    plan, places, result = contraction(op, arrays, order[2], epilogue)
    result[...] = 0
    run_steps([*plan.pack, *plan.steps], places)
    assert np.isnan(result).all()


def test_phases_multiply_no_zeros():
    op = Contract("backward_data", (2, 2), ((1, 1), (1, 1)), (1, 1), 1, (10, 10))
    g = geometry(op, *dense((1, 10, 10, 4), (3, 3, 4, 8), (1, 5, 5, 8)))
    phases = list(backward(g))
    assert [len(p.taps[1]) * len(p.taps[2]) for p in phases] == [1, 2, 2, 4]
    assert sum(p.pixels for p in phases) == 100


def test_runs_and_chunks():
    op = Contract("forward", (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    found = runs(forward(geometry(op, *dense((1, 9, 9, 4), (3, 3, 4, 8), (1, 7, 7, 8)))))
    assert [(r.first, r.length, r.height, r.start) for r in found] == [
        (0, 12, 0, 0),
        (12, 12, 1, 0),
        (24, 12, 2, 0),
    ]
    assert [r.length for r in cut(found, 5, 20)] == [7, 8]
    assert [[r.length for r in chunk] for chunk in run_chunks(found, 25)] == [[12, 12], [12]]
    assert [[r.length for r in chunk] for chunk in run_chunks(found, 6)] == [[6]] * 6
    assert split(10, 4) == [(0, 3), (3, 7), (7, 10)]
    assert split(0, 4) == [(0, 0)]
