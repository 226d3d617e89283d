"""Pictures per second of loading, beside torchvision and PyTorch's DataLoader, and memory of a large file.

    python -m benchmarks.loading [--pictures 3000] [--workers 2] [--gigabytes 20]

Both decode, resize and crop the same files and make normalised float32 batches of 32; the numbers of a round are the
best of its epochs.  PyTorch's are missing where it is not installed.  The large file is sparse: it takes no room on
the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

BATCH = 32
SIDES = {"png": ((32, 32), 32), "jpeg": ((240, 320), 224)}


def make_pictures(folder: Path, count: int, kind: str) -> None:
    """Smooth noise, which a JPEG or PNG packs about as well as a photograph."""
    rng = np.random.default_rng(0)
    height, width = SIDES[kind][0]
    for k in range(count):
        place = folder / f"class{k % 10}"
        place.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8))
        small.resize((width, height), Image.Resampling.BICUBIC).save(place / f"{k:05}.{kind}", quality=90)


def best_of(epoch: Callable[[], int], times: int = 3) -> float:
    """Pictures per second of the best epoch."""
    found = 0.0
    for _ in range(times):
        start = time.perf_counter()
        found = max(found, epoch() / (time.perf_counter() - start))
    return found


def ours(folder: Path, kind: str, workers: int) -> float:
    from netdsl.data import CenterCrop, DataPlan, Loader, Resize, Standardize
    from netdsl.data.own.folder import Folder

    side = SIDES[kind][1]
    settings = {"train": Folder(str(folder)), "normalize": Standardize(0.5, 0.25), "workers": workers}
    if kind == "jpeg":
        settings["preprocess"] = [Resize(side), CenterCrop(side)]
    batches = DataPlan(settings).training_batches(BATCH)

    def epoch() -> int:
        with Loader(batches, epochs=1) as loader:
            return sum(len(batch.indices) for batch in loader)

    return best_of(epoch)


def torchs(folder: Path, kind: str, workers: int) -> float | None:
    try:
        from torch.utils.data import DataLoader
        from torchvision import datasets, transforms
    except ImportError:
        return None
    side = SIDES[kind][1]
    steps = [transforms.Resize(side), transforms.CenterCrop(side)] if kind == "jpeg" else []
    steps += [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.25] * 3)]
    data = datasets.ImageFolder(str(folder), transforms.Compose(steps))
    loader = DataLoader(
        data, BATCH, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=True
    )
    return best_of(lambda: sum(len(images) for images, _ in loader))


MEASURE = """
import resource, sys, time
from pathlib import Path
from netdsl.data import DataPlan, Loader
from netdsl.data.pair import Npy
plan = DataPlan({"train": Npy("x.npy", "y.npy"), "workers": 2}, base=Path(sys.argv[1]))
batches = plan.training_batches(32)
start, count = time.perf_counter(), 0
with Loader(batches, epochs=1) as loader:
    for batch in loader:
        count += len(batch.indices)
print(count, time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def large(gigabytes: int) -> tuple[int, float, float]:
    """Samples, seconds and MiB at the peak of an epoch over a sparse file."""
    with tempfile.TemporaryDirectory() as folder:
        count = gigabytes * 10**9 // (224 * 224 * 3)
        np.lib.format.open_memmap(f"{folder}/x.npy", "w+", np.uint8, (count, 224, 224, 3))
        np.save(f"{folder}/y.npy", np.arange(count) % 10)
        words = [sys.executable, "-c", MEASURE, folder]
        found = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    return int(found[0]), float(found[1]), int(found[2]) / 1024


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pictures", type=int, default=3000)
    options.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options.add_argument("--gigabytes", type=int, default=20)
    given = options.parse_args()
    for kind in SIDES:
        with tempfile.TemporaryDirectory() as folder:
            make_pictures(Path(folder), given.pictures, kind)
            for workers in sorted({1, given.workers}):
                row = {"kind": kind, "workers": workers, "netdsl": ours(Path(folder), kind, workers)}
                row["torchvision"] = torchs(Path(folder), kind, workers)
                print(json.dumps(row), flush=True)
    if given.gigabytes:
        samples, seconds, peak = large(given.gigabytes)
        print(
            json.dumps(
                {"gigabytes": given.gigabytes, "samples": samples, "seconds": seconds, "peak MiB": peak}
            )
        )


if __name__ == "__main__":
    main()
