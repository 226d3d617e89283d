"""Checkpoints: what is written is read back, and what is not a checkpoint is refused before it does harm."""

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from netdsl.source import NetError
from netdsl.train import checkpoint as module
from netdsl.train.checkpoint import (
    FORMAT,
    Checkpoint,
    EpochResult,
    Progress,
    Run,
    check_arrays,
    load_checkpoint,
    save_checkpoint,
)

HISTORY = [
    EpochResult(1, 0.1, {"loss": 1 / 3, "accuracy": 0.5}, {"loss": float("inf")}),
    EpochResult(2, 0.05, {"loss": 0.1}, None),
]
PROGRESS = Progress(2, 3, 13, 24, {"loss": 0.1 + 0.2}, 0.7, HISTORY)
RUN = Run(7, 8, 40, "ab", "sgd", {"train.batch": "8"})


def example():
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in (("w", (2, 3)), ("b", ()))}
    return Checkpoint(arrays, "graph {}", PROGRESS, RUN, {"peak": 1.0}, "Net")


def metadata(path):
    save_checkpoint(path, example())
    header = path.read_bytes()
    size = int.from_bytes(header[:8], "little")
    return json.loads(json.loads(header[8 : 8 + size])["__metadata__"]["netdsl"])


def refused(path):
    with pytest.raises(NetError) as caught:
        load_checkpoint(path)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "checkpoint" and str(path) in diagnostic.message
    return diagnostic.message


def test_round_trip_keeps_every_bit(tmp_path):
    path, written = tmp_path / "c.safetensors", example()
    save_checkpoint(path, written)
    read = load_checkpoint(path)
    assert replace(read, arrays={}) == replace(written, arrays={})
    assert read.arrays.keys() == written.arrays.keys()
    for name, array in written.arrays.items():
        assert read.arrays[name].dtype == array.dtype and read.arrays[name].shape == array.shape
        assert read.arrays[name].tobytes() == array.tobytes()


def test_same_content_same_bytes(tmp_path):
    save_checkpoint(tmp_path / "a", example())
    save_checkpoint(tmp_path / "b", example())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_failed_write_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, example())
    before = path.read_bytes()

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(path, replace(example(), name="Other"))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


SAVER = """
import sys
from pathlib import Path
from tests.train.test_checkpoint import example, save_checkpoint
print("ready", flush=True)
while True:
    save_checkpoint(Path(sys.argv[1]), example())
"""


@pytest.mark.slow
def test_killed_while_writing(tmp_path):
    path, rng = tmp_path / "c.safetensors", random.Random(0)
    save_checkpoint(path, example())
    root = Path(__file__).parents[2]
    for _ in range(10):
        process = subprocess.Popen([sys.executable, "-c", SAVER, path], cwd=root, stdout=subprocess.PIPE)
        with process:
            process.stdout.readline()
            time.sleep(0.05 * rng.random())
            assert process.poll() is None
            process.kill()
        assert load_checkpoint(path).progress == PROGRESS


def test_missing(tmp_path):
    assert "does not exist" in refused(tmp_path / "c.safetensors")


@pytest.mark.parametrize("size", [0, 4, 8, 100, 500, -1])
def test_cut_off(tmp_path, size):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, example())
    path.write_bytes(path.read_bytes()[:size])
    assert "cannot be read" in refused(path)


def test_other_files(tmp_path):
    path = tmp_path / "c.safetensors"
    path.write_bytes(b"\x80\x04\x95" + os.urandom(200))
    assert "cannot be read" in refused(path)
    path.unlink()
    path.mkdir()
    refused(path)
    other = tmp_path / "weights.safetensors"
    save_file({"w": np.zeros(3, np.float32)}, other)
    assert "not a checkpoint of this version" in refused(other)


def test_a_header_that_promises_too_much(tmp_path):
    path = tmp_path / "c.safetensors"
    header = {"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    text = json.dumps({**header, "__metadata__": {"netdsl": json.dumps({"format": FORMAT})}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(64))
    assert "cannot be read" in refused(path)


def test_more_than_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, example())
    monkeypatch.setattr("netdsl.runtime.memory.machine_memory", lambda: 100)
    with pytest.raises(NetError, match="the checkpoint needs"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "netdsl checkpoint 0"}, "not a checkpoint of this version"),
        ({"progress": {}}, "cannot be read"),
        ({"progress.epoch": -1}, "-1 is not a count"),
        ({"progress.step": "7"}, "'7' is not a count"),
        ({"progress.batch": True}, "True is not a count"),
        ({"progress.best": float("nan")}, "nan is not a finite number"),
        ({"progress.sums": {"loss": None}}, "None is not a number"),
        ({"progress.history": 3}, "cannot be read"),
        ({"run.seed": 1.5}, "1.5 is not a count"),
        ({"run.settings": [1]}, "cannot be read"),
        ({"graph": 5}, "5 is not a text"),
    ],
)
def test_wrong_metadata(tmp_path, change, message):
    path = tmp_path / "c.safetensors"
    about = metadata(path)
    for place, value in change.items():
        *parents, last = place.split(".")
        target = about
        for name in parents:
            target = target[name]
        target[last] = value
    path.write_bytes(save(dict(example().arrays), {"netdsl": json.dumps(about)}))
    assert message in refused(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"a"', "[" * 100_000])
def test_metadata_that_is_no_object(tmp_path, text):
    path = tmp_path / "c.safetensors"
    path.write_bytes(save(dict(example().arrays), {"netdsl": text}))
    refused(path)


def test_arrays_of_another_network():
    arrays = {"conv.weight": np.zeros((2, 3), np.float32)}
    check_arrays(arrays, {"conv.weight": (2, 3)}, "it")
    for wanted, given, message in (
        ({"conv1.weight": (2, 3)}, arrays, "it has conv.weight: was the layer renamed?"),
        ({}, arrays, "the network has no conv.weight"),
        ({"conv.weight": (3, 2)}, arrays, r"conv.weight is float32 \[2, 3\], not float32 \[3, 2\]"),
        ({"conv.weight": (2, 3)}, {"conv.weight": np.zeros((2, 3), np.float16)}, "is float16"),
        ({f"w{k}": () for k in range(9)}, {}, "it lacks w0, w1, w2 and 6 more"),
    ):
        with pytest.raises(NetError, match=message):
            check_arrays(given, wanted, "it")


def test_no_pickle():
    assert "pickle" not in vars(module) and FORMAT.startswith("netdsl")
