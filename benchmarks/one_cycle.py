"""ResNet-18 on CIFAR-10 by the one-cycle recipe: PyTorch's run, epoch by epoch, beside that of `netdsl train`.

    python benchmarks/one_cycle.py FOLDER [--epochs 3] [--threads 2] [--peak 0.1] [--save FILE]
    netdsl train examples/resnet18_cifar.net --set train.schedule=one_cycle --set train.epochs=3

FOLDER holds the binary files of CIFAR-10.  Both have the network, batches of 128, SGD with Nesterov's momentum and
weight decay, the rates of OneCycleLR, shifts by up to 4 pixels and flips, standardised channels, and weights as He et
al. 2015 draw them; the samples come in another order.  With `--save` a run that was broken off goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from training import resnet18_cifar

BATCH = 128


def read(folder: Path, names: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images `[N, 32, 32, 3]` and labels of files of records of a label and three planes."""
    rows = np.concatenate([np.fromfile(folder / f"{name}.bin", np.uint8).reshape(-1, 3073) for name in names])
    return rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, 0].astype(np.int64)


def augmented(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Shifted by up to 4 pixels over black, and half of them mirrored."""
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    found = np.empty_like(images)
    corners, flips = rng.integers(0, 9, (len(images), 2)), rng.random(len(images)) < 0.5
    for k, (y, x) in enumerate(corners):
        piece = padded[k, y : y + 32, x : x + 32]
        found[k] = piece[:, ::-1] if flips[k] else piece
    return found


class Run:
    """PyTorch's training, and what it needs to go on."""

    def __init__(self, folder: Path, epochs: int, peak: float) -> None:
        self.train = read(folder, [f"data_batch_{k}" for k in range(1, 6)])
        self.test = read(folder, ["test_batch"])
        pixels = self.train[0].reshape(-1, 3) / np.float32(255)
        self.mean, self.std = pixels.mean(0), pixels.std(0)
        torch.manual_seed(0)
        self.model = resnet18_cifar().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for module in self.model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        self.steps = len(self.train[1]) // BATCH
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), peak, momentum=0.9, nesterov=True, weight_decay=5e-4
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, peak, epochs * self.steps)
        self.done = 0

    def tensors(self, images: NDArray[np.uint8]) -> torch.Tensor:
        """Standardised, channels last."""
        scaled = (images / np.float32(255) - self.mean) / self.std
        return torch.tensor(scaled.astype(np.float32)).permute(0, 3, 1, 2)

    def epoch(self) -> float:
        """Train for an epoch; returns the mean loss."""
        rng = np.random.default_rng(self.done)
        order, total = rng.permutation(len(self.train[1])), 0.0
        self.model.train()
        for step in range(self.steps):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            x = self.tensors(augmented(self.train[0][chosen], rng))
            loss = nn.functional.cross_entropy(self.model(x), torch.tensor(self.train[1][chosen]))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            total += float(loss)
        self.done += 1
        return total / self.steps

    @torch.no_grad()
    def accuracy(self) -> float:
        """On the test set."""
        self.model.eval()
        right = 0
        for start in range(0, len(self.test[1]), 500):
            found = self.model(self.tensors(self.test[0][start : start + 500])).argmax(1).numpy()
            right += int((found == self.test[1][start : start + 500]).sum())
        return right / len(self.test[1])

    def parts(self) -> dict[str, object]:
        """What has state."""
        return {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}

    def save(self, path: Path) -> None:
        """Write all that a run needs to go on."""
        torch.save({"done": self.done, **{n: p.state_dict() for n, p in self.parts().items()}}, path)  # type: ignore[attr-defined]

    def load(self, path: Path) -> None:
        """Go on from there."""
        found = torch.load(path, weights_only=True)
        self.done = found["done"]
        for name, part in self.parts().items():
            part.load_state_dict(found[name])  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak", type=float, default=0.1)
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    run = Run(options.folder, options.epochs, options.peak)
    if options.save and options.save.exists():
        run.load(options.save)
    while run.done < options.epochs:
        clock, processor = time.perf_counter(), time.process_time()
        loss = run.epoch()
        clock, processor = time.perf_counter() - clock, time.process_time() - processor
        row = {
            "epoch": run.done,
            "loss": loss,
            "test": run.accuracy(),
            "seconds": clock,
            "processor": processor,
        }
        print(json.dumps(row), flush=True)
        if options.save:
            run.save(options.save)


if __name__ == "__main__":
    main()
