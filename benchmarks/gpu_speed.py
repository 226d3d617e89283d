"""A GPU beside PyTorch with cuDNN: the same work in one process, in turns; medians and ratios.

`--tiny` is for trying the script out: sizes that an emulated card computes in seconds.  PyTorch is left out where it
has no GPU.  Times are of work on the card alone: what is fed is there already.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import netdsl
from netdsl import passes
from netdsl.ir import TensorType
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.measure.timing import alternate
from netdsl.ops.initializers import initialize
from netdsl.primitives import Input, Param, PrimitiveBuilder
from netdsl.runtime import Program
from netdsl.schedule import View
from netdsl.train.memory_prediction import program_graph

try:
    import torch
    from torch import nn
except ImportError:
    torch = None  # type: ignore[assignment]

EXAMPLES = Path(__file__).parent.parent / "examples"
Run = Callable[[], object]


def peer() -> Any:
    """PyTorch, where it has a GPU."""
    return torch if torch is not None and torch.cuda.is_available() else None


# --- ours --------------------------------------------------------------------------------------------------------


def ready(program: Program) -> Run:
    """The run of a program whose inputs are on the card, until it is done: what is read waits for all before it."""
    rng = np.random.default_rng(0)
    for leaf in (*program.graph.leaves("param"), *program.graph.leaves("state")):
        program.set(leaf.id, initialize(leaf, 0))
    feeds = {
        name: rng.random(t.shape, np.float32) if t.dtype == "f32" else np.zeros(t.shape, NUMPY_DTYPE[t.dtype])
        for name, t in program.inputs.items()
    }
    program.run(feeds)
    word = program.device.allocate(4).tensor(View.dense(0, TensorType((1,))))
    word.copy_in(np.zeros(1, np.float32))

    def run() -> None:
        program.executable.run()
        word.copy_out()

    return run


def product(size: int, precision: str) -> Run:
    """x @ w of squares."""
    device, b = netdsl.device("cuda", precision=precision), PrimitiveBuilder()
    x = b.add1(Input(TensorType((size, size))), name="x")
    w = b.add1(Param(TensorType((size, size)), init="normal", value=1.0), name="w")
    return ready(Program(passes.inference(device).run(b.finish({"y": b.matmul(x, w)})), device))


def moving(size: int, kind: str) -> Run:
    """A kernel that memory limits: a sum of two arrays, the sums of rows, or those of columns."""
    device, b = netdsl.device("cuda"), PrimitiveBuilder()
    x = b.add1(Input(TensorType((size, size))), name="x")
    if kind == "add":
        w = b.add1(Input(TensorType((size, size))), name="w")
        y = b.map(lambda p, q: p + q, x, w)
    else:
        y = b.sum(x, [1 if kind == "rows" else 0])
    return ready(Program(passes.inference(device).run(b.finish({"y": y})), device))


def network(name: str, net: str | None, batch: int, mode: Any, precision: str) -> Run:
    """A run of a network of examples/: inference, or a whole training step."""
    device = netdsl.device("cuda", precision=precision)
    loaded = netdsl.load(EXAMPLES / f"{name}.net", **({"net": net} if net else {}))
    return ready(Program(program_graph(loaded, batch, mode, device), device))


# --- PyTorch -----------------------------------------------------------------------------------------------------


def waiting(work: Run) -> Run:
    def run() -> None:
        work()
        torch.cuda.synchronize()

    return run


def torch_product(size: int, precision: str) -> Run:
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    x, w = (torch.randn(size, size, device="cuda").to(kind) for _ in range(2))
    out = torch.empty_like(x)

    def work() -> None:
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        torch.mm(x, w, out=out)

    return waiting(work)


def torch_copy(size: int) -> Run:
    x, y = (torch.zeros(size, size, device="cuda") for _ in range(2))
    return waiting(lambda: y.copy_(x))


def resnet50() -> Any:
    """As the paper has it, with the stride in the 3x3 convolutions, as in torchvision."""

    class Block(nn.Module):
        def __init__(self, c: int, f: int, stride: int) -> None:
            super().__init__()
            layers: list[nn.Module] = []
            for a, b, k, s in ((c, f, 1, 1), (f, f, 3, stride), (f, 4 * f, 1, 1)):
                layers += [nn.Conv2d(a, b, k, s, k // 2, bias=False), nn.BatchNorm2d(b), nn.ReLU(True)]
            self.main = nn.Sequential(*layers[:-1])
            down = [nn.Conv2d(c, 4 * f, 1, stride, bias=False), nn.BatchNorm2d(4 * f)]
            self.side = nn.Sequential(*(down if c != 4 * f else []))

        def forward(self, x: Any) -> Any:
            return torch.relu(self.main(x) + self.side(x))

    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(True)]
    layers, c = [*layers, nn.MaxPool2d(3, 2, 1)], 64
    for f, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for k in range(count):
            layers.append(Block(c, f, stride if k == 0 else 1))
            c = 4 * f
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def torch_network(batch: int, mode: str, precision: str) -> Run:
    """ResNet-50 of PyTorch, eager and channels_last; bf16 by autocast."""
    model = resnet50().cuda().to(memory_format=torch.channels_last)
    x = torch.rand(batch, 3, 224, 224, device="cuda").to(memory_format=torch.channels_last)
    y = torch.zeros(batch, dtype=torch.long, device="cuda")
    optimizer = torch.optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=1e-4)
    cast = torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16")
    torch.backends.cudnn.benchmark = True

    def predict() -> None:
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        with torch.no_grad(), cast:
            model(x)

    def step() -> None:
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        optimizer.zero_grad()
        with cast:
            loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()

    if mode == "inference":
        model.eval()
    return waiting(predict if mode == "inference" else step)


# --- the table ---------------------------------------------------------------------------------------------------


def contests(tiny: bool) -> dict[str, tuple[Callable[[], Run], Callable[[], Run], float]]:
    """Ours, PyTorch's, and how often PyTorch's time is what ours should be at most: copies move two arrays."""
    size, side = (64, 128) if tiny else (4096, 8192)
    found: dict[str, tuple[Callable[[], Run], Callable[[], Run], float]] = {}
    for p in ("f32", "tf32", "bf16"):
        found[f"product {size} {p}"] = (lambda p=p: product(size, p), lambda p=p: torch_product(size, p), 1.0)  # type: ignore[misc]
    for kind, arrays in (("add", 3), ("rows", 1), ("columns", 1)):
        ours = lambda kind=kind: moving(side, kind)  # noqa: E731
        found[f"{kind} {side}x{side}, beside a copy"] = (ours, lambda: torch_copy(side), arrays / 2)  # type: ignore[assignment]
    name, net, batch = ("lenet5", None, 2) if tiny else ("resnet", "resnet50", 64)
    for mode in ("inference", "training"):
        for p in ("f32",) if tiny else ("f32", "tf32", "bf16"):
            mine = lambda mode=mode, p=p: network(name, net, batch, mode, p)  # noqa: E731
            theirs = lambda mode=mode, p=p: torch_network(batch, mode, p)  # noqa: E731
            found[f"{net or name} {mode} {batch} {p}"] = (mine, theirs, 1.0)  # type: ignore[assignment]
    return found


def measured(
    ours: Callable[[], Run], theirs: Callable[[], Run], weight: float, rounds: int
) -> dict[str, Any]:
    """Medians in ms; the ratio is above 1 where ours is faster."""
    contenders = {"ours": ours()}
    if peer() is not None:
        contenders["torch"] = theirs()
        for run in contenders.values():
            run()
    medians = {who: 1e3 * timing.median for who, timing in alternate(contenders, rounds).items()}
    row: dict[str, Any] = {f"{who} ms": round(ms, 4) for who, ms in medians.items()}
    if "torch" in medians:
        row["ratio"] = round(weight * medians["torch"] / medians["ours"], 3)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=150.0, help="no contest begins after so many")
    given, began = parser.parse_args(), time.monotonic()
    for name, (ours, theirs, weight) in contests(given.tiny).items():
        row: dict[str, Any] = {"name": name}
        if time.monotonic() > began + given.seconds:
            row["left out"] = "no time was left"
        else:
            try:
                row |= measured(ours, theirs, weight, given.rounds)
            except (
                netdsl.NetError,
                LookupError,
                RuntimeError,
            ) as error:  # the others are measured all the same
                row["failed"] = str(error).splitlines()[0]
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
