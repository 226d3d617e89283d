"""What `stochastic_pool` draws, and where its gradient goes."""

import numpy as np
import pytest

from netdsl.autodiff import grad
from netdsl.ir import TensorType, interpret
from netdsl.ops.stochastic_pool import StochasticPool
from netdsl.primitives import Input, PrimitiveBuilder
from netdsl.primitives.builder import KEY, random_key
from netdsl.runtime import Program


def training(shape, *settings):
    b = PrimitiveBuilder(training=True)
    x = b.add1(Input(TensorType(shape)), name="x")
    (y,) = StochasticPool(*settings).expand(b, x)
    loss = b.sum(y, range(b.type(y).rank))
    return grad(b.finish({"y": y, "loss": loss}), "loss", ["x"])


def test_cells_are_drawn_as_often_as_their_weight_says():
    x = np.tile(np.array([[1.0, -3.0], [4.0, 5.0]]), (100, 10, 10))[..., None]
    found = interpret(training(x.shape, 2), {"x": x, KEY: random_key(1, 2)}, np.float64)
    values, counts = np.unique(found.outputs["y"], return_counts=True)
    assert list(values) == [1, 4, 5]
    np.testing.assert_allclose(counts / counts.sum(), [0.1, 0.4, 0.5], atol=0.015)
    # Windows do not overlap: what was drawn has the gradient, all of it.
    np.testing.assert_array_equal(np.sum(found.outputs["grad/x"] * x), found.outputs["loss"])
    assert found.outputs["grad/x"].sum() == counts.sum()


def test_windows_that_overlap_draw_on_their_own():
    x = np.ones((1, 1, 4001, 1))
    x[0, 0, :, 0] = np.where(np.arange(4001) % 2, 1.0, 1.5)
    y = interpret(training(x.shape, (1, 2), 1), {"x": x, KEY: random_key(1, 2)}).outputs["y"].ravel()
    assert abs(np.corrcoef(y[::2], y[1::2])[0, 1]) < 0.06


def test_windows_without_a_positive_cell_and_with_a_nan():
    x = np.zeros((1, 4, 6, 1), np.float32)
    x[0, :2, 2:4] = -1.0
    x[0, 2:, 4:, 0] = [[1, np.nan], [2, 3]]
    found = interpret(training(x.shape, 2), {"x": x, KEY: random_key(0, 0)}).outputs
    np.testing.assert_array_equal(found["y"][0, ..., 0], [[0, 0, 0], [0, 0, np.nan]])
    assert not found["grad/x"].any()


@pytest.mark.parametrize("size", [3, 8])
def test_kernels_draw_what_the_interpreter_draws(size):
    graph = training((2, 17, 16, 5), size, 2)
    feeds = {
        "x": np.random.default_rng(0).uniform(-1, 1, (2, 17, 16, 5)).astype(np.float32),
        KEY: random_key(5, 6),
    }
    expected = interpret(graph, feeds).outputs
    one, two = (Program(graph, threads=n).run(feeds) for n in (1, 2))
    for name, array in expected.items():
        np.testing.assert_array_equal(one[name], two[name])
        np.testing.assert_allclose(one[name], array, rtol=1e-4, atol=1e-6)
