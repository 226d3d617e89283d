"""GF/s of contractions in all three roles, against torch.nn.functional, alternating in one process.

    python benchmarks/kernels.py [--json] [--threads N] [--only TEXT] [--no-torch]

Times are the best of many short samples: other load on the machine only ever adds to them. Packing the weights
is counted in (as in training) unless --packed is given (as in inference).
"""

from __future__ import annotations

import argparse
import json
import math
import time

import numpy as np
from steps import in_turn

from netdsl.backend.memory import aligned_bytes
from netdsl.backend.step import PACKED, SCRATCH
from netdsl.cpu.ceilings import ceilings
from netdsl.cpu.contract.plan import plan_contract
from netdsl.cpu.contract.problem import Options
from netdsl.cpu.threads.team import Team
from netdsl.ir import TensorType
from netdsl.native import host
from netdsl.primitives import Contract
from netdsl.schedule import View

# name: (batch, spatial size, channels, kernel, features, stride, pad, groups)
SHAPES = {
    "lecture conv1 b128": (128, (28, 28), 1, 3, 32, 1, 0, 1),
    "lecture conv2 b128": (128, (13, 13), 32, 3, 64, 1, 0, 1),
    "lecture conv3 b128": (128, (5, 5), 64, 3, 128, 1, 0, 1),
    "lecture dense1 b128": (128, (), 1152, 1, 128, 1, 0, 1),
    "mlp 784-512 b128": (128, (), 784, 1, 512, 1, 0, 1),
    "mlp 512-10 b128": (128, (), 512, 1, 10, 1, 0, 1),
    "gemm 1024": (1024, (), 1024, 1, 1024, 1, 0, 1),
    "resnet stem b1": (1, (224, 224), 3, 7, 64, 2, 3, 1),
    "resnet 56x56x64 b1": (1, (56, 56), 64, 3, 64, 1, 1, 1),
    "resnet 28x28x128 b1": (1, (28, 28), 128, 3, 128, 1, 1, 1),
    "resnet 14x14x256 b1": (1, (14, 14), 256, 3, 256, 1, 1, 1),
    "resnet 7x7x512 b1": (1, (7, 7), 512, 3, 512, 1, 1, 1),
    "resnet 56-28 s2 b1": (1, (56, 56), 64, 3, 128, 2, 1, 1),
    "resnet 56x56x64 b8": (8, (56, 56), 64, 3, 64, 1, 1, 1),
    "resnet 14x14x256 b8": (8, (14, 14), 256, 3, 256, 1, 1, 1),
    "resnet 7x7x512 b8": (8, (7, 7), 512, 3, 512, 1, 1, 1),
    "resnet50 1x1 64-256 b1": (1, (56, 56), 64, 1, 256, 1, 0, 1),
    "resnet50 1x1 1024-256 b1": (1, (14, 14), 1024, 1, 256, 1, 0, 1),
    "resnet50 1x1 512-2048 b1": (1, (7, 7), 512, 1, 2048, 1, 0, 1),
    "depthwise 112x112x32 b1": (1, (112, 112), 32, 3, 32, 1, 1, 32),
    "depthwise 14x14x384 b8": (8, (14, 14), 384, 3, 384, 1, 1, 384),
    "lenet conv1 b1": (1, (28, 28), 1, 5, 6, 1, 2, 1),
    "lenet conv1 b128": (128, (28, 28), 1, 5, 6, 1, 2, 1),
    "lenet conv2 b1": (1, (14, 14), 6, 5, 16, 1, 0, 1),
    "lenet dense1 b1": (1, (), 400, 1, 120, 1, 0, 1),
    "lenet dense2 b1": (1, (), 120, 1, 84, 1, 0, 1),
    "lenet dense3 b1": (1, (), 84, 1, 10, 1, 0, 1),
}
ROLES = ("forward", "backward_data", "backward_weights")


def sample(run, count):
    start = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - start) / count


def filled(shape, rng):
    array = aligned_bytes(4 * max(1, math.prod(shape))).view(np.float32)[: math.prod(shape)].reshape(shape)
    array[...] = rng.standard_normal(shape, dtype=np.float32)
    return array


class Case:
    def __init__(self, name, role, pool, packed, exact=False):
        n, size, c, kernel, f, stride, pad, groups = SHAPES[name]
        axes = len(size)
        op = Contract("forward", (stride,) * axes, ((pad, pad),) * axes, (1,) * axes, groups)
        x, w = (n, *size, c), (*[kernel] * axes, c // groups, f)
        y = op.infer(TensorType(x), TensorType(w))[0].shape
        sizes = {"forward": None, "backward_data": size, "backward_weights": w[:-2]}
        self.op = Contract(role, op.stride, op.pad, op.dilation, groups, sizes[role])
        self.flops, self.pool = 2 * math.prod(y) * math.prod(w[:-1]), pool
        rng = np.random.default_rng(0)
        self.arrays = dict(zip("xwy", (filled(s, rng) for s in (x, w, y)), strict=True))
        order = {"forward": "xwy", "backward_data": "ywx", "backward_weights": "xyw"}[role]
        buffers = {k: self.arrays[t] for k, t in enumerate(order)}
        a, b, result = (View.dense(k, TensorType(array.shape)) for k, array in buffers.items())
        plan = plan_contract(self.op, (a, b), result, Options(pool.threads, exact, packed))
        buffers[SCRATCH] = aligned_bytes(max(s.scratch for s in plan.steps) + 64)
        buffers[PACKED] = aligned_bytes(plan.packed + 64)
        self.keep = (plan, buffers)
        for step in (*plan.pack, *plan.steps):
            step.args.bind(lambda buffer: buffers[buffer].ctypes.data)
        several = ((*plan.pack, *plan.steps), plan.steps)
        self.steps = [in_turn(steps, pool.threads) for steps in several]
        pool.run(self.steps[0])
        self.table = self.steps[packed]

    def run(self):
        self.pool.run(self.table)

    def torch(self, role):
        """The same in torch, with its own layouts; returns a function."""
        import torch

        x, w, y = (torch.from_numpy(self.arrays[t].copy()) for t in "xwy")
        if w.ndim == 2:
            return {
                "forward": lambda: torch.mm(x, w),
                "backward_data": lambda: torch.mm(y, w.t()),
                "backward_weights": lambda: torch.mm(x.t(), y),
            }[role]
        last = torch.channels_last
        x, y = (t.permute(0, 3, 1, 2).contiguous(memory_format=last) for t in (x, y))
        w = w.permute(3, 2, 0, 1).contiguous(memory_format=last)
        op = self.op
        pad = [p[0] for p in op.pad]
        if role == "forward":
            return lambda: torch.nn.functional.conv2d(x, w, None, op.stride, pad, op.dilation, op.groups)
        mask = [role == "backward_data", role == "backward_weights", False]
        return lambda: torch.ops.aten.convolution_backward(
            y, x, w, None, op.stride, pad, op.dilation, False, [0, 0], op.groups, mask
        )


def compare(case, role, with_torch, seconds):
    """Best times of both, alternating."""
    runs = [case.run] + ([case.torch(role)] if with_torch else [])
    counts = [max(1, int(0.002 / max(sample(run, 2), 1e-7))) for run in runs]
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
    parser.add_argument("--role", choices=ROLES)
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--packed", action="store_true", help="leave the packing of weights out")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each shape and role")
    options = parser.parse_args()
    pool = Team(options.threads)
    top = ceilings(options.threads).peak / 1e9
    if not options.no_torch:
        import torch

        torch.set_num_threads(options.threads)
    rows = []
    if not options.json:
        print(f"peak {top:.0f} GF/s, {options.threads} threads, {host.lanes()} lanes, {host.cpu_name()}")
    for name in (n for n in SHAPES if options.only in n):
        for role in [options.role] if options.role else ROLES:
            case = Case(name, role, pool, options.packed)
            times = compare(case, role, not options.no_torch, options.seconds)
            rates = [case.flops / t / 1e9 for t in times]
            rows.append({"shape": name, "role": role, "microseconds": times[0] * 1e6, "gflops": rates[0]})
            rows[-1]["of_peak"] = rates[0] / top
            if len(times) > 1:
                rows[-1] |= {"torch_gflops": rates[1], "speedup": times[1] / times[0]}
            if not options.json:
                other = f"  torch {rates[1]:6.1f}  x{times[1] / times[0]:.2f}" if len(times) > 1 else ""
                us = f"{times[0] * 1e6:9.1f} us"
                print(
                    f"{name:26} {role:7} {us} {rates[0]:6.1f} GF/s {rates[0] / top:4.0%}{other}", flush=True
                )
    if options.json:
        print(json.dumps({"peak": top, "threads": options.threads, "rows": rows}, indent=1))
    pool.close()


if __name__ == "__main__":
    main()
