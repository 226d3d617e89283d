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
from safetensors.numpy import save_file

from netdsl.runtime import container as module
from netdsl.runtime.artifact import Model
from netdsl.source import NetError
from netdsl.train.checkpoint import (
    Checkpoint,
    EpochResult,
    Progress,
    Run,
    check_arrays,
    load_checkpoint,
    save_checkpoint,
)
from tests.resealed import opened, resealed

HISTORY = [
    EpochResult(1, 0.1, {"loss": 1 / 3, "accuracy": 0.5}, {"loss": float("inf")}),
    EpochResult(2, 0.05, {"loss": 0.1}, None),
]
PROGRESS = Progress(2, 3, 13, {"sum/loss/0": [0.1 + 0.2, 24.0]}, 0.7, HISTORY)
RUN = Run(7, 8, 40, "ab", "sgd", {"train.batch": "8"})


def example():
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in (("w", (2, 3)), ("b", ()))}
    return Checkpoint(Model("Net", "graph {}", {"peak": 1.0}), arrays, PROGRESS, RUN)


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
        save_checkpoint(path, replace(example(), arrays={}))
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
    assert "there is no file" in refused(tmp_path / "c.safetensors")


@pytest.mark.parametrize(
    ("size", "message"),
    [(0, "is empty; a checkpoint belongs here"), (4, "is a binary file"), (8, "is a binary file")]
    + [(size, "is damaged: it is cut off") for size in (200, 500, -1)],
)
def test_cut_off(tmp_path, size, message):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, example())
    path.write_bytes(path.read_bytes()[:size])
    assert message in refused(path)


def test_every_bit_counts(tmp_path):
    """Each bit of a file, flipped, is noticed: or the file says the same thing."""
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, example())
    whole = bytearray(path.read_bytes())
    for bit in random.Random(0).sample(range(8 * len(whole)), 300):
        whole[bit // 8] ^= 1 << bit % 8
        path.write_bytes(whole)
        refused(path)
        whole[bit // 8] ^= 1 << bit % 8


def test_other_files(tmp_path):
    path = tmp_path / "c.safetensors"
    path.write_bytes(b"\x80\x04\x95" + os.urandom(200))
    assert "is a Python pickle" in refused(path)
    path.unlink()
    path.mkdir()
    assert "is a folder; a checkpoint belongs here" in refused(path)
    other = tmp_path / "weights.safetensors"
    save_file({"w": np.zeros(3, np.float32)}, other)
    assert "a safetensors file that netdsl did not write; a checkpoint belongs here" in refused(other)


def test_a_header_that_promises_too_much(tmp_path):
    path = tmp_path / "c.safetensors"
    header = {"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    text = json.dumps({"__metadata__": {"netdsl": "netdsl checkpoint 4 "}, **header}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(64))
    assert "is damaged" in refused(path)


def test_other_types_of_numbers(tmp_path):
    path = tmp_path / "c.safetensors"
    path.write_bytes(resealed("netdsl checkpoint 4", "{}", {"w": np.zeros(3, np.float16)}))
    assert "w holds F16, not F32 or F64 or I64" in refused(path)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_a_type_is_what_the_checksum_is_of(tmp_path, dtype):
    path = tmp_path / "c.safetensors"
    values = np.arange(4).astype(dtype)
    save_checkpoint(path, replace(example(), arrays={"callback/A/x": values}))
    (found,) = load_checkpoint(path).arrays.values()
    assert found.dtype == values.dtype and found.tobytes() == values.tobytes()
    if dtype != "float32":
        old, new = {"float64": (b'"F64"', b'"I64"'), "int64": (b'"I64"', b'"F64"')}[dtype]
        path.write_bytes(path.read_bytes().replace(old, new))
        assert "is damaged: its content is not what its checksum is of" in refused(path)


@pytest.mark.parametrize(
    ("words", "message", "fix"),
    [
        (
            "netdsl checkpoint 99 x\n{}",
            "is of a newer netdsl: checkpoint 99, where this one",
            "update netdsl",
        ),
        ('{"format": "netdsl checkpoint 2", "name": "N"}', "is of an older netdsl: checkpoint 2,", "anew"),
        ("netdsl artifact 3 x\n{}", "is a netdsl artifact; a checkpoint belongs here", "netdsl train"),
        (
            "netdsl checkpoint 4 x\n{}",
            "is damaged: its content is not what its checksum is of",
            "another copy",
        ),
    ],
)
def test_other_versions_and_kinds(tmp_path, words, message, fix):
    path = tmp_path / "c.safetensors"
    save_file({"w": np.zeros(3, np.float32)}, path, {"netdsl": words})
    with pytest.raises(NetError) as caught:
        load_checkpoint(path)
    assert message in caught.value.diagnostics[0].message and fix in caught.value.diagnostics[0].fix


def test_more_than_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, example())
    monkeypatch.setattr("netdsl.machine.machine_memory", lambda: 100)
    with pytest.raises(NetError, match="the checkpoint needs"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"progress": {}}, "progress has no 'batch'"),
        ({"progress.epoch": -1}, "progress.epoch: -1 is not a count"),
        ({"progress.epoch": 10**400}, "progress.epoch: a huge number is not a count"),
        ({"progress.step": "7"}, "progress.step is '7', not an integer"),
        ({"progress.batch": True}, "progress.batch is True, not an integer"),
        ({"progress.best": float("nan")}, "progress.best: nan is not a finite number"),
        ({"progress.best": 10**400}, "progress.best: int too large to convert to float"),
        ({"progress.sums": {"loss": [None]}}, "progress.sums.loss[0] is None, not a number"),
        ({"progress.history": 3}, "progress.history is 3, not a list"),
        ({"progress.history": [3]}, "progress.history[0] is 3, not an object"),
        ({"run.seed": 1.5}, "run.seed is 1.5, not an integer"),
        ({"run.settings": [1]}, "run.settings is a list, not an object"),
        ({"run.more": 1}, "run has an unknown 'more'"),
        ({"model.graph": 5}, "model.graph is 5, not a text"),
        ({"model": None}, "model is None, not an object"),
    ],
)
def test_wrong_metadata(tmp_path, change, message):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, example())
    title, text, arrays = opened(path.read_bytes())
    about = json.loads(text)
    for place, value in change.items():
        *parents, last = place.split(".")
        target = about
        for name in parents:
            target = target[name]
        target[last] = value
    path.write_bytes(resealed(title, json.dumps(about), arrays))
    assert message in refused(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"a"', "{}", "[" * 100_000, "9" * 10_000])
def test_metadata_that_is_no_object(tmp_path, text):
    path = tmp_path / "c.safetensors"
    path.write_bytes(resealed("netdsl checkpoint 4", text, dict(example().arrays)))
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
    assert "pickle" not in vars(module)
