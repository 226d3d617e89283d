"""Maps, reductions and windows against torch, alternating in one process: microseconds and GB/s.

    python benchmarks/elementwise.py [--json] [--threads N] [--only TEXT] [--no-torch]

Bytes are those that must move: every operand read once, every result written once.
"""

from __future__ import annotations

import argparse
import json
import math
import time

import numpy as np
from steps import in_turn

from netdsl.backend.memory import aligned_bytes
from netdsl.backend.step import SCRATCH
from netdsl.cpu.planners import plan
from netdsl.cpu.threads.team import Team
from netdsl.ir import TensorType
from netdsl.native import host
from netdsl.primitives import Concat, Map, Reduce, ReduceWindow, ReduceWindowGrad, Slice
from netdsl.scalar import Arg, erf, exp, maximum, sqrt, where
from netdsl.schedule import View

X, Y, Z, W = (Arg(k) for k in range(4))
POOL = ((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), (0, 0))
GELU = 0.5 * X * (1.0 + erf(X * (1 / math.sqrt(2))))


def adam():
    """Weight, gradient, first and second moment; the step size comes with the bias corrections in it."""
    m = 0.9 * Z + 0.1 * Y
    v = 0.999 * W + 0.001 * (Y * Y)
    return Map((X - 1e-3 * m / (sqrt(v) + 1e-8), m, v))


def softmax(shape):
    """The three primitives of a softmax over the last axis, as (op, names of operands, name of result)."""
    last = (len(shape) - 1,)
    return [
        (Reduce("max", X, last, True), "x", "m"),
        (Reduce("sum", exp(X - Y), last, True), "xm", "s"),
        (Map((exp(X - Y) / Z,)), "xms", "y"),
    ]


# name: (operand shapes by name, primitives in order)
CASES = {
    "relu 10M": ({"x": (10_000_000,)}, [(Map((maximum(X, 0.0),)), "x", "y")]),
    "relu 1M": ({"x": (1_000_000,)}, [(Map((maximum(X, 0.0),)), "x", "y")]),
    "bias relu 128x26x26x32": (
        {"x": (128, 26, 26, 32), "b": (32,)},
        [(Map((maximum(X + Y, 0.0),)), "xb", "y")],
    ),
    "bias relu 128x28x28x6": (
        {"x": (128, 28, 28, 6), "b": (6,)},
        [(Map((maximum(X + Y, 0.0),)), "xb", "y")],
    ),
    "gelu 4M": ({"x": (4_000_000,)}, [(Map((GELU,)), "x", "y")]),
    "exp 4M": ({"x": (4_000_000,)}, [(Map((exp(X),)), "x", "y")]),
    "softmax 4096x1000": ({"x": (4096, 1000)}, softmax((4096, 1000))),
    "softmax 128x10": ({"x": (128, 10)}, softmax((128, 10))),
    "bias gradient 128x26x26x32": ({"x": (128, 26, 26, 32)}, [(Reduce("sum", X, (0, 1, 2)), "x", "y")]),
    "bias gradient 128x11x11x64": ({"x": (128, 11, 11, 64)}, [(Reduce("sum", X, (0, 1, 2)), "x", "y")]),
    "bias gradient 128x7x7x512": ({"x": (128, 7, 7, 512)}, [(Reduce("sum", X, (0, 1, 2)), "x", "y")]),
    "bias gradient 128x28x28x6": ({"x": (128, 28, 28, 6)}, [(Reduce("sum", X, (0, 1, 2)), "x", "y")]),
    "bias gradient 128x512": ({"x": (128, 512)}, [(Reduce("sum", X, (0,)), "x", "y")]),
    "relu bias gradient 128x26x26x32": (
        {"x": (128, 26, 26, 32), "g": (128, 26, 26, 32)},
        [(Reduce("sum", where(X > 0.0, Y, 0.0), (0, 1, 2)), "xg", "y")],
    ),
    "average pool 16x56x56x256": ({"x": (16, 56, 56, 256)}, [(Reduce("sum", X, (1, 2)), "x", "y")]),
    "sum 10M": ({"x": (10_000_000,)}, [(Reduce("sum", X, (0,)), "x", "y")]),
    "max pool 128x26x26x32": ({"x": (128, 26, 26, 32)}, [(ReduceWindow("max", *POOL), "x", "y")]),
    "max pool 128x11x11x64": ({"x": (128, 11, 11, 64)}, [(ReduceWindow("max", *POOL), "x", "y")]),
    "max pool 128x28x28x6": ({"x": (128, 28, 28, 6)}, [(ReduceWindow("max", *POOL), "x", "y")]),
    "max pool 3x3 s2 16x112x112x64": (
        {"x": (16, 112, 112, 64)},
        [(ReduceWindow("max", (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), (0, 0)), "x", "y")],
    ),
    "max pool gradient 128x26x26x32": (
        {"x": (128, 26, 26, 32), "y": (128, 13, 13, 32), "g": (128, 13, 13, 32)},
        [(ReduceWindowGrad("max", *POOL, input=(26, 26)), "xyg", "d")],
    ),
    "max pool gradient 128x11x11x64": (
        {"x": (128, 11, 11, 64), "y": (128, 5, 5, 64), "g": (128, 5, 5, 64)},
        [(ReduceWindowGrad("max", *POOL, input=(11, 11)), "xyg", "d")],
    ),
    "max pool gradient 128x28x28x6": (
        {"x": (128, 28, 28, 6), "y": (128, 14, 14, 6), "g": (128, 14, 14, 6)},
        [(ReduceWindowGrad("max", *POOL, input=(28, 28)), "xyg", "d")],
    ),
    "pad 16x56x56x64": (
        {"x": (16, 56, 56, 64)},
        [(Slice((0, -1, -1, 0), (1, 1, 1, 1), (16, 58, 58, 64)), "x", "y")],
    ),
    "concat 16x56x56x64+32": (
        {"x": (16, 56, 56, 64), "z": (16, 56, 56, 32)},
        [(Concat(3), "xz", "y")],
    ),
    "adam 10M": (
        dict.fromkeys("wgmv", (10000000,)),
        [(adam(), "wgmv", "wmv")],
    ),
}


def torch_case(name, arrays):
    """The same in torch, or None; results are written to memory that is there already where torch can."""
    import torch

    f = torch.nn.functional
    t = {k: torch.from_numpy(a.copy()) for k, a in arrays.items()}
    kind = name.rsplit(" ", 1)[0]
    x = t.get("x")
    nchw = None
    if x is not None and x.ndim == 4:
        nchw = x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    if kind == "relu":
        out = torch.empty_like(x)
        return lambda: torch.clamp_min(x, 0.0, out=out)
    if kind == "bias relu":
        out, b = torch.empty_like(x), t["b"]
        return lambda: torch.add(x, b, out=out).relu_()
    if kind == "gelu":
        return lambda: f.gelu(x)
    if kind == "exp":
        out = torch.empty_like(x)
        return lambda: torch.exp(x, out=out)
    if kind == "softmax":
        return lambda: torch.softmax(x, -1)
    if kind == "bias gradient":
        return lambda: x.sum(tuple(range(x.ndim - 1)))
    if kind == "relu bias gradient":
        return lambda: torch.where(x > 0, t["g"], 0.0).sum((0, 1, 2))
    if kind == "average pool":
        return lambda: x.sum((1, 2))
    if kind == "sum":
        return lambda: x.sum()
    if kind == "max pool":
        return lambda: f.max_pool2d(nchw, 2)
    if kind == "max pool 3x3 s2":
        return lambda: f.max_pool2d(nchw, 3, 2, 1)
    if kind == "max pool gradient":
        y, index = f.max_pool2d(nchw, 2, return_indices=True)
        g = torch.ones_like(y)
        zero = [0, 0]
        return lambda: torch.ops.aten.max_pool2d_with_indices_backward(
            g, nchw, [2, 2], [2, 2], zero, [1, 1], False, index
        )
    if kind == "pad":
        return lambda: f.pad(x, (0, 0, 1, 1, 1, 1))
    if kind == "concat":
        return lambda: torch.cat([x, t["z"]], 3)
    w = torch.nn.Parameter(t["w"])
    w.grad = t["g"]
    optimizer = torch.optim.Adam([w], 1e-3, fused=True)
    return optimizer.step


class Case:
    """A chain of primitives over arrays by name, planned and bound."""

    def __init__(self, name, pool):
        shapes, chain = CASES[name]
        rng = np.random.default_rng(0)
        self.pool, self.bytes = pool, 0
        self.arrays = {k: _array(s, rng) for k, s in shapes.items()}
        drafts = []
        for op, operands, results in chain:
            types = [TensorType(self.arrays[k].shape) for k in operands]
            made = op.infer(*types)
            for k, t in zip(results, made, strict=True):
                self.arrays.setdefault(k, _array(t.shape, rng))
            views = [View.dense(k, t) for k, t in enumerate((*types, *made))]
            steps = plan(op, views[: len(types)], views[len(types) :], pool.threads).steps
            drafts.append((steps, operands, results))
            self.bytes += sum(self.arrays[k].nbytes for k in (*operands, *results))
        self.keep = []
        for steps, operands, results in drafts:
            scratch = aligned_bytes(max(s.scratch for s in steps) + 64)
            places = {k: self.arrays[n] for k, n in enumerate((*operands, *results))}
            places[SCRATCH] = scratch
            for step in steps:
                step.args.bind(lambda buffer, places=places: places[buffer].ctypes.data)
            self.keep.append((steps, scratch))
        self.phases = in_turn([step for steps, *_ in drafts for step in steps], pool.threads)

    def run(self):
        self.pool.run(self.phases)


def _array(shape, rng):
    size = math.prod(shape)
    array = aligned_bytes(4 * max(1, size)).view(np.float32)[:size].reshape(shape)
    # Second moments must not be negative.
    array[...] = np.abs(rng.standard_normal(shape, dtype=np.float32))
    return array


def sample(run, count):
    start = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - start) / count


def compare(runs, seconds):
    """Best time of each, alternating: other load on the machine only ever adds."""
    counts = [max(1, int(0.003 / max(min(sample(run, 1) for _ in range(3)), 1e-7))) for run in runs]
    best = [math.inf] * len(runs)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for k, run in enumerate(runs):
            best[k] = min(best[k], sample(run, counts[k]))
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=host.threads())
    parser.add_argument("--only", default="")
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--seconds", type=float, default=0.4, help="for each case")
    options = parser.parse_args()
    if not options.no_torch:
        import torch

        torch.set_num_threads(options.threads)
    pool, rows = Team(options.threads), []
    for name in (n for n in CASES if options.only in n):
        case = Case(name, pool)
        runs = [case.run] + ([] if options.no_torch else [torch_case(name, case.arrays)])
        times = compare(runs, options.seconds)
        rows.append({"case": name, "microseconds": times[0] * 1e6, "gb_per_s": case.bytes / times[0] / 1e9})
        if len(times) > 1:
            rows[-1] |= {"torch_microseconds": times[1] * 1e6, "speedup": times[1] / times[0]}
        if not options.json:
            other = f"  torch {times[1] * 1e6:9.1f} us  x{times[1] / times[0]:.2f}" if len(times) > 1 else ""
            print(
                f"{name:34} {times[0] * 1e6:9.1f} us {case.bytes / times[0] / 1e9:6.1f} GB/s{other}",
                flush=True,
            )
    if options.json:
        print(json.dumps({"threads": options.threads, "rows": rows}, indent=1))
    pool.close()


if __name__ == "__main__":
    main()
