"""`netdsl report` as a process of its own, from its start to its end: published networks, and large ones."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"
PUBLISHED = {"resnet152": "resnet", "densenet201": "densenet"}


@dataclass
class Row:
    """Medians over the runs, in seconds: by the clock, and of processor time, the system's included."""

    name: str
    runs: int
    wall_s: float
    cpu_s: float


def chain(layers: int) -> str:
    """A deep chain in which every third layer is a skip connection, from one `repeat`."""
    turn = "in -> add { | in | conv(4, 3, pad = same) -> relu }"
    return f"net Chain {{\n  input x: [8, 8, 4]\n  output y = x -> repeat {layers // 3} {{ {turn} }}\n}}\n"


def blocks(layers: int) -> str:
    """Residual blocks of eight layers, in blocks of their own."""
    return f"""block Unit {{ in -> conv(4, 3, pad = same, bias = false) -> batch_norm -> relu }}
block Residual {{ in -> add {{ | in | Unit -> Unit }} -> relu }}
net Blocks {{
  input x: [8, 8, 4]
  output y = x -> repeat {layers // 8} {{ in -> Residual }}
}}
"""


def written(layers: int) -> str:
    """A line of text for every three layers, each with a skip connection from two lines above."""
    lines = [
        f"  x{k + 1} = (x{k} -> conv(4, 3, pad = same) -> relu) + x{max(0, k - 1)}"
        for k in range(layers // 3)
    ]
    return "\n".join(
        ["net Written {", "  input x0: [8, 8, 4]", *lines, f"  output y = x{layers // 3}", "}\n"]
    )


def measure(name: str, arguments: list[str], runs: int) -> Row:
    """Run the command; the first run, which fills the caches, does not count."""
    times = [_run(arguments) for _ in range(runs + 1)][1:]
    wall, cpu = (round(statistics.median(column), 3) for column in zip(*times, strict=True))
    return Row(name, runs, wall, cpu)


def _run(arguments: list[str]) -> tuple[float, float]:
    began = time.perf_counter()
    command = [sys.executable, "-m", "netdsl", "report", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--layers", type=int, default=10_000, help="size of the large networks")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [
        measure(net, [str(EXAMPLES / f"{file}.net"), "--net", net], options.runs)
        for net, file in PUBLISHED.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        for make in (chain, blocks, written):
            file = Path(folder, f"{make.__name__}.net")
            file.write_text(make(options.layers))
            rows.append(
                measure(f"{make.__name__} {options.layers:,}", [str(file)], max(1, options.runs // 3))
            )
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    for row in rows:
        print(f"{row.name:<16} {row.runs} runs  {row.wall_s:.2f} s  processor {row.cpu_s:.2f} s")


if __name__ == "__main__":
    main()
