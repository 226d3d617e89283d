"""What a training step costs the host on the device cuda: launches, calls of the driver, and microseconds.

No GPU is needed: a driver stands in whose calls return at once and compute nothing, so that what is measured is the
time of this package, with that of a Python function for each call of the driver.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any, cast

import numpy as np

import netdsl
from netdsl.cuda import cards, driver
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.runtime import Program
from netdsl.train.memory_prediction import program_graph

EXAMPLES = Path(__file__).parent.parent / "examples"
NETWORKS: dict[str, tuple[str, str | None, int]] = {  # file, net, batch
    "lenet5": ("lenet5", None, 32),
    "resnet18": ("resnet", "resnet18", 8),
    "resnet50": ("resnet", "resnet50", 8),
}


class IdleDriver:
    """Answers as `cuda.bindings.driver` does on a machine with a large GPU, and does nothing; counts its calls."""

    def __init__(self) -> None:
        from cuda.bindings import driver as real

        self.calls: Counter[str] = Counter()
        self._success = real.CUresult.CUDA_SUCCESS
        self._next = 1 << 32
        for name in dir(real):
            if name.startswith("CU"):
                setattr(self, name, getattr(real, name))
        self._found = {"cuDeviceGetCount": 1, "cuDeviceGetName": b"idle", "cuDeviceTotalMem": 1 << 40}
        self._found |= {"cuMemGetInfo": 1 << 40, "cuDeviceGetAttribute": 9, "cuModuleEnumerateFunctions": [0]}

    def __getattr__(self, name: str) -> Any:
        found = self._found.get(name, 0)
        made = (self._success, found)

        def call(*_: Any) -> tuple[Any, ...]:
            self.calls[name] += 1
            if name == "cuMemAlloc":
                self._next += 1 << 40
                return self._success, self._next
            return made[:1] if name == "cuLaunchKernel" else made

        setattr(self, name, call)
        return call


def measure(name: str, seconds: float) -> list[dict[str, Any]]:
    """A row with graph replay, and one without."""
    file, net, batch = NETWORKS[name]
    network = netdsl.load(EXAMPLES / f"{file}.net", net=net)
    return [_row(name, network, batch, way, seconds) for way in ("replayed", "plain")]


def _row(name: str, network: Any, batch: int, way: str, seconds: float) -> dict[str, Any]:
    idle = _install(way == "replayed")
    program = Program(program_graph(network, batch, "training", "cuda"), "cuda")
    feeds = {n: np.zeros(t.shape, NUMPY_DTYPE[t.dtype]) for n, t in program.inputs.items()}
    program.run(feeds)
    idle.calls.clear()
    program.run(feeds)
    row = {"network": name, "way": way, "planned": len(program.steps)}
    row |= {"launches": cast(Any, program.executable).launches, "calls": idle.calls.total()}
    times = {"step_us": lambda: program.run(feeds), "launch_us": program.executable.run}
    return {**row, **{kind: round(_median(run, seconds), 1) for kind, run in times.items()}}


_BIND = driver.DriverCard.bind


def _install(again: bool) -> IdleDriver:
    """A machine with an idle card; nothing is compiled for it."""
    idle, here = IdleDriver(), cast(Any, driver)
    here._driver, here.compile_cubin, here.is_kept = lambda: idle, lambda *_: b"", lambda *_: True
    here.DriverCard.bind = lambda card, launches, replayed=False: _BIND(card, launches, replayed and again)
    cards._card.cache_clear()
    return idle


def _median(run: Any, seconds: float) -> float:
    """Microseconds."""
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e6 * statistics.median(times)


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=NETWORKS, help="one network by name")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each is measured")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = [r for name in ([given.only] if given.only else NETWORKS) for r in measure(name, given.seconds)]
    if given.json:
        print(json.dumps(rows, indent=2))
        return
    print("| network | way | launches planned | run | driver calls | host µs a step | µs of its launches |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for r in rows:
        print("| " + " | ".join(f"{value}" for value in r.values()) + " |")


if __name__ == "__main__":
    main()
