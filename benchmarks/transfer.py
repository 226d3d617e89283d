"""Transfer on the digits: what a few images of 5 to 9 are worth after learning 0 to 4, for docs/transfer.md.

Five seeds, each of the images, the initial weights and the order: `python benchmarks/transfer.py 100`.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

import netdsl
import netdsl.train

EXAMPLES = Path(__file__).parent.parent / "examples"
HEAD = 'stage(epochs = {}, train = "head", lr = 0.03, schedule = cosine)'
ALL = "stage(epochs = {}, lr = {}, schedule = cosine)"
WAYS = {
    "from scratch": (False, ALL.format(40, 0.003)),
    "trunk frozen": (True, HEAD.format(40)),
    "everything at once": (True, ALL.format(40, 0.003)),
    "in stages": (True, f"{HEAD.format(20)}, {ALL.format(20, 0.001)}"),
}


class Curve(netdsl.train.Callback):
    """The accuracy on the test set after every epoch."""

    def __init__(self, trainer):
        self.trainer, self.values = trainer, []

    def on_epoch_end(self, loop, result):
        self.values.append(self.trainer._evaluator.run("test")["accuracy"])


def learnt(low, seed, images, start, stages):
    """The curve of one training."""
    settings = {"train.seed": seed, "train.stages": f"[{stages}]", "data.subset": images}
    if start:
        settings["train.start"] = f'load("{low}", skip = "head")'
    trainer = netdsl.Trainer(netdsl.load(EXAMPLES / "transfer.net", settings=settings, batch=20))
    curve = Curve(trainer)
    trainer.callbacks.append(curve)
    trainer.fit()
    return curve.values


def main():
    images = int(sys.argv[1])
    curves = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(5):
            first = netdsl.load(EXAMPLES / "transfer_first.net", settings={"train.seed": seed}, batch=32)
            netdsl.Trainer(first, f"{folder}/{seed}").fit()
            for name, (start, stages) in WAYS.items():
                curves[name].append(learnt(f"{folder}/{seed}/best.safetensors", seed, images, start, stages))
    print(f"{'':20} {'epoch 5':>14} {'20':>14} {'40':>14}")
    for name, found in curves.items():
        at = np.array(found)[:, [4, 19, 39]] * 100
        print(
            f"{name:20} "
            + " ".join(f"{m:7.1f} ± {s:4.1f}" for m, s in zip(at.mean(0), at.std(0, ddof=1), strict=True))
        )
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps(curves))


if __name__ == "__main__":
    main()
