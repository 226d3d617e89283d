"""Random graphs of concatenations, slices and pads, and their gradients: values that are parts of others."""

import random

import numpy as np
import pytest

from netdsl import passes
from netdsl.autodiff import gradients
from netdsl.cpu import views
from netdsl.cpu.target import CpuTarget
from netdsl.ir import TensorType, interpret
from netdsl.passes.check import random_feeds
from netdsl.primitives import Concat, Input, Pad, Param, PrimitiveBuilder, ReduceWindow, Slice
from netdsl.reference.target import ReferenceTarget
from netdsl.runtime import Program
from netdsl.scalar import maximum, tanh
from netdsl.schedule import make_schedule


class Drawing:
    """A graph of maps of 5x4, and some of other sizes, whose values are concatenated and cut again and again."""

    def __init__(self, seed):
        self.rng, self.b = random.Random(seed), PrimitiveBuilder()
        self.n = self.rng.choice((1, 2))
        self.count = 0
        self.values = [self.b.add1(Input(TensorType((self.n, 5, 4, self.channels()))), name="x")]
        for _ in range(self.rng.randint(6, 12)):
            kinds = [self.conv, self.conv, self.map, self.pool, self.concat, self.concat, self.concat]
            kinds += [self.slice, self.pad, self.crop, self.split, self.depthwise, self.rows]
            made = self.rng.choice(kinds)()
            if 0 < self.b.type(made).size < 6000:
                self.values.append(made)

    def channels(self):
        return self.rng.choice((1, 2, 3, 5, 7, 8, 9, 13, 16, 17, 24, 32))

    def pick(self):
        return self.rng.choice(self.values[-4:])

    def param(self, *shape):
        self.count += 1
        return self.b.add1(Param(TensorType(shape)), name=f"w{self.count}")

    def conv(self):
        x = self.pick()
        c, k = self.b.type(x).shape[-1], self.rng.choice((1, 1, 3))
        w = self.param(k, k, c, self.channels())
        y = self.b.convolve(x, w, (1, 1), ((k // 2, k // 2),) * 2, (1, 1))
        if self.rng.random() < 0.3:
            y = self.b.map(lambda a, q: a + q, y, y)
        return self.b.map(lambda a: maximum(a, 0.0), y) if self.rng.random() < 0.5 else y

    def depthwise(self):
        x = self.pick()
        c = self.b.type(x).shape[-1]
        return self.b.convolve(x, self.param(3, 3, 1, c), (1, 1), ((1, 1),) * 2, (1, 1), c)

    def map(self):
        return self.b.map(lambda a: tanh(a * 0.5) + 0.25, self.pick())

    def pool(self):
        kind = self.rng.choice(("max", "avg"))
        op = ReduceWindow(kind, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), (0, 0))
        return self.b.add1(op, self.pick())

    def rows(self):
        """As `dense` at every position does it: through reshapes."""
        x = self.pick()
        n, h, w, c = self.b.type(x).shape
        f = self.channels()
        y = self.b.matmul(self.b.reshape(x, (n * h * w, c)), self.param(c, f))
        return self.b.reshape(y, (n, h, w, f))

    def concat(self):
        first = self.pick()
        axis = self.rng.choice((3, 3, 3, 1, 0))
        shape = self.b.type(first).shape

        def fits(v):
            other = self.b.type(v).shape
            return all(a == b for k, (a, b) in enumerate(zip(shape, other, strict=True)) if k != axis)

        others = [v for v in self.values if fits(v)]
        return self.b.add1(Concat(axis), first, *self.rng.choices(others, k=self.rng.randint(1, 3)))

    def slice(self):
        return self._cut((3,))

    def crop(self):
        return self._cut((1, 2))

    def split(self):
        """Halves of the channels, put together the other way round."""
        x = self.pick()
        n, h, w, c = self.b.type(x).shape
        if c < 2:
            return x
        parts = [self.b.slice(x, (0, 0, 0, a), (n, h, w, m)) for a, m in ((c // 2, c - c // 2), (0, c // 2))]
        parts[0] = self.b.map(lambda a: a + 1.0, parts[0])
        return self.b.add1(Concat(3), *parts)

    def _cut(self, axes):
        x = self.pick()
        shape, start = list(self.b.type(x).shape), [0] * 4
        for a in axes:
            start[a] = self.rng.randrange(shape[a])
            shape[a] = self.rng.randint(1, shape[a] - start[a])
        return self.b.slice(x, tuple(start), tuple(shape))

    def pad(self):
        x = self.pick()
        shape, start = list(self.b.type(x).shape), [0] * 4
        for a in self.rng.sample(range(1, 4), 2):
            start[a] = self.rng.randint(0, 3)
            shape[a] += start[a] + self.rng.randint(0, 2)
        return self.b.add1(Pad(tuple(start), (1,) * 4, tuple(shape)), x)


def drawn(seed, training):
    """A graph, with the gradients of the input and the weights where it trains, that puts values into others."""
    drawing = Drawing(seed)
    outputs = {"y": drawing.values[-1], "z": drawing.rng.choice(drawing.values[1:])}
    graph = drawing.b.finish(outputs)
    if not training:
        return graph
    b = PrimitiveBuilder(graph)
    loss = b.reduce("sum", lambda p: p * p, graph.outputs["y"], axes=range(4))
    leaves = [n.outputs[0] for n in (*graph.leaves("input"), *graph.leaves("param"))]
    found = gradients(b, loss, leaves)
    return b.finish({**graph.outputs, **{f"grad/{v.node}": g for v, g in found.items()}})


def compare(graph, seed, device):
    feeds = random_feeds(graph, seed)
    wanted = interpret(graph, feeds, np.float64).outputs
    program = Program(graph, device)
    for name in program.weights:
        program.set(name, feeds[name])
    for _ in range(2):  # the second run finds what the first one left
        found = program.run({name: feeds[name] for name in program.inputs})
    for name, array in wanted.items():
        scale = max(1.0, float(np.abs(array).max(initial=0)))
        np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-4 * scale, err_msg=f"{seed} {name}")


BLOCKS = [pytest.param(k, marks=() if k < 1 else pytest.mark.slow) for k in range(12)]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_parts_of_values_are_right(block, lanes, monkeypatch):
    monkeypatch.setenv("NETDSL_LANES", str(lanes))
    for seed in range(block * 6, block * 6 + 6):
        training = seed % 2 == 1
        graph = drawn(seed, training)
        compare(
            (passes.training() if training else passes.inference()).run(graph), seed, CpuTarget(1 + seed % 2)
        )
        compare(graph, seed, ReferenceTarget(poison=True))


@pytest.mark.parametrize(
    "block", [pytest.param(k, marks=() if k < 1 else pytest.mark.slow) for k in range(4)]
)
def test_rules_of_speed_decide_nothing_else(block, monkeypatch):
    """All views that kernels can take at all, whatever they cost: rows of any length, any gaps."""
    monkeypatch.setattr(views, "SHORT_ROW", 0)
    monkeypatch.setattr(views, "WIDEST_GAP", 1000)
    for seed in range(1000 + block * 12, 1012 + block * 12):
        monkeypatch.setenv("NETDSL_LANES", str((4, 8, 16)[seed % 3]))
        compare(drawn(seed, seed % 2 == 1), seed, CpuTarget(1))


def test_parts_are_found_in_random_graphs():
    graphs = [drawn(seed, seed % 2 == 1) for seed in range(40)]
    schedules = [make_schedule(graph, views.accepts) for graph in graphs]
    shared = sum(
        v.type.nbytes < s.buffers[v.buffer].type.nbytes for s in schedules for c in s.run for v in c.results
    )
    copied = sum(isinstance(c.node.op, Concat | Slice | Pad) for s in schedules for c in s.run)
    before = sum(isinstance(n.op, Concat | Slice | Pad) for graph in graphs for n in graph)
    assert shared > 100
    assert copied < before - 50


@pytest.mark.parametrize("channels", range(1, 18))
@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_nothing_is_written_beside_a_part(channels, lanes, monkeypatch):
    """Odd parts side by side, each written and read by every kernel that takes rows."""
    monkeypatch.setenv("NETDSL_LANES", str(lanes))
    monkeypatch.setattr(views, "SHORT_ROW", 0)
    monkeypatch.setattr(views, "WIDEST_GAP", 1000)
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((1, 3, 5, channels))), name="x")
    ones = (1, 1)
    kernel = b.add1(Param(TensorType((1, 1, channels, channels))), name="w")
    single = b.add1(Param(TensorType((3, 3, 1, channels))), name="d")
    made = [
        b.convolve(x, kernel, ones, ((0, 0),) * 2, ones),
        b.map(lambda a: a * 2.0, x),
        b.convolve(x, single, ones, ((1, 1),) * 2, ones, channels),
        b.add1(ReduceWindow("max", (3, 3), ones, ((1, 1), (1, 1)), ones, (0, 0)), x),
        b.convolve(x, b.add1(Param(TensorType((3, 3, channels, 5))), name="v"), ones, ((1, 1),) * 2, ones),
    ]
    whole = b.add1(Concat(3), *made)
    read = [
        b.convolve(made[1], kernel, ones, ((0, 0),) * 2, ones),
        b.convolve(made[0], single, ones, ((1, 1),) * 2, ones, channels),
        b.convolve(
            made[3], b.add1(Param(TensorType((3, 3, channels, 6))), name="u"), ones, ((1, 1),) * 2, ones
        ),
        b.add1(ReduceWindow("avg", (2, 2), ones, ((0, 1), (1, 0)), ones, (0, 0)), made[2]),
        b.map(lambda a: a + 1.0, made[4]),
    ]
    graph = b.finish({"whole": whole, **{f"r{k}": v for k, v in enumerate(read)}})
    schedule = make_schedule(graph, views.accepts)
    assert not [c for c in schedule.run if isinstance(c.node.op, Concat)]
    compare(graph, channels, CpuTarget(1))
