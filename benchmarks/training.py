"""Training steps against PyTorch eager: the same network, batch, optimiser and threads, in one run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Row, arguments, row, show
from torch import nn

import netdsl
from netdsl import passes
from netdsl.measure.timing import alternate
from netdsl.ops.initializers import initialize
from netdsl.train import train_settings
from netdsl.train.recipe import Recipe
from netdsl.train.step import HYPER, training_graph

EXAMPLES = Path(__file__).parent.parent / "examples"


def lecture_convnet() -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 128, 3), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(1152, 10))


def lenet5() -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2)]
    layers += [nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10))


def mlp512() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))


class Basic(nn.Module):
    """The block of ResNet-18."""

    def __init__(self, c: int, f: int, stride: int) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(c, f, 3, stride, 1, bias=False), nn.BatchNorm2d(f), nn.ReLU())
        self.b = nn.Sequential(nn.Conv2d(f, f, 3, 1, 1, bias=False), nn.BatchNorm2d(f))
        same = stride == 1 and c == f
        self.s = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(c, f, 1, stride, bias=False), nn.BatchNorm2d(f))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.b(self.a(x)) + self.s(x))


def resnet18_cifar() -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    c = 64
    for stage, f in enumerate((64, 128, 256, 512)):
        layers += [Basic(c, f, 2 if stage else 1), Basic(f, f, 1)]
        c = f
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


PEERS: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "lecture_convnet": (lecture_convnet, 128, 8),
    "lenet5": (lenet5, 128, 8),
    "mlp512": (mlp512, 128, 8),
    "resnet18_cifar": (resnet18_cifar, 64, 1),
}


def ours(name: str, batch: int, threads: int, data: tuple[Any, Any]) -> Callable[[], object]:
    network = netdsl.load(EXAMPLES / f"{name}.net", batch=batch)
    optimizer = train_settings(network).optimizer
    graph = passes.training().run(training_graph(network.objective, Recipe(optimizer)))
    program = netdsl.Program(graph, threads=threads)
    for leaf in (*graph.leaves("param"), *graph.leaves("state")):
        program.set(leaf.id, initialize(leaf, 0))
    scalars = optimizer.scalars(0, optimizer.lr, None)
    feeds = {"image": data[0], "label": data[1], **{HYPER + k: np.float32(v) for k, v in scalars.items()}}
    feeds = {k: np.asarray(v) for k, v in feeds.items() if k in program.inputs}
    return lambda: program.run(feeds)["loss"]


def eager(name: str, data: tuple[Any, Any]) -> Callable[[], object]:
    model = PEERS[name][0]()
    if name == "resnet18_cifar":
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network = netdsl.load(EXAMPLES / f"{name}.net")
    kind = type(train_settings(network).optimizer).__name__
    made: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "Sgd": lambda: torch.optim.SGD(model.parameters(), 0.05, 0.9, nesterov=True, weight_decay=5e-4),
        "RmsProp": lambda: torch.optim.RMSprop(model.parameters(), 0.001, 0.9, 1e-7),
        "Adam": lambda: torch.optim.Adam(model.parameters(), 0.001),
    }
    optimizer = made[kind]()
    x, y = torch.tensor(data[0]).permute(0, 3, 1, 2), torch.tensor(data[1])

    def step() -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def main() -> None:
    options = arguments(__doc__ or "")
    torch.set_num_threads(options.threads)
    rows: list[Row] = []
    for name, (_, batch, rounds) in PEERS.items():
        if options.only not in (None, name):
            continue
        rng = np.random.default_rng(0)
        shape = (batch, 32, 32, 3) if "cifar" in name else (batch, 28, 28, 1)
        data = rng.standard_normal(shape).astype(np.float32), rng.integers(0, 10, batch)
        contenders = {"ours": ours(name, batch, options.threads, data), "torch eager": eager(name, data)}
        rows.append(row(name, batch, options.threads, alternate(contenders, min(rounds, options.rounds))))
    show(rows, options.json)


if __name__ == "__main__":
    main()
