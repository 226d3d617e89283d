"""Stages, early stopping and snapshots from the file: what is trained when, and that a resumed run does the same."""

import json
import math
import subprocess
import sys
import time

import numpy as np
import pytest

from netdsl.data import DataPlan, from_arrays
from netdsl.source import NetError
from netdsl.train import Callback, Trainer, load_checkpoint
from netdsl.train.sections import check_sections

from .nets import TEXT, arrays, network, plan

DEEP = TEXT.replace("dense(8) -> tanh", "dense(8) -> batch_norm -> tanh -> dense(6) -> relu -> dropout(0.2)")
STAGES = (
    '[stage(epochs = 2, train = "dense3"), stage(epochs = 3, train = "dense2, dense3", lr = 0.02, '
    "schedule = cosine), stage(epochs = 2, lr = 0.001)]"
)


def staged(*changes, text=DEEP, **settings):
    return network(("  epochs = 3\n", ""), *changes, text=text, **settings)


class See(Callback):
    """The rate of every step, and the weights after every epoch."""

    def __init__(self):
        self.rates, self.weights = [], []

    def on_batch_end(self, loop, values):
        self.rates.append(loop.lr)

    def on_epoch_end(self, loop, result):
        self.weights.append(loop.learner.arrays())


def moved(before, after):
    """The layers whose weights or statistics differ."""
    return {n.partition(".")[0] for n in before if "/" not in n and not np.array_equal(before[n], after[n])}


def test_each_stage_trains_its_weights_at_its_rate():
    see = See()
    trainer = Trainer(staged(stages=STAGES), data=plan(), callbacks=[see])
    see.weights.append(trainer.program.state_dict())
    result = trainer.fit()
    w = see.weights
    assert result.epochs == 7
    assert moved(w[0], w[2]) == {"dense3"} and moved(w[2], w[5]) == {"dense2", "dense3"}
    assert moved(w[5], w[7]) == {"dense1", "batch_norm1", "dense2", "dense3"}
    cosine = [0.01 * (1 + math.cos(math.pi * k / 15)) for k in range(15)]
    np.testing.assert_allclose(see.rates, [0.1] * 10 + cosine + [0.001] * 10, rtol=1e-12)


def test_a_stage_is_a_training_of_its_own_from_the_weights_before():
    """With Adam, whose slots and bias corrections begin anew; independent: two trainings one after the other."""
    stages = '[stage(epochs = 2, train = "dense3"), stage(epochs = 3)]'
    text = DEEP.replace(" -> dropout(0.2)", "")
    whole = Trainer(staged(text=text, stages=stages, optimizer="adam(lr = 0.05)"), data=plan(shuffle=False))
    whole.fit()
    frozen = text.replace("dense(8) ->", "dense(8) @freeze ->").replace("batch_norm", "batch_norm @freeze")
    frozen = frozen.replace("dense(6) ->", "dense(6) @freeze ->")
    first = Trainer(network(text=frozen, epochs=2, optimizer="adam(lr = 0.05)"), data=plan(shuffle=False))
    first.fit()
    second = Trainer(network(text=text, epochs=3, optimizer="adam(lr = 0.05)"), data=plan(shuffle=False))
    for name, array in first.program.state_dict().items():
        if "/" not in name:
            second.program.set(name, array)
    second.fit()
    for name, array in second.program.state_dict().items():
        np.testing.assert_array_equal(whole.program.state_dict()[name], array, err_msg=name)


def test_what_no_stage_trains_costs_no_slots_and_no_updates():
    stages = '[stage(epochs = 1, train = "dense3"), stage(epochs = 1, train = "dense3.weight", lr = 0.01)]'
    trainer = Trainer(staged(stages=stages), data=plan())
    graph = trainer.program.graph
    assert {n.id for n in graph.leaves("state") if "/" in n.id} == {
        "dense3.weight/momentum",
        "dense3.bias/momentum",
    }
    assert set(graph.updates) == {f"dense3.{p}" for p in ("weight", "bias")} | {
        f"dense3.{p}/momentum" for p in ("weight", "bias")
    }
    trainer.fit()


WRONG = [
    ({"stages": "3"}, "stage"),
    ({"stages": "[]"}, "stages is a list such as"),
    ({"stages": "[cosine]"}, "stages is a list such as"),
    ({"stages": "[stage()]"}, "stage needs epochs"),
    ({"stages": "[stage(epochs = 0)]"}, "epochs must be a whole number from 1, not 0"),
    ({"stages": "[stage(epochs = 1, train = 3)]"}, "train must be text"),
    ({"stages": '[stage(epochs = 1, train = "dnse3")]'}, "no weight is called dnse3"),
    ({"stages": "[stage(epochs = 1, lr = -1)]"}, "lr must be a number above 0"),
    ({"stages": "[stage(epochs = 1, schedule = 3)]"}, "schedule is a schedule"),
    ({"stages": "[stage(epochs = 1, schedule = cosine(warmup = 5))]"}, "warmup = 5 is longer"),
    ({"stages": "[stage(epochs = 2)]", "epochs": "3"}, "the stages have 2 epochs in all, not 3"),
    ({"stages": "[stage(epochs = 2)]", "snapshots": "2"}, "with stages there are several"),
    ({"snapshots": "0"}, "snapshots must be a whole number from 1"),
    ({"snapshots": "3", "epochs": "10"}, "10 epochs cannot be cut into 3 equal cycles"),
    ({"stop": "5"}, "stop is patience"),
    ({"stop": "patience"}, "patience needs epochs"),
    ({"stop": "patience(0)"}, "epochs must be a whole number from 1"),
    ({"stop": "patience(5, 3)"}, "metric is the name of a value"),
    ({"stop": "patience(5, min_delta = -1)"}, "min_delta must be a number from 0"),
    ({"stop": "patient(5)"}, "no way to stop is called patient"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG, ids=[str(s) for s, _ in WRONG])
def test_wrong_settings_are_said_by_check_at_their_place(settings, message):
    with pytest.raises(NetError) as caught:
        check_sections(staged(**settings))
    assert message in str(caught.value) and all(d.span is not None for d in caught.value.diagnostics)


def test_what_is_frozen_in_the_net_stays_frozen():
    text = TEXT.replace("dense(3)", "dense(3) @freeze")
    with pytest.raises(NetError, match="dense2 are frozen by the net"):
        check_sections(staged(text=text, stages='[stage(epochs = 1, train = "dense2")]'))


@pytest.mark.parametrize(
    "setting", ["patience(2, loss)", 'patience(2, "accuracy", 0.001)', "patience(epochs = 2)"]
)
def test_stop_needs_a_validation_set_and_a_value_of_it(setting):
    data = "\ndata { train = digits.train; %s }\n"
    text = TEXT.replace("x: [4]", "x: [64]").replace("dense(3)", "dense(10)")
    assert check_sections(network(text=text + data % "validation = 0.1", stop=setting)) == ()
    with pytest.raises(NetError, match="stop watches the validation set, and there is none"):
        check_sections(network(text=text + data % "", stop=setting))
    with pytest.raises(NetError, match=r"(?s)stop watches acuracy.*did you mean accuracy"):
        check_sections(network(text=text + data % "validation = 0.1", stop="patience(2, acuracy)"))


def worse():
    """Training that makes validation values no better after some epoch: their labels are shuffled."""
    x, labels = arrays(40)
    held = from_arrays(x[:12], np.roll(labels[:12], 1))
    return DataPlan({"train": from_arrays(x, labels), "validation": held, "test": held})


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_the_best_weights_are_the_result(tmp_path, folder, metric):
    see = See()
    trainer = Trainer(
        network(epochs=30, stop=f"patience(3, {metric})"),
        tmp_path / "a" if folder else None,
        worse(),
        callbacks=[see],
    )
    result = trainer.fit()
    values = [e.validation[metric] for e in result.history]
    best = values.index(min(values) if metric == "loss" else max(values))
    assert result.epochs == best + 1 + 3 < 30 and result.restored == best + 1
    assert result.validation == result.history[best].validation
    now = trainer.program.state_dict()
    for name, array in see.weights[best].items():
        if "/" not in name:
            np.testing.assert_array_equal(now[name], array)
    assert result.test[metric] == pytest.approx(values[best], rel=1e-6)
    if folder:
        assert load_checkpoint(tmp_path / "a" / "best.safetensors").progress.epoch == best + 1
        assert load_checkpoint(tmp_path / "a" / "last.safetensors").progress.epoch == best + 4
        event = json.loads((tmp_path / "a" / "metrics.jsonl").read_text().splitlines()[-1])
        assert event["restored"] == best + 1 and event["epochs"] == best + 4


def test_snapshots_are_the_ends_of_cycles(tmp_path):
    see = See()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "snapshot-9.safetensors").write_text("of an older run")
    net = network(epochs=6, snapshots=3, schedule="cosine")
    Trainer(net, tmp_path / "a", plan(), callbacks=[see]).fit()
    cycle = [0.05 * (1 + math.cos(math.pi * k / 10)) for k in range(10)]
    np.testing.assert_allclose(see.rates, cycle * 3, rtol=1e-12)
    assert sorted(p.name for p in (tmp_path / "a").glob("snap*")) == [
        f"snapshot-{k}.safetensors" for k in (1, 2, 3)
    ]
    for k in (1, 2, 3):
        found = load_checkpoint(tmp_path / "a" / f"snapshot-{k}.safetensors").arrays
        for name, array in see.weights[2 * k - 1].items():
            np.testing.assert_array_equal(found[name], array)


def files(folder):
    return {p.name: p.read_bytes() for p in folder.glob("*.safetensors")}


def test_a_killed_run_ends_with_the_same_bits(tmp_path):
    """kill -9 at any moment, in the second stage and in a cycle."""
    text = TEXT.replace("x: [4]", "x: [64]").replace("dense(8)", "dense(64)").replace("dense(3)", "dense(10)")
    text = text.replace("epochs = 3", 'stages = [stage(epochs = 3, train = "dense2"), stage(epochs = 40)]')
    (tmp_path / "n.net").write_text(text + "\ndata { train = digits.train; validation = 0.1 }\n")
    words = [sys.executable, "-m", "netdsl", "train", "n.net", "--out"]
    subprocess.run([*words, "whole"], cwd=tmp_path, check=True, capture_output=True)
    child = subprocess.Popen([*words, "killed"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    log = tmp_path / "killed" / "metrics.jsonl"
    limit = time.monotonic() + 60
    while time.monotonic() < limit and not (log.exists() and '"epoch": 9,' in log.read_text()):
        time.sleep(0.005)
    child.kill()
    child.wait()
    assert '"end"' not in log.read_text()
    subprocess.run([*words, "killed", "--resume"], cwd=tmp_path, check=True, capture_output=True)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
