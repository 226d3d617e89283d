"""Random networks compute the same after every pass."""

import numpy as np
import pytest

from netdsl.autodiff import gradients
from netdsl.ir import TensorType, format_graph, interpret
from netdsl.ir.parse import parse_graph
from netdsl.passes import Hooks, inference, training
from netdsl.passes.check import random_feeds
from netdsl.primitives import LEAVES, PRIMITIVES, Input, Map, PrimitiveBuilder
from netdsl.primitives.builder import KEY
from netdsl.scalar import Uniform, where
from tests.random_graphs import random_graph

OPS = {op.name: op for op in (*LEAVES, *PRIMITIVES)}


@pytest.mark.parametrize("seed", range(24))
def test_inference(seed):
    graph = random_graph(seed)
    hooks = Hooks(check=True, seed=seed)
    small = inference().run(graph, hooks)
    assert len(small) <= len(graph)
    assert format_graph(parse_graph(format_graph(small), OPS)) == format_graph(small)


@pytest.mark.parametrize("seed", range(12))
def test_training(seed):
    training().run(random_graph(seed, training=True), Hooks(check=True, seed=seed))


def test_the_generator_is_deterministic():
    assert format_graph(random_graph(3, True)) == format_graph(random_graph(3, True))


def test_fusion_keeps_the_bits_of_random_numbers():
    """Dropout between other maps, redrawn for its gradient, and seen through a reshape: equal to the last bit."""
    b = PrimitiveBuilder(training=True)
    x, key = b.add1(Input(TensorType((3, 4, 5))), name="x"), b.key()
    y = b.map(lambda a: a * 1.5, x)
    y = b.map(lambda a, k: where(Uniform(11, k) < 0.5, a / 0.5, 0.0), y, key)
    y = b.map(lambda a, k: a + Uniform(12, k, 1), b.reshape(y, (12, 5)), key)
    loss = b.sum(b.map(lambda a: a * a, y), (0, 1))
    (dx,) = gradients(b, loss, [x]).values()
    graph = b.finish({"y": y, "dx": dx})
    small = training().run(graph)
    assert sum(isinstance(n.op, Map) for n in small) < sum(isinstance(n.op, Map) for n in graph)
    feeds = {**random_feeds(graph), KEY: np.array(7 << 32 | 3)}
    old, new = interpret(graph, feeds), interpret(small, feeds)
    assert 0 < np.mean(old.outputs["dx"] == 0) < 1
    for name, value in old.outputs.items():
        np.testing.assert_array_equal(new.outputs[name], value)
