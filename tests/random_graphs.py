"""Seeded random networks as graphs of primitives: skip connections, concatenations, shared weights, batch
norms, dropout, several heads; for inference, or as a whole training step with gradients and updates.

    graph = random_graph(seed)                 # outputs only
    graph = random_graph(seed, training=True)  # loss, gradients, updates of weights and statistics
    feeds = netdsl.passes.check.random_feeds(graph, seed)
"""

from __future__ import annotations

import random

from netdsl.autodiff import gradients
from netdsl.ir import Graph, TensorType, Value
from netdsl.primitives import (
    Contract,
    Input,
    Param,
    PrimitiveBuilder,
    ReduceWindow,
    Slice,
    State,
)
from netdsl.scalar import Index, cast_float, eq, erf, exp, expm1, log, maximum, sigmoid, sqrt, tanh, where

ACTIVATIONS = {
    "relu": lambda x: maximum(x, 0.0),
    "leaky_relu": lambda x: where(x > 0.0, x, 0.1 * x),
    "elu": lambda x: where(x > 0.0, x, expm1(x)),
    "tanh": tanh,
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1.0 + erf(x * 0.7071067811865476)),
}


def random_graph(seed: int, training: bool = False) -> Graph:
    """A network of 3 to 9 random layers on `[N, S, S, C]`, N, S and C below 10, with one or two heads."""
    return _Network(seed, training).graph()


class _Network:
    def __init__(self, seed: int, training: bool) -> None:
        self.rng = random.Random(seed)
        self.b = PrimitiveBuilder(training=training)
        self.count = 0
        self.shared: dict[tuple[int, ...], list[Value]] = {}

    def graph(self) -> Graph:
        b, rng = self.b, self.rng
        size = rng.choice((4, 5, 6, 8))
        shape = (rng.choice((1, 2, 3)), size, size, rng.choice((1, 2, 3, 4, 6)))
        x = b.add1(Input(TensorType(shape)), name="image")
        trunk = [x]
        for _ in range(rng.randint(3, 9)):
            x = rng.choice(self.layers(x, trunk))(x)
            trunk.append(x)
        heads = {"logits": self.head(x)}
        if rng.random() < 0.4:
            heads["aux1"] = self.head(rng.choice(trunk))
        if not b.training:
            heads["probabilities"] = self.softmax(heads["logits"])
            return b.finish(heads, {"aux1"} & heads.keys())
        return self.step(heads)

    def step(self, heads: dict[str, Value]) -> Graph:
        """Cross-entropy of all heads, gradients, momentum."""
        b = self.b
        n = b.type(heads["logits"]).shape[0]
        label = b.add1(Input(TensorType((n,), "i64")), name="label")
        rate = b.add1(Input(TensorType(())), name="rate")
        losses = [self.cross_entropy(y, label) for y in heads.values()]
        loss = losses[0] if len(losses) == 1 else b.map(lambda p, q: p + 0.3 * q, *losses)
        weights = [Value(node.id) for node in b.nodes.values() if isinstance(node.op, Param)]
        for w, g in gradients(b, loss, weights).items():
            slot = b.add1(State(b.type(w)), name=f"{w.node}.velocity")
            velocity = b.map(lambda v, d: 0.9 * v + d, slot, g)
            b.update(slot, velocity)
            b.update(w, b.map(lambda p, v, r: p - r * v, w, velocity, rate))
        return b.finish({**heads, "loss": loss}, {"aux1"} & heads.keys())

    def layers(self, x: Value, trunk: list[Value]) -> list:
        """The layers that fit a value, the usual ones more than once."""
        b, same = self.b, [v for v in trunk[:-1] if self.b.type(v) == self.b.type(x)]
        alike = [v for v in trunk[:-1] if b.type(v).shape[:-1] == b.type(x).shape[:-1]]
        found = [self.conv, self.conv, self.activation, self.activation, self.norm, self.norm]
        found += [self.shared_conv, self.dropout, self.squeeze, self.crop, self.dense, self.arithmetic]
        if same:
            found += [lambda v: b.map(lambda p, q: p + q, v, self.rng.choice(same))] * 3
        if alike and b.type(x).shape[-1] < 8:
            found += [lambda v: b.concat([v, self.rng.choice(alike)], -1)] * 2
        if b.type(x).shape[1] >= 4:
            found += [self.pool, self.pool]
        if b.type(x).shape[1] <= 4:
            found += [self.transposed]
        return found

    def param(self, kind: str, *shape: int, init: str = "glorot_uniform", leaf: type = Param) -> Value:
        self.count += 1
        return self.b.add1(leaf(TensorType(shape), init=init), name=f"layer{self.count}.{kind}")

    def bias(self, x: Value, channels: int) -> Value:
        return self.b.map(lambda a, c: a + c, x, self.param("bias", channels, init="zeros"))

    def conv(self, x: Value) -> Value:
        b, rng, c = self.b, self.rng, self.b.type(x).shape[-1]
        groups = c if rng.random() < 0.2 else 1
        f = c if groups > 1 else rng.choice((c, c, 3, 5, 8))
        k, d = rng.choice(((1, 1), (3, 1), (3, 1), (3, 2)))
        stride = 2 if rng.random() < 0.2 and b.type(x).shape[1] >= 4 else 1
        pad = d * (k - 1) // 2
        w = self.param("weight", k, k, c // groups, f)
        y = b.convolve(x, w, (stride,) * 2, ((pad, pad),) * 2, (d,) * 2, groups)
        if rng.random() < 0.5:
            y = self.bias(y, f)
        return self.activation(y) if rng.random() < 0.5 else y

    def shared_conv(self, x: Value) -> Value:
        """A 1x1 convolution whose weight every such layer with as many channels shares."""
        c = self.b.type(x).shape[-1]
        if (c,) not in self.shared:
            self.shared[(c,)] = [self.param("weight", 1, 1, c, c)]
        y = self.b.convolve(x, self.shared[(c,)][0], (1, 1), ((0, 0),) * 2, (1, 1))
        return self.norm(y) if self.rng.random() < 0.4 else y

    def transposed(self, x: Value) -> Value:
        _, h, w, c = self.b.type(x).shape
        f = self.rng.choice((2, 4))
        op = Contract("backward_data", (2, 2), ((0, 0),) * 2, (1, 1), 1, (2 * h, 2 * w))
        y = self.b.add1(op, x, self.param("weight", 2, 2, f, c))
        return self.rng.choice((self.norm, self.activation, lambda v: self.bias(v, f)))(y)

    def dense(self, x: Value) -> Value:
        """A dense layer at every position, as `reshape`, `contract`, bias, `reshape`."""
        n, h, w, c = self.b.type(x).shape
        f = self.rng.choice((c, 4))
        y = self.b.matmul(self.b.reshape(x, (n * h * w, c)), self.param("weight", c, f))
        y = self.b.reshape(self.bias(y, f), (n, h, w, f))
        return self.activation(y) if self.rng.random() < 0.7 else y

    def activation(self, x: Value) -> Value:
        return self.b.map(ACTIVATIONS[self.rng.choice(sorted(ACTIVATIONS))], x)

    def arithmetic(self, x: Value) -> Value:
        b = self.b
        two = b.const(2.0)
        return b.map(lambda a, k: (a * k + 0.0) / 2.0, b.map(lambda a: a * 1.0 + 0.5, x), two)

    def norm(self, x: Value) -> Value:
        b, c = self.b, self.b.type(x).shape[-1]
        gamma, beta = self.param("gamma", c, init="ones"), self.param("beta", c, init="zeros")
        mean = self.param("running_mean", c, init="zeros", leaf=State)
        var = self.param("running_var", c, init="ones", leaf=State)
        if b.training:
            axes = tuple(range(b.type(x).rank - 1))
            m = b.mean(x, axes)
            count = b.type(x).size // c
            v = b.reduce("sum", lambda a, q: (a - q) * (a - q) * (1.0 / count), x, m, axes=axes)
            b.update(mean, b.map(lambda old, new: 0.9 * old + 0.1 * new, mean, m))
            b.update(var, b.map(lambda old, new: 0.9 * old + 0.1 * new, var, v))
            mean, var = m, v
        inverse = b.map(lambda q: 1.0 / sqrt(q + 1e-3), var)
        return b.map(lambda a, q, i, s, t: (a - q) * (i * s) + t, x, mean, inverse, gamma, beta)

    def dropout(self, x: Value) -> Value:
        b = self.b
        if not b.training:
            return x
        self.count += 1
        b._prefix = f"drop{self.count}."
        y = b.map(lambda a, k: where(b.uniform(k) < 0.75, a / 0.75, 0.0), x, b.key())
        b._prefix = ""
        return y

    def squeeze(self, x: Value) -> Value:
        """Squeeze and excitation."""
        b, (n, _, _, c) = self.b, self.b.type(x).shape
        pooled = b.mean(x, (1, 2))
        gate = b.map(sigmoid, self.bias(b.matmul(pooled, self.param("weight", c, c)), c))
        return b.map(lambda a, g: a * g, x, b.reshape(gate, (n, 1, 1, c)))

    def pool(self, x: Value) -> Value:
        kind = self.rng.choice(("max", "avg"))
        return self.b.add1(ReduceWindow(kind, (2, 2), (2, 2), ((0, 0),) * 2, (1, 1), (0, 0)), x)

    def crop(self, x: Value) -> Value:
        """One cell cut away on a side and a cell of zeros on the other."""
        shape = self.b.type(x).shape
        return self.b.add1(Slice((0, 1, -1, 0), (1, 1, 1, 1), shape), x)

    def head(self, x: Value) -> Value:
        b = self.b
        n, h, w, c = b.type(x).shape
        flat = b.mean(x, (1, 2)) if self.rng.random() < 0.5 else b.reshape(x, (n, h * w * c))
        return self.bias(b.matmul(flat, self.param("weight", b.type(flat).shape[1], 4)), 4)

    def softmax(self, y: Value) -> Value:
        b = self.b
        e = b.map(lambda a, m: exp(a - m), y, b.max(y, (1,), keepdims=True))
        return b.map(lambda a, s: a / s, e, b.sum(e, (1,), keepdims=True))

    def cross_entropy(self, y: Value, label: Value) -> Value:
        b = self.b
        n = b.type(y).shape[0]
        top = b.max(y, (1,), keepdims=True)
        total = b.reduce("sum", lambda a, m: exp(a - m), y, top, axes=(1,), keepdims=True)
        column = b.reshape(label, (n, 1))
        return b.reduce(
            "sum",
            lambda a, m, t, k: cast_float(eq(k, Index(1))) * (m + log(t) - a) * (1.0 / n),
            y,
            top,
            total,
            column,
            axes=(0, 1),
        )
