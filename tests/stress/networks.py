"""Random networks against PyTorch: outputs, and the gradients of the input and of all weights.

    python -m tests.stress.networks --count 1000

A network is drawn as a list of layers, and built twice from it: as text of the language, and as calls of
`torch.nn.functional` on channels-first tensors. Each is compared as it predicts and as it trains (batch norms with
the statistics of the batch) with PyTorch in float64: a tenth of them for 4, 8 and 16 lanes, others for one of these.
A network counts as degenerate where numbers vanish or explode, or where PyTorch's own float32 is further from its
float64 than the tolerance.
"""

import os
import random

import numpy as np
import torch
import torch.nn.functional as F

from netdsl import passes
from netdsl.autodiff import gradients
from netdsl.elaborate import elaborate
from netdsl.ops.expand import expand
from netdsl.primitives import Input, PrimitiveBuilder
from netdsl.runtime import Program
from netdsl.source import Source
from tests.stress.survive import main

LANES = (4, 8, 16)
TOLERANCE = 1e-4  # of the largest number of a tensor
ACTIVATIONS = {
    "relu": F.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "hard_swish": F.hardswish,
    "hard_sigmoid": F.hardsigmoid,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "relu6": F.relu6,
}
SPELLED = {"leaky_relu": "leaky_relu(0.2)"}


class Drawing:
    """A network under construction: lines of text, and for each name a function of PyTorch's values and its shape.

    Shapes are [H, W, C]; functions take the mapping of the values so far and give a channels-first tensor.
    """

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.lines, self.steps, self.shapes = [], [], {}
        self.weights = 0
        self.batch = self.rng.choice((1, 2, 3, 5))
        size = self.rng.choice((5, 7, 8, 11, 16))
        shape = (size, self.rng.choice((size, size, size + 3)), self.rng.choice((1, 3, 4, 6)))
        self.shapes["x"] = shape
        self.input = shape
        trunk = ["x"]
        for _ in range(self.rng.randint(3, 9)):
            trunk.append(self.layer(trunk))
        self.head(trunk[-1])

    def text(self):
        body = "\n  ".join(self.lines)
        return f"net R {{\n  input x: {list(self.input)}\n  {body}\n}}\n"

    def add(self, text, shape, function, source=None):
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {f'{source} -> ' if source else ''}{text}")
        self.steps.append((name, function))
        self.shapes[name] = shape
        return name

    def named(self):
        """A name for a layer with weights."""
        self.weights += 1
        return f"w{self.weights}"

    def layer(self, trunk):
        """A layer of those that fit the last value."""
        last, rng = trunk[-1], self.rng
        h, w, c = self.shapes[last]
        same = [v for v in trunk[:-1] if self.shapes[v] == (h, w, c)]
        alike = [v for v in trunk[:-1] if self.shapes[v][:2] == (h, w) and self.shapes[v][2] + c <= 64]
        kinds = (
            [self.conv] * 5
            + [self.activation] * 3
            + [self.norm] * 2
            + [self.depthwise, self.dense, self.gate]
        )
        kinds += [lambda v: self.merge(v, rng.choice(same))] * (3 if same else 0)
        kinds += [lambda v: self.concat(v, rng.choice(alike))] * (2 if alike else 0)
        kinds += [self.pool] * (2 if min(h, w) >= 3 else 0)
        kinds += [self.upsample, self.transposed] if max(h, w) <= 12 else []
        return rng.choice(kinds)(last)

    def conv(self, source, groups=None, features=None):
        rng, (h, w, c) = self.rng, self.shapes[source]
        k = rng.choice([n for n in (1, 1, 3, 3, 5, 7) if n <= min(h, w) + 2])
        d = rng.choice((1, 1, 2)) if k > 1 else 1
        s = rng.choice((1, 1, 1, 2, 3))
        groups = groups or rng.choice([g for g in (1, 1, 1, 2, 3) if c % g == 0])
        features = features or groups * rng.choice((1, 2, 5, 8, 13, 16))
        pad = rng.choice((0, d * (k - 1) // 2, d * (k - 1) // 2))
        if min(h, w) + 2 * pad < d * (k - 1) + 1:
            pad = d * (k - 1) // 2
        bias, name = rng.random() < 0.6, self.named()
        size = [(n + 2 * pad - d * (k - 1) - 1) // s + 1 for n in (h, w)]
        text = f"conv({features}, {k}, stride = {s}, pad = {pad}, dilation = {d}, groups = {groups}"
        text += f', bias = {str(bias).lower()}) @name("{name}")'

        def run(v, p, _):
            kernel = p[f"{name}.weight"].permute(3, 2, 0, 1).contiguous()
            return F.conv2d(v[source], kernel, p.get(f"{name}.bias"), s, pad, d, groups)

        return self.add(text, (*size, features), run, source)

    def depthwise(self, source):
        c = self.shapes[source][2]
        return self.conv(source, groups=c, features=c * self.rng.choice((1, 1, 2)))

    def transposed(self, source):
        rng, (h, w, _), name = self.rng, self.shapes[source], self.named()
        k, s, features = *rng.choice(((2, 2), (3, 2), (4, 2), (3, 1))), rng.choice((1, 3, 8))
        pad = rng.choice((0, 1)) if k > 2 else 0
        size = [(n - 1) * s - 2 * pad + k for n in (h, w)]
        if min(size) < 1:
            return self.conv(source)

        def run(v, p, _):
            return F.conv_transpose2d(
                v[source], p[f"{name}.weight"].permute(3, 2, 0, 1).contiguous(), p[f"{name}.bias"], s, pad
            )

        text = f'conv_transpose({features}, {k}, stride = {s}, pad = {pad}) @name("{name}")'
        return self.add(text, (*size, features), run, source)

    def activation(self, source):
        kind = self.rng.choice(sorted(ACTIVATIONS))
        function = ACTIVATIONS[kind]
        return self.add(
            SPELLED.get(kind, kind), self.shapes[source], lambda v, p, _: function(v[source]), source
        )

    def norm(self, source):
        name, (h, w, c) = self.named(), self.shapes[source]
        if h * w * self.batch == 1:
            return self.activation(source)

        def run(v, p, training):
            mean, var, weight, bias = (
                p[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")
            )
            return F.batch_norm(v[source], mean.clone(), var.clone(), weight, bias, training, 0.1, 1e-3)

        return self.add(f'batch_norm(eps = 1e-3) @name("{name}")', (h, w, c), run, source)

    def pool(self, source):
        rng, (h, w, c) = self.rng, self.shapes[source]
        k, s = rng.choice(((2, 2), (3, 2), (3, 1), (2, 1)))
        kind = rng.choice(("max_pool", "avg_pool"))
        function = F.max_pool2d if kind == "max_pool" else F.avg_pool2d
        size = [(n - k) // s + 1 for n in (h, w)]
        return self.add(
            f"{kind}({k}, stride = {s})", (*size, c), lambda v, p, _: function(v[source], k, s), source
        )

    def upsample(self, source):
        h, w, c = self.shapes[source]

        def run(v, p, _):
            return F.interpolate(v[source], scale_factor=2, mode="nearest")

        return self.add("upsample(2)", (2 * h, 2 * w, c), run, source)

    def dense(self, source):
        """At every position."""
        name, (h, w, _), features = self.named(), self.shapes[source], self.rng.choice((2, 7, 16))

        def run(v, p, _):
            y = F.linear(v[source].permute(0, 2, 3, 1), p[f"{name}.weight"].T, p[f"{name}.bias"])
            return y.permute(0, 3, 1, 2)

        return self.add(f'dense({features}) @name("{name}")', (h, w, features), run, source)

    def gate(self, source):
        """Squeeze and excitation."""
        name, (h, w, c) = self.named(), self.shapes[source]
        squeeze = f'{source} -> global_avg_pool -> dense({c}) @name("{name}") -> sigmoid'
        text = f"{source} * ({squeeze} -> reshape([1, 1, {c}]))"

        def run(v, p, _):
            squeezed = F.linear(v[source].mean((2, 3)), p[f"{name}.weight"].T, p[f"{name}.bias"])
            return v[source] * torch.sigmoid(squeezed)[:, :, None, None]

        return self.add(text, (h, w, c), run)

    def merge(self, a, b):
        sign = self.rng.choice("++-*")
        functions = {"+": torch.add, "-": torch.sub, "*": torch.mul}
        return self.add(f"{a} {sign} {b}", self.shapes[a], lambda v, p, _: functions[sign](v[a], v[b]))

    def concat(self, a, b):
        h, w, c = self.shapes[a]
        shape = (h, w, c + self.shapes[b][2])
        return self.add(f"concat({a}, {b})", shape, lambda v, p, _: torch.cat([v[a], v[b]], 1))

    def head(self, source):
        rng, name = self.rng, self.named()
        flat = rng.choice(("flatten", "global_avg_pool"))
        ending = rng.choice(("", " -> softmax", " -> tanh"))
        self.lines.append(f'output y = {source} -> {flat} -> dense(4) @name("{name}"){ending}')

        def run(v, p, _):
            x = v[source]
            x = x.permute(0, 2, 3, 1).flatten(1) if flat == "flatten" else x.mean((2, 3))
            y = F.linear(x, p[f"{name}.weight"].T, p[f"{name}.bias"])
            return {"": y, " -> softmax": torch.softmax(y, 1), " -> tanh": torch.tanh(y)}[ending]

        self.steps.append(("y", run))


def with_gradients(graph, training):
    """The primitives of a network and the gradients of sum(y * r) with respect to its input and weights."""
    primitives = expand(graph, training)
    b = PrimitiveBuilder(primitives, training=training)
    y = primitives.outputs["y"]
    factors = b.add1(Input(b.type(y)), name="r")
    loss = b.reduce("sum", lambda p, q: p * q, y, factors, axes=range(b.type(y).rank))
    leaves = [*primitives.leaves("input"), *primitives.leaves("param")]
    found = gradients(b, loss, [n.outputs[0] for n in leaves])
    return b.finish({"y": y, **{f"grad/{v.node}": g for v, g in found.items()}})


def feeds_of(graph, seed):
    rng = np.random.default_rng([seed, 7])
    feeds = {}
    for node in (*graph.leaves("input"), *graph.leaves("param"), *graph.leaves("state")):
        shape = node.types[0].shape
        if node.op.name == "state" or (len(shape) == 1 and node.id.endswith("weight")):
            array = rng.uniform(0.5, 1.5, shape)
        else:
            fan = int(np.prod(shape[:-1])) if node.op.name == "param" and len(shape) > 1 else 1
            array = rng.standard_normal(shape) * np.sqrt(1.5 / fan)
        feeds[node.id] = array.astype(np.float32)
    return feeds


def peer(drawing, feeds, training, dtype):
    """PyTorch's output and gradients under our names, channels-last."""
    leaves = {name: torch.from_numpy(array).to(dtype) for name, array in feeds.items()}
    for name, leaf in leaves.items():
        leaf.requires_grad_("running" not in name)
    values = {"x": leaves["x"].permute(0, 3, 1, 2)}
    for name, step in drawing.steps:
        values[name] = step(values, leaves, training)
    (values["y"] * leaves["r"].detach()).sum().backward()
    found = {f"grad/{name}": leaf.grad for name, leaf in leaves.items()}
    found["y"] = values["y"].detach()
    return {k: v.double().numpy() for k, v in found.items() if v is not None}


def far(found, wanted):
    """The name of a tensor that is off, and by which share of its largest number; None where all are near.

    A gradient that is zero but for rounding (a bias before a batch norm) is measured by a hundredth of the others.
    """
    floor = max(float(np.abs(v).max(initial=0)) for v in wanted.values()) / 100
    for name, array in wanted.items():
        if name not in found:
            continue
        scale = max(float(np.abs(array).max(initial=0)), floor)
        error = float(np.abs(found[name] - array).max(initial=0)) / scale
        if not error <= TOLERANCE:
            return f"{name} is off by {error:.1e}"
    return None


def case(seed):
    """(status, note) of a network."""
    torch.set_num_threads(1)
    # With oneDNN, PyTorch 2.13 writes behind its own memory in the backward pass of network 50.
    torch.backends.mkldnn.enabled = False
    drawing = Drawing(seed)
    network = elaborate(Source("random.net", drawing.text()), drawing.batch)
    for training in (False, True):
        graph = with_gradients(network.graph, training)
        feeds = feeds_of(graph, seed)
        wanted = peer(drawing, feeds, training, torch.float64)
        biggest = float(np.abs(wanted["y"]).max())
        if not (
            np.isfinite(biggest) and biggest < 1e6 and all(np.isfinite(v).all() for v in wanted.values())
        ):
            return "degenerate", "its numbers explode"
        if float(np.abs(wanted["grad/x"]).max()) < 1e-8:
            return "degenerate", "its gradient vanishes"
        if far(peer(drawing, feeds, training, torch.float32), wanted):
            return "degenerate", "PyTorch's own float32 is further from float64 than the tolerance"
        pipeline = passes.training() if training else passes.inference()
        optimised = pipeline.run(graph)
        for lanes in LANES if seed % 10 == 0 else LANES[seed % 3 :][:1]:
            os.environ["NETDSL_LANES"] = str(lanes)
            program = Program(optimised, threads=2 if (seed + lanes // 4) % 4 == 0 else 1)
            for name in program.weights:
                program.set(name, feeds[name])
            found = program.run({name: feeds[name] for name in program.inputs})
            if wrong := far(found, wanted):
                mode = "training" if training else "inference"
                return "wrong", f"{wrong} in {mode} at {lanes} lanes\n{drawing.text()}"
    return "right", ""


if __name__ == "__main__":
    main("tests.stress.networks", case, __doc__)
