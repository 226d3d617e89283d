"""Inference and training beside processes that never rest: median and 95th percentile of everybody, in turns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
from common import parser
from inference import contenders_of

from netdsl.measure.timing import alternate

NETWORKS = ("lenet5", "mobilenet_v2", "resnet50")
TRAINING = "lecture_convnet"
BESIDE = (0, 1, 2, 4)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that only count."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def training(threads: int) -> Mapping[str, Callable[[], object]]:
    """A training step of ours and of PyTorch, which is imported only here."""
    import torch
    from training import eager, ours

    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    data = rng.standard_normal((128, 28, 28, 1)).astype(np.float32), rng.integers(0, 10, 128)
    return {"ours": ours(TRAINING, 128, threads, data), "torch eager": eager(TRAINING, data)}


def rows(options: Any) -> Iterator[dict[str, Any]]:
    """A row for each network and number of processes beside it."""
    names = [*NETWORKS, *([TRAINING] if find_spec("torch") else [])]
    for name in (n for n in names if options.only in (None, n)):
        made = training(options.threads) if name == TRAINING else contenders_of(name, options.threads)
        for count in map(int, options.beside.split(",")):
            with busy(count):
                times = alternate(made, options.rounds)
            found = {who: [1e3 * t.median, 1e3 * t.p95, len(t.seconds)] for who, t in times.items()}
            yield {"name": name, "beside": count, "times": found}


def main() -> None:
    """Print the rows as they come."""
    asked = parser(__doc__ or "")
    asked.add_argument(
        "--beside", default=",".join(map(str, BESIDE)), help="how many busy processes, such as 0,2"
    )
    options = asked.parse_args()
    for row in rows(options):
        if options.json:
            print(json.dumps(row), flush=True)
            continue
        each = "   ".join(f"{who} {median:.3f} / {p95:.3f}" for who, (median, p95, _) in row["times"].items())
        print(f"{row['name']:<16} beside {row['beside']}   {each} ms", flush=True)


if __name__ == "__main__":
    main()
