"""Extreme settings of convolutions and pools: every plan is checked, run and compared, forward and both gradients.

    python -m tests.stress.plans --count 5000

Each setting is planned for 4, 8 and 16 lanes and for 1 and 64 threads, and run with 1 or 2; the results, and the
gradients of input and weights, are compared with the meaning of the primitives in NumPy, float64. A child process
does the work, so that a memory fault is counted and does not end the run.
"""

import os

import numpy as np

from netdsl import passes
from netdsl.autodiff import gradients
from netdsl.backend.layout import lay_out
from netdsl.cpu.target import CpuTarget
from netdsl.cpu.verify import verify
from netdsl.elaborate import elaborate
from netdsl.ir import interpret
from netdsl.ops.expand import expand
from netdsl.primitives import Input, PrimitiveBuilder
from netdsl.runtime import Program
from netdsl.source import NetError, Source
from tests.stress.survive import main

LANES = (4, 8, 16)
CELLS, WORK = 1_500_000, 25_000_000  # most elements of a tensor, most multiply-adds of a setting
PADS = ("valid", "same", "same_upper", "same_lower", "full")
MODES = ("zeros", "zeros", "zeros", "reflect", "symmetric", "edge", "wrap")
TOLERANCE = 2e-5  # of the largest number of a tensor, times the square root of the terms of its sums, over 16


def setting(rng):
    """A network of one layer as text, and its batch; it need not be well-formed."""

    def pick(*values):
        return values[int(rng.integers(len(values)))]

    def upto(limit):
        """A size up to `limit`, the small ones and the limit more often."""
        return int(
            pick(1, 2, 3, limit, round(float(limit) ** rng.random()), round(float(limit) ** rng.random()))
        )

    axes = pick(1, 1, 1, 2, 2, 3)
    size = [upto({1: 3000, 2: 120, 3: 24}[axes]) for _ in range(axes)]
    kind = pick("conv", "conv", "conv", "conv", "conv_transpose", "max_pool", "avg_pool")
    kernel = [upto({1: 1000, 2: 41, 3: 9}[axes]) for _ in range(axes)]
    stride = [pick(1, 1, 2, upto(1000 if axes == 1 else 50)) for _ in range(axes)]
    dilation = [pick(1, 1, 1, 2, upto(4000 if axes == 1 else 100)) for _ in range(axes)]
    pad = pick(*PADS, *([[upto(300 if axes == 1 else 40) - 1 for _ in range(axes)]] * 2))
    mode = pick(*MODES)
    groups = pick(1, 1, 1, 2, upto(128))
    channels = pick(groups * upto(max(1, 1500 // groups)), groups, 1, 16)
    features = pick(groups * upto(max(1, 600 // groups)), groups, 1, 16)
    groups = groups if channels % groups == 0 and features % groups == 0 else 1

    def tuple_of(values):
        return f"({', '.join(map(str, values))})" if axes > 1 else str(values[0])

    pad_text = pad if isinstance(pad, str) else tuple_of(pad)
    named = {"stride": tuple_of(stride), "pad": pad_text, "dilation": tuple_of(dilation)}
    if kind == "conv":
        layer = f"conv({features}, {tuple_of(kernel)}, "
        named |= {"groups": groups, "pad_mode": mode}
    elif kind == "conv_transpose":
        layer = f"conv_transpose({features}, {tuple_of(kernel)}, "
        named |= {"groups": groups}
        named["pad"] = pick("0", "0", tuple_of([upto(20) - 1 for _ in range(axes)]))
    else:
        layer = f"{kind}({tuple_of(kernel)}, "
    layer += ", ".join(f"{k} = {v}" for k, v in named.items()) + ")"
    shape = ", ".join(map(str, [*size, channels]))
    return f"net S {{\n  input x: [{shape}]\n  output y = x -> {layer}\n}}\n", pick(1, 1, 1, 2, 3)


def drawn(rng):
    """A well-formed setting, its graph, its multiply-adds, and whether it is small enough to be run."""
    large = rng.random() < 0.05
    while True:
        text, batch = setting(rng)
        try:
            graph = with_gradients(elaborate(Source("stress.net", text), batch).graph)
        except NetError:
            continue
        macs, cells = work(graph)
        runs = macs <= WORK and cells <= CELLS
        if runs or large:
            return text, graph, macs, runs


def with_gradients(graph):
    """The graph with the gradients of sum(y * r), for a random r, with respect to x and the weights."""
    primitives = expand(graph)
    b = PrimitiveBuilder(primitives)
    y = primitives.outputs["y"]
    factors = b.add1(Input(b.type(y)), name="r")
    loss = b.reduce("sum", lambda p, q: p * q, y, factors, axes=range(b.type(y).rank))
    leaves = [*primitives.leaves("input"), *primitives.leaves("param")]
    found = gradients(b, loss, [leaf.outputs[0] for leaf in leaves])
    return b.finish({"y": y, **{f"grad/{v.node}": g for v, g in found.items()}})


def work(graph):
    """Multiply-adds of all contractions, and elements of the largest tensor: before anything is computed."""
    macs = 0
    for node in graph:
        if node.op.name == "contract":
            shapes = [graph.type(v).shape for v in node.inputs] + [node.types[0].shape]
            w = {"forward": 1, "backward_data": 1, "backward_weights": 2}[node.op.role]
            y = {"forward": 2, "backward_data": 0, "backward_weights": 1}[node.op.role]
            macs += int(np.prod([float(n) for n in shapes[w][:-1]])) * int(
                np.prod([float(n) for n in shapes[y]])
            )
        elif node.op.name in ("reduce_window", "reduce_window_grad"):
            macs += int(np.prod(node.op.size)) * min(
                graph.type(v).size for v in (*node.inputs, *node.outputs)
            )
    return macs, max(t.size for node in graph for t in node.types)


def feeds_of(graph, seed):
    rng = np.random.default_rng([seed, 1])
    leaves = (*graph.leaves("input"), *graph.leaves("param"))
    return {n.id: rng.standard_normal(n.types[0].shape).astype(np.float32) for n in leaves}


def case(seed):
    """(status, note) of a setting."""
    text, graph, macs, runs = drawn(np.random.default_rng(seed))
    if not runs:
        for lanes in LANES:
            os.environ["NETDSL_LANES"] = str(lanes)
            verify(lay_out(passes.inference().run(graph), CpuTarget(2)).lowered)
        return "right", "planned only"
    feeds = feeds_of(graph, seed)
    expected = interpret(graph, feeds, np.float64).outputs
    optimised = passes.inference().run(graph)
    for lanes in LANES:
        os.environ["NETDSL_LANES"] = str(lanes)
        for threads in (1, 64):
            verify(lay_out(optimised, CpuTarget(threads)).lowered)
        wrong = differs(run(optimised, feeds, 2 if (seed + lanes // 4) % 4 == 0 else 1), expected, macs)
        if wrong:
            return "wrong", f"{wrong} at {lanes} lanes: {text}"
    return "right", ""


def run(graph, feeds, threads):
    program = Program(graph, threads=threads)
    for name in program.weights:
        program.set(name, feeds[name])
    return program.run({name: feeds[name] for name in program.inputs})


def differs(outputs, expected, macs):
    """What is off, and by how much; a sum that cancels is measured by a hundredth of the largest number of all."""
    floor = max(float(np.abs(v).max(initial=0)) for v in expected.values()) / 100 + 1e-30
    for name, wanted in expected.items():
        scale = max(float(np.abs(wanted).max(initial=0)), floor)
        terms = max(1.0, macs / max(1, wanted.size))
        error = float(np.abs(outputs[name] - wanted).max(initial=0)) / scale
        if not error <= TOLERANCE * max(1.0, np.sqrt(terms) / 16):
            return f"{name} is off by {error:.1e} of its largest number"
    return None


if __name__ == "__main__":
    main("tests.stress.plans", case, __doc__)
