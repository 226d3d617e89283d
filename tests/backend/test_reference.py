"""The reference device is right, also where freed memory is poisoned; and poison finds wrong plans."""

from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl import passes
from netdsl.backend.lower import Lowered
from netdsl.ir import interpret
from netdsl.ops.expand import expand
from netdsl.passes.check import random_feeds
from netdsl.runtime import Program
from tests.random_graphs import random_graph

EXAMPLES = Path(__file__).parents[2] / "examples"
POISONED = netdsl.device("reference", poison=True)


def run(graph, feeds, device=POISONED, runs=1):
    """Outputs and updates; later runs find what the ones before them left."""
    program = Program(graph, device)
    for _ in range(runs):
        for name in program.weights:
            program.set(name, feeds[name])
        outputs = program.run({name: feeds[name] for name in program.inputs})
    return {**outputs, **{f"update of {k}": program.get(k) for k in graph.updates}}


def check(got, graph, feeds, title):
    """Equal to the interpreter in float64."""
    exact = interpret(graph, feeds, np.float64)
    wanted = {**exact.outputs, **{f"update of {k}": v for k, v in exact.updates.items()}}
    for name, array in got.items():
        scale = max(1.0, float(np.abs(wanted[name]).max(initial=0)))
        np.testing.assert_allclose(
            array, wanted[name], rtol=2e-3, atol=2e-4 * scale, err_msg=f"{title} {name}"
        )
    assert got


def pipeline(training):
    return (passes.training if training else passes.inference)(POISONED)


BLOCKS = [pytest.param(k, marks=() if k < 4 else pytest.mark.slow) for k in range(10)]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_random_networks(block, training):
    """200 in all, optimised, against what they were before the passes."""
    for seed in range(block * 10, block * 10 + 10):
        graph = random_graph(seed, training)
        feeds = random_feeds(graph, seed)
        check(run(pipeline(training).run(graph), feeds, runs=2), graph, feeds, seed)


@pytest.mark.parametrize("file", ["lenet5.net", "digits.net"])
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_memory_plans_of_small_networks(file, training):
    graph = expand(netdsl.load(EXAMPLES / file, batch=2).graph, training)
    feeds = random_feeds(graph, 5)
    check(run(pipeline(training).run(graph), feeds, runs=2), graph, feeds, file)


def test_poison_finds_memory_that_is_freed_too_early(monkeypatch):
    graph = passes.inference().run(expand(netdsl.load(EXAMPLES / "lenet5.net").graph))
    feeds, spans = random_feeds(graph, 5), Lowered.spans
    assert np.isfinite(run(graph, feeds)["logits"]).all()

    def early(lowered):
        return {b: (first, max(first, last - 1)) for b, (first, last) in spans(lowered).items()}

    monkeypatch.setattr(Lowered, "spans", early)
    assert np.isnan(run(graph, feeds)["logits"]).all()


def test_a_step_that_reads_before_anything_is_written_shows(monkeypatch):
    graph = passes.inference().run(expand(netdsl.load(EXAMPLES / "lenet5.net").graph))
    program = Program(graph, POISONED)
    for name in program.weights:
        program.set(name, np.ones(program.weights[name].shape, np.float32))
    program.run({"image": np.ones((1, 28, 28, 1), np.float32)})
    program.executable._calls.pop(program.executable.count // 2)
    program.executable.count -= 1
    assert np.isnan(program.run({"image": np.ones((1, 28, 28, 1), np.float32)})["logits"]).all()
