"""Predicted peak memory against the measured peak of a process, in inference and in training (Linux)."""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import netdsl
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.ops.initializers import initialize
from netdsl.runtime import Program
from netdsl.train.memory_prediction import footprint, program_graph

EXAMPLES = Path(__file__).parent.parent / "examples"
NETWORKS: dict[str, tuple[str, str | None, int]] = {  # file, net or preset, batch
    "resnet50": ("resnet", "resnet50", 8),
    "vgg16": ("vgg", "vgg16", 2),
    "densenet121": ("densenet", "densenet121", 8),
    "mobilenet_v2": ("mobilenet_v2", None, 32),
    "unet": ("unet", None, 4),
}
MODES = ("inference", "training")


def measure(name: str, mode: Any) -> dict[str, Any]:
    """Bytes predicted and measured, in this process: what its peak rises over its size after the prediction.

    The same with one sample comes first, so that modules, threads, graphs and kernels are there already.
    """
    file, net, batch = NETWORKS[name]
    network = netdsl.load(EXAMPLES / f"{file}.net", net=net)
    _run(network, 1, mode)
    predicted = footprint(network, batch, mode).total
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # gives what was freed back to the system
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = _status("VmHWM")
    held = _run(network, batch, mode)
    measured = _status("VmHWM") - before
    row = {"network": name, "mode": mode, "batch": batch, "predicted": predicted, "measured": measured}
    return {**row, "planned": held, "ratio": round(predicted / measured, 3)}


def _run(network: Any, batch: int, mode: Any) -> int:
    """Two runs of a program with fresh weights; returns the bytes that the program holds."""
    program = Program(program_graph(network, batch, mode))
    for leaf in (*program.graph.leaves("param"), *program.graph.leaves("state")):
        program.set(leaf.id, initialize(leaf, 0))
    feeds = {name: np.zeros(t.shape, NUMPY_DTYPE[t.dtype]) for name, t in program.inputs.items()}
    results = [program.run(feeds) for _ in range(2)][-1:]
    return program.footprint.total if results else 0


def _status(key: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=NETWORKS, help="one network by name")
    parser.add_argument("--mode", choices=MODES, help="one mode, measured in this process")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.only and given.mode:
        rows = [measure(given.only, given.mode)]
    else:
        rows = [_apart(name, mode) for name in ([given.only] if given.only else NETWORKS) for mode in MODES]
    if given.json:
        print(json.dumps(rows, indent=2))
        return
    for r in rows:
        sizes = "  ".join(f"{key} {r[key] / 2**20:7.1f} MiB" for key in ("predicted", "measured"))
        print(f"{r['network']:<14} {r['mode']:<10} batch {r['batch']:<3} {sizes}  ratio {r['ratio']:.3f}")


def _apart(name: str, mode: str) -> dict[str, Any]:
    """Measured in a process of its own."""
    command = [sys.executable, __file__, "--only", name, "--mode", mode, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)[0]  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()
