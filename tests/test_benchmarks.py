"""Benchmarks run: a change of what they call breaks nothing unseen.  What they measure is not looked at."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMANDS = {
    "inference": ["--only", "lenet5", "--rounds", "1"],
    "elementwise": ["--only", "softmax 128x10", "--no-torch", "--seconds", "0.01"],
    "kernels": ["--only", "lenet dense3", "--no-torch", "--seconds", "0.01"],
    "host_time": ["--only", "lenet5", "--seconds", "0.01"],
    "report": ["--runs", "1", "--layers", "200"],
}
NEEDED = {"inference": "onnxruntime", "host_time": "numba_cuda"}


def run(name, *arguments):
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_runs(name):
    pytest.importorskip(NEEDED.get(name, "numpy"), reason="its peer is not installed")
    done = run(name, *COMMANDS[name])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.torch
def test_training_runs_beside_pytorch():
    pytest.importorskip("torch")
    done = run("training", "--only", "mlp512", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    assert "torch eager" in done.stdout


@pytest.mark.torch
def test_one_cycle_saves_its_epochs(tmp_path):
    """A run whose epochs are all saved has nothing to do."""
    pytest.importorskip("torch")
    rows = [bytes([k % 10]) + bytes((k * 7 + j) % 256 for j in range(3072)) for k in range(128)]
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        (tmp_path / f"{name}.bin").write_bytes(b"".join(rows[: 52 if name != "test_batch" else 10]))
    saved = tmp_path / "run.pt"
    once = run("one_cycle", str(tmp_path), "--epochs", "2", "--threads", "1", "--save", str(saved))
    assert once.returncode == 0, once.stderr
    assert once.stdout.count('"epoch"') == 2
    again = run("one_cycle", str(tmp_path), "--epochs", "2", "--threads", "1", "--save", str(saved))
    assert (again.returncode, again.stdout) == (0, ""), "all epochs are done"
