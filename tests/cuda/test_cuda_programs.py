"""Whole programs on an emulated card: random networks, values that are parts of others, and a training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl import passes
from netdsl.elaborate import elaborate
from netdsl.ir import interpret
from netdsl.ops.expand import expand
from netdsl.passes.check import random_feeds
from netdsl.runtime import Program
from netdsl.source import Source
from tests.calls import call
from tests.cuda.card import emulated
from tests.random_graphs import random_graph
from tests.runtime.test_views import compare, drawn

DIGITS = str(Path(__file__).parents[2] / "examples" / "digits.net")
SEEDS = [pytest.param(k, marks=() if k < 2 else pytest.mark.emulated) for k in range(50)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_random_networks(seed, training, monkeypatch):
    device = emulated(monkeypatch)
    graph = random_graph(seed, training)
    feeds = random_feeds(graph, seed)
    expected = interpret(graph, feeds, np.float64)
    everything = {**expected.outputs, **expected.updates}
    pipeline = passes.training if training else passes.inference
    program = Program(pipeline(device).run(graph), device)
    for leaf in (*program.graph.leaves("param"), *program.graph.leaves("state")):
        program.set(leaf.id, feeds[leaf.id])
    got = program.run({name: feeds[name] for name in program.inputs})
    got |= {name: program.get(name) for name in program.graph.updates}
    for name, array in got.items():
        scale = max(1.0, float(np.abs(everything[name]).max(initial=0)))
        np.testing.assert_allclose(array, everything[name], rtol=2e-3, atol=2e-4 * scale, err_msg=name)


@pytest.mark.parametrize("seed", SEEDS)
def test_parts_of_values(seed, monkeypatch):
    device = emulated(monkeypatch)
    pipeline = passes.training if seed % 2 else passes.inference
    compare(pipeline(device).run(drawn(seed, seed % 2 == 1)), seed, device)


@pytest.mark.parametrize(
    ("groups", "rows"),
    [(1, {"cpu": 0, "cuda": 4, "reference": 4}), (4, {"cpu": 0, "cuda": 0, "reference": 4})],
)
def test_an_infinite_weight_that_meets_padding(groups, rows, monkeypatch):
    """An infinite weight above the middle is multiplied with the padding above, or left out (docs/cuda.md)."""
    emulated(monkeypatch)
    text = f"net N {{ input x: [4, 4, 4]; output y = x -> conv(4, 3, pad = same, bias = false, groups = {groups}) }}"
    graph = expand(elaborate(Source("n.net", text)).graph)
    for name, wrong in rows.items():
        device = netdsl.device(name)
        program = Program(passes.inference(device).run(graph), device)
        (weight,) = program.weights
        kernel = np.ones(program.weights[weight].shape, np.float32)
        kernel[0, 1] = np.inf
        program.set(weight, kernel)
        y = program.run({"x": np.ones((1, 4, 4, 4), np.float32)})["y"][0, :, :, 0]
        assert np.isnan(y[0]).sum() == wrong and np.isinf(y[1:]).all(), name


def losses(folder: Path) -> list[float]:
    """The training loss of each epoch."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line["train"]["loss"] for line in lines if line["event"] == "epoch"]


def test_a_training_has_the_losses_of_the_cpu(monkeypatch, capsys, tmp_path):
    """As far as sums in another order allow; and it goes on on the CPU from the checkpoint."""
    emulated(monkeypatch)
    few = ["data.subset=48", "train.batch=8", "width=4", "data.test=none"]
    few = [word for setting in few for word in ("--set", setting)]
    for name in ("cuda", "cpu"):
        words = ("--device", name, "--set", "train.epochs=2", "--out", str(tmp_path / name))
        assert call(capsys, "train", DIGITS, *few, *words)[0] == 0
    np.testing.assert_allclose(losses(tmp_path / "cuda"), losses(tmp_path / "cpu"), rtol=1e-4)
    more = ("--set", "train.epochs=3", "--out", str(tmp_path / "cuda"), "--resume")
    assert call(capsys, "train", DIGITS, *few, "--device", "cpu", *more)[0] == 0
    assert len(losses(tmp_path / "cuda")) == 3


def test_the_order_of_threads_changes_no_bit(monkeypatch):
    """One training step under three orders of blocks and warps."""
    device = emulated(monkeypatch)
    graph = passes.training(device).run(random_graph(3, True))
    feeds = random_feeds(graph, 3)
    found = []
    for seed in (0, 1, 2):
        device.card.seed = seed
        program = Program(graph, device)
        for leaf in (*graph.leaves("param"), *graph.leaves("state")):
            program.set(leaf.id, feeds[leaf.id])
        got = program.run({name: feeds[name] for name in program.inputs})
        found.append({**got, **{name: program.get(name) for name in graph.updates}})
    device.card.seed = 0
    for other in found[1:]:
        for name, array in found[0].items():
            np.testing.assert_array_equal(array, other[name], err_msg=name)
