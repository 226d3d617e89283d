"""What a few images of 5 to 9 are worth after learning the digits 0 to 4: table and picture of docs/transfer.md.

    NETDSL_DATA_DIR=... python -m benchmarks.transfer mnist
    python -m benchmarks.transfer digits

From the root of the repository. Five seeds, each of the images, the weights, the order and what was learnt first.
Accuracies on the test set go into docs/benchmarks/transfer_mnist.json, seed by seed; `--show` prints the table and
draws the picture of what is there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import netdsl
from netdsl.backend.registry import find_target
from netdsl.files import atomic_write
from netdsl.report.canvas import Canvas
from netdsl.report.plot import Panel, Series, plot
from netdsl.train import Callback, Trainer
from netdsl.train.evaluator import Evaluator

ROOT = Path(__file__).parent.parent
IMAGES, EPOCHS = 100, 20
MEASURED = (1, 2, 3, 5, 7, 10, 11, 12, 15, 20)
#: the size of an image, the channels of the first layer, and how many epochs 0 to 4 are learnt
SETS = {"mnist": (28, 8, 1), "digits": (8, 16, 10)}
HEAD, WHOLE = 'stage(epochs = {}, train = "head", lr = 0.003)', "stage(epochs = {}, lr = {})"
#: whether the trunk is one that has learnt 0 to 4, and the stages; the rates were chosen with seed 1 on MNIST
WAYS = {
    "from scratch": (False, WHOLE.format(EPOCHS, 0.003)),
    "trunk frozen": (True, HEAD.format(EPOCHS)),
    "everything at once": (True, WHOLE.format(EPOCHS, 0.001)),
    "in stages": (True, f"{HEAD.format(EPOCHS // 2)}, {WHOLE.format(EPOCHS // 2, 0.001)}"),
}


class Watched(Callback):
    """The accuracy on the test set after some epochs."""

    def __init__(self, trainer: Trainer) -> None:
        self.evaluator = Evaluator(
            trainer.network, trainer.data, 500, trainer.program, find_target("cpu", threads=1)
        )
        self.values = list[float]()

    def on_epoch_end(self, loop, result) -> None:
        if result.epoch in MEASURED:
            self.values.append(round(self.evaluator.run("test")["accuracy"], 5))


def settings(data: str, digits: Sequence[int], seed: int) -> dict[str, object]:
    """Those of both trainings."""
    split = f"only({data}.{{}}, {[*digits]})"
    sets = {f"data.{name}": split.format(name) for name in ("train", "test")}
    side, width, _ = SETS[data]
    return {**sets, "side": side, "width": width, "train.seed": seed}


def learn_first(data: str, seed: int, folder: Path) -> None:
    """Learn 0 to 4."""
    given = settings(data, range(5), seed) | {"train.epochs": SETS[data][2], "data.validation": None}
    Trainer(
        netdsl.load(ROOT / "examples/transfer_first.net", settings=given, batch=32), folder, threads=1
    ).fit()


def curve(data: str, seed: int, start: Path | None, stages: str) -> list[float]:
    """The accuracies of a training on a few images of 5 to 9."""
    given = settings(data, range(5, 10), seed) | {"train.stages": f"[{stages}]", "data.subset": IMAGES}
    if start is not None:
        given["train.start"] = f'load("{start / "last.safetensors"}", skip = "head")'
    trainer = Trainer(netdsl.load(ROOT / "examples/transfer.net", settings=given, batch=20), threads=1)
    trainer.callbacks.append(watched := Watched(trainer))
    trainer.fit()
    return watched.values


Curves = dict[str, list[list[float]]]
"""By way: a row for each seed, its accuracies after the epochs of `MEASURED`."""


def measured(data: str, seeds: int, kept: Path) -> Curves:
    """The curves of all ways; a file keeps what is known after each seed, and none is trained again."""
    curves: Curves = json.loads(kept.read_text())["curves"] if kept.exists() else {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(1 + len(curves["in stages"]), seeds + 1):
            first = Path(folder) / str(seed)
            learn_first(data, seed, first)
            for name, (transfers, stages) in WAYS.items():
                curves[name].append(curve(data, seed, first if transfers else None, stages))
            atomic_write(kept, (json.dumps({"epochs": MEASURED, "curves": curves}) + "\n").encode())
    return curves


def table(curves: Curves, shown: Sequence[int] = (1, 2, 5, 10, 15, 20)) -> str:
    """Mean and standard deviation in percent, as Markdown."""
    lines = [f"| way | {' | '.join(map(str, shown))} |", "|---|" + "---|" * len(shown)]
    at = [MEASURED.index(epoch) for epoch in shown]
    for name, rows in curves.items():
        values = 100 * np.array(rows)[:, at]
        pairs = zip(values.mean(0), values.std(0, ddof=1), strict=True)
        lines.append(f"| {name} | {' | '.join(f'{m:.1f} ± {s:.1f}' for m, s in pairs)} |")
    return "\n".join(lines)


def picture(curves: Curves) -> Canvas:
    """The means, with bars of a standard deviation to both sides."""
    series = []
    for number, (name, rows) in enumerate(curves.items()):
        values = 100 * np.array(rows)
        # A little apart, so that no bar hides another one.
        points = [
            (x + 0.12 * (number - 1.5), float(y)) for x, y in zip(MEASURED, values.mean(0), strict=True)
        ]
        series.append(Series(name, points, number, spread=[*map(float, values.std(0, ddof=1))]))
    return plot(
        [Panel(f"accuracy on the digits 5 to 9, %, of {IMAGES} images", "epoch", series, whole_x=True)]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=SETS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    kept = ROOT / f"docs/benchmarks/transfer_{given.data}.json"
    curves = json.loads(kept.read_text())["curves"] if given.show else measured(given.data, given.seeds, kept)
    print(table(curves))
    if given.data == "mnist":
        atomic_write(ROOT / "docs/pictures/transfer_curves.svg", picture(curves).svg().encode())


if __name__ == "__main__":
    main()
