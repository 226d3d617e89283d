"""Predicted memory against what programs hold, and against what their process takes at its peak."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.elaborate import elaborate
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.ops.initializers import initialize
from netdsl.runtime import Program
from netdsl.source import Source
from netdsl.train.memory_prediction import footprint, predict_memory, program_graph
from tests.calls import call
from tests.cuda.card import emulated

ROOT = Path(__file__).parents[2]
MODES = ("inference", "training")


@pytest.fixture(scope="module")
def lenet():
    return netdsl.load(ROOT / "examples" / "lenet5.net")


@pytest.mark.parametrize("mode", MODES)
def test_a_program_holds_what_was_predicted(lenet, mode):
    program = Program(program_graph(lenet, 3, mode))
    leaves = {name: tensor.type.nbytes for name, tensor in program._leaves.items()}
    inputs = sum(leaves.pop(name) for name in program.inputs)
    found = footprint(lenet, 3, mode)
    assert found.feeds == inputs
    held = sum(leaves.values()) + program._workspace.memory.size
    assert found.weights + found.prepared + found.arena == held
    assert found.results == sum(t.nbytes for t in program.outputs.values())


def test_weights_that_were_folded_and_packed_are_not_kept_twice():
    network = netdsl.load(ROOT / "examples" / "resnet18_cifar.net")
    found = footprint(network, 1, "inference", netdsl.device("cpu", exact=True))
    assert found.weights < found.prepared < 1.05 * found.weights
    # Kernels that Winograd transforms are as large as their positions say, up to 36 for 9 weights.
    assert found.prepared < footprint(network, 64, "inference").prepared < 4.2 * found.weights


@pytest.mark.parametrize("mode", MODES)
def test_the_largest_batch_fits_and_one_more_does_not(lenet, mode):
    limit = 20_000_000
    largest = predict_memory(lenet, 1, limit).peaks[mode].largest_batch
    assert footprint(lenet, largest, mode).total <= limit < footprint(lenet, largest + 1, mode).total


def test_where_not_even_one_sample_fits(lenet):
    memory = predict_memory(lenet, 1, 1000)
    assert [p.largest_batch for p in memory.peaks.values()] == [0, 0]
    assert "largest batch in 1000 B: none in inference, none in training" in memory.text()


def test_each_card_has_the_limit(monkeypatch, capsys):
    """Two towers on two cards need not fit into one."""
    device = emulated(monkeypatch)
    file = ROOT / "examples" / "digits_towers.net"
    memory = predict_memory(netdsl.load(file), 4, 600_000, device)
    for peak in memory.peaks.values():
        assert list(peak.places) == ["cuda:0", "cuda:1"] and sum(peak.places.values()) == peak.total
    training = memory.peaks["training"]
    assert max(training.places.values()) < 600_000 < training.total and training.largest_batch > 4
    words = ("report", file, "--device", "cuda", "--batch", "4", "--memory", "600KB")
    text = " ".join(call(capsys, *words)[1].split())
    assert re.search(r"activations, .* results; [\d.]+ KiB on cuda:0, [\d.]+ KiB on cuda:1", text)
    assert f"each: {memory.peaks['inference'].largest_batch} in inference" in text


def test_a_device_is_for_memory_alone(capsys):
    status, _, err = call(capsys, "report", ROOT / "examples" / "lenet5.net", "--device", "reference")
    assert status == 2 and "--device: allowed with --batch or --memory only" in " ".join(err.split())


def test_without_a_train_section_a_loss_is_assumed():
    memory = predict_memory(netdsl.load(ROOT / "examples" / "squeezenet.net"), 2)
    assert memory.note is not None
    assert memory.peaks["training"].total > memory.peaks["inference"].total
    assert memory.text()[-1] == f"({memory.note})"


def test_without_an_output_that_has_a_gradient_training_is_not_counted():
    source = Source("best.net", "net Best { input x: [5]; output best = x -> argmax }")
    memory = predict_memory(elaborate(source), 2, 1000)
    assert list(memory.peaks) == ["inference"]
    assert "training is not counted" in memory.text()[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "name",
    [
        "densenet121",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("resnet50", "vgg16", "mobilenet_v2", "unet")),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_the_peak_of_the_process_is_as_predicted(name, mode):
    command = [sys.executable, ROOT / "benchmarks" / "memory.py", "--only", name, "--mode", mode, "--json"]
    # The first process compiles kernels, whose memory nobody predicts: then the second one counts.
    for _ in range(2):
        (row,) = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        assert row["planned"] == row["predicted"]
        if row["predicted"] == pytest.approx(row["measured"], rel=0.05):
            return
    pytest.fail(str(row))


def test_programs_that_share_weights_work_in_one_memory_in_turn(lenet):
    rng = np.random.default_rng(0)
    learner = Program(program_graph(lenet, 4, "training"))
    judge = Program(program_graph(lenet, 2, "inference"), share=learner)
    assert judge._workspace is learner._workspace
    for leaf in (*learner.graph.leaves("param"), *learner.graph.leaves("state")):
        learner.set(leaf.id, initialize(leaf, 0))
    image = rng.standard_normal((2, 28, 28, 1)).astype(np.float32)
    feeds = {name: np.zeros(t.shape, NUMPY_DTYPE[t.dtype]) for name, t in learner.inputs.items()}
    before = judge.run({"image": image})["logits"]
    learner.run(feeds)  # a learning rate of 0: nothing is learnt, but the memory is written all over
    assert judge.run({"image": image})["logits"].tobytes() == before.tobytes()
    assert not np.array_equal(judge.run({"image": -image})["logits"], before)


def test_a_program_that_needs_more_memory_than_its_partner_has_its_own(lenet):
    small = Program(program_graph(lenet, 1, "inference"))
    large = Program(program_graph(lenet, 64, "inference"), share=small)
    assert large._workspace is not small._workspace
