"""All that is to be checked and measured on a real GPU, in less than eight minutes: one command, one report.

Nothing is fetched: what has to be installed lies in a folder of wheels (`--wheels`), which go into a virtual
environment that sees the packages of this Python.  Each part has a budget of seconds; one that fails or takes longer
does not stop the others.  `report.md` and `report.json` say what was found, the exit status is 1 where a part failed.

    python benchmarks/gpu.py --wheels wheels --out gpu-report
    NETDSL_CUDA=emulated python benchmarks/gpu.py --tiny --out tried
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOTAL = 460
"""Seconds for everything."""
SLOWER = 6
"""How much longer an emulated card may take, with sizes that are tiny."""
LEAST = 5
"""Seconds in which no part begins."""
TRAINING = (
    "train",
    "examples/digits.net",
    "--device",
    "cuda",
    "--set",
    "train.epochs=1",
    "--set",
    "data.subset=64",
)
SANITIZERS = ("memcheck", "racecheck", "initcheck", "synccheck")


@dataclass(frozen=True)
class Part:
    """A command and the seconds that it may take; without `command` it is left out for a `reason`."""

    name: str
    budget: float
    command: Sequence[str] = ()
    reason: str = ""


@dataclass
class Result:
    """What became of a part: "passed", "failed", "too long", "left out"; rows are what it printed as JSON."""

    name: str
    state: str
    seconds: float = 0.0
    tail: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)


def parts(python: str, tiny: bool, out: Path) -> list[Part]:
    """The parts in the order of what they are worth."""
    marked = [python, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", *_workers(python)]
    speed = [python, "benchmarks/gpu_speed.py"]
    netdsl = [python, "-m", "netdsl"]
    few = ["-k", "(products and size1) or (replay and lenet5 and inference)"] if tiny else []
    found = [
        Part("doctor", 60, [*netdsl, "doctor"]),
        Part("tests", 170, [*marked, "tests/cuda/test_gpu.py", *few]),
        Part("speed beside PyTorch", 150, [*speed, *(["--tiny", "--rounds", "1"] if tiny else [])]),
    ]
    if not tiny:
        found.append(Part("conformance", 120, [*marked, "tests/ops/test_conformance.py"]))
    found += _sanitizers(netdsl, out)
    return [replace(part, budget=part.budget * (SLOWER if tiny else 1)) for part in found]


def _workers(python: str) -> list[str]:
    """One process for each processor, where pytest-xdist is installed."""
    found = subprocess.run([python, "-c", "import xdist"], capture_output=True)
    return [] if found.returncode else ["-n", str(min(8, os.cpu_count() or 1))]


def _sanitizers(netdsl: Sequence[str], out: Path) -> list[Part]:
    tool = shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path="/usr/local/cuda/bin")
    names = [f"compute-sanitizer {check}" for check in SANITIZERS]
    if tool is None:
        return [Part(name, 0, reason="compute-sanitizer is not installed") for name in names]
    # An error makes it end with 9, and every kernel runs far slower than alone.
    options = ["--error-exitcode", "9", "--target-processes", "all"]
    return [
        Part(f"compute-sanitizer {check}", 60,
             [tool, "--tool", check, *options, *netdsl, *TRAINING, "--out", str(out / check)])
        for check in SANITIZERS
    ]  # fmt: skip


def run(part: Part, seconds: float, out: Path) -> Result:
    """Run a part within a time; all that it prints is kept in a file of its name."""
    if not part.command:
        return Result(part.name, "left out", tail=part.reason)
    allowed = min(part.budget, seconds)
    if allowed < LEAST:
        return Result(part.name, "left out", tail="no time was left")
    began = time.monotonic()
    path = out / f"{part.name.replace(' ', '-')}.log"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    with path.open("wb") as log:
        try:
            # Commands of this file alone, and no shell.
            done = subprocess.run(
                list(part.command),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                timeout=allowed,
                env=environment,
            )
            state = "failed" if done.returncode else "passed"
        except subprocess.TimeoutExpired:
            state = "too long"
    text = path.read_text(encoding="utf-8", errors="replace")
    rows = [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
    if state == "passed" and any("failed" in row for row in rows):
        state = "failed"
    return Result(
        part.name, state, round(time.monotonic() - began, 1), "\n".join(text.splitlines()[-12:]), rows
    )


def environment(wheels: Path, out: Path) -> str:
    """The Python of a new virtual environment with the wheels of a folder, and nothing from elsewhere."""
    files = sorted(map(str, wheels.glob("*.whl")))
    if not files:
        raise SystemExit(f"{wheels} has no wheels")
    folder = out / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    # Without dependencies: what the wheels ask for is in the folder, or on this machine already.
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", *files], check=True)
    return python


def report(results: Iterable[Result], seconds: float) -> str:
    """What was found, as Markdown."""
    results = list(results)
    lines = ["# On a GPU", "", f"{seconds:.0f} s in all.", "", "| part | result | seconds |", "|---|---|---|"]
    lines += [f"| {r.name} | {r.state} | {r.seconds} |" for r in results]
    for r in results:
        if r.rows:
            columns = list(dict.fromkeys(name for row in r.rows for name in row))
            lines += ["", f"## {r.name}", "", f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
            lines += [f"| {' | '.join(str(row.get(c, '')) for c in columns)} |" for row in r.rows]
        if r.state in ("failed", "too long", "left out") or r.name == "doctor":
            lines += ["", f"## {r.name}: {r.state}", "", "```text", r.tail, "```"]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("gpu-report"))
    parser.add_argument("--wheels", type=Path, help="a folder of wheels to install first")
    parser.add_argument(
        "--tiny", action="store_true", help="sizes for an emulated card: tries the script out"
    )
    parser.add_argument("--only", action="append", help="parts by name; all of them")
    given, began = parser.parse_args(), time.monotonic()
    total = TOTAL * (SLOWER if given.tiny else 1)
    out = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    python = environment(given.wheels, out) if given.wheels else sys.executable
    found: list[Result] = []
    for part in parts(python, given.tiny, out):
        if given.only is None or part.name in given.only:
            found.append(run(part, total - (time.monotonic() - began), out))
            print(f"{part.name}: {found[-1].state}, {found[-1].seconds} s", flush=True)
            # Written after each part: what was found so far is there, whatever ends the rest.
            (out / "report.json").write_text(json.dumps([asdict(r) for r in found], indent=1))
            (out / "report.md").write_text(report(found, time.monotonic() - began))
    shutil.rmtree(out / "venv", ignore_errors=True)
    raise SystemExit(any(r.state in ("failed", "too long") for r in found))


if __name__ == "__main__":
    main()
