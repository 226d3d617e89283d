"""Benchmarks run: a change of what they call breaks nothing unseen.  What they measure is not looked at."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMANDS = {
    "inference": ["--only", "lenet5", "--rounds", "1"],
    "busy": ["--only", "lenet5", "--rounds", "1", "--beside", "0,1"],
    "elementwise": ["--only", "softmax 128x10", "--no-torch", "--seconds", "0.01"],
    "kernels": ["--only", "lenet dense3", "--no-torch", "--seconds", "0.01"],
    "host_time": ["--only", "lenet5", "--seconds", "0.01"],
    "report": ["--runs", "1", "--layers", "200"],
}
NEEDED = {"inference": "onnxruntime", "busy": "onnxruntime", "host_time": "numba_cuda"}


def run(name, *arguments, **environment):
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_runs(name):
    pytest.importorskip(NEEDED.get(name, "numpy"), reason="its peer is not installed")
    done = run(name, *COMMANDS[name])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.slow
def test_roofline_of_a_network():
    """On paper: no GPU is needed, only the compiler."""
    pytest.importorskip("numba_cuda", reason="compiling for a GPU needs numba-cuda, which is not installed")
    done = run("roofline", "examples/lenet5.net", "--batch", "32", "--json", NETDSL_CUDA="emulated")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    launches = found["launches"]
    # 416,520 multiply-adds a sample forward; backward as many for the data, but for that of the image, and weights.
    forward = sum(r["macs"] for r in launches if r["kind"] == "contract forward")
    assert forward == 32 * 416_520
    assert all(r["resident"] > 0 and 0 < r["useful"] <= 1 and 0 < r["full"] <= 1 for r in launches)
    assert sum(k["launches"] for k in found["kinds"]) == len(launches)


@pytest.mark.emulated
def test_all_that_is_done_on_a_gpu_works_on_an_emulated_one(tmp_path):
    """The script for a real GPU, with small sizes: what was found is written, and nothing failed."""
    pytest.importorskip("numba_cuda", reason="compiling for a GPU needs numba-cuda, which is not installed")
    done = run("gpu", "--tiny", "--out", str(tmp_path), NETDSL_CUDA="emulated")
    assert done.returncode == 0, done.stdout + (tmp_path / "report.md").read_text()
    found = {r["name"]: r for r in json.loads((tmp_path / "report.json").read_text())}
    assert [found[name]["state"] for name in ("doctor", "tests", "speed beside PyTorch")] == ["passed"] * 3
    rows = found["speed beside PyTorch"]["rows"]
    assert len(rows) == 8 and all(row["ours ms"] > 0 for row in rows)
    assert "product 64 bf16" in (tmp_path / "report.md").read_text()


def test_a_part_that_fails_or_takes_too_long_stops_no_other(tmp_path, monkeypatch):
    """Each is said, with the end of what it printed; what has no time left is left out."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    gpu = importlib.import_module("gpu")
    code = {
        "bad": "print('why'); raise SystemExit(3)",
        "slow": "import time; time.sleep(60)",
        "good": "print(1)",
    }
    parts = [gpu.Part(name, 6, [sys.executable, "-c", text]) for name, text in code.items()]
    parts += [gpu.Part("row", 20, [sys.executable, "-c", 'print(\'{"name": 1, "failed": "no"}\')'])]
    results = [gpu.run(part, 20, tmp_path) for part in parts] + [gpu.run(parts[2], 1, tmp_path)]
    assert [r.state for r in results] == ["failed", "too long", "passed", "failed", "left out"]
    text = gpu.report(results, 10)
    assert "why" in text and "| 1 | no |" in text and "no time was left" in text


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
