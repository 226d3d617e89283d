"""The loop: what it reports, logs and keeps; that it is deterministic; that it stops and goes on."""

import json
import os
import signal

import numpy as np
import pytest

from netdsl.data import DataPlan, from_arrays
from netdsl.source import NetError
from netdsl.train import Callback, Trainer, load_checkpoint
from netdsl.train.resume import describe_run

from .nets import TEXT, arrays, network, plan


class Recorder(Callback):
    """Writes down every call; presses Ctrl-C after step `stop`."""

    def __init__(self, stop=None):
        self.calls, self.stop, self.values = [], stop, []

    def on_train_begin(self, loop):
        self.calls.append(("start", loop.epochs, len(loop.batches), loop.progress.step))

    def on_batch_end(self, loop, values):
        self.calls.append("step")
        self.values.append(values)
        if self.stop == loop.progress.step:
            os.kill(os.getpid(), signal.SIGINT)

    def on_epoch_end(self, loop, result):
        self.calls.append(("epoch", result.epoch))

    def on_train_end(self, loop, result):
        self.calls.append("end")

    def close(self):
        self.calls.append("close")


def events(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(trainer):
    return trainer.program.state_dict()


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


def test_it_learns_and_reports(tmp_path):
    recorder = Recorder()
    result = Trainer(network(epochs=8), tmp_path, plan(), callbacks=[recorder]).fit()
    assert result.epochs == 8 and result.steps == 40 and not result.interrupted
    assert result.history[0].train["loss"] > result.train["loss"]
    assert result.test["accuracy"] > 0.7 and result.validation["accuracy"] > 0.6
    epoch = ["step"] * 5
    expected = [("start", 8, 5, 0)] + [c for k in range(8) for c in (*epoch, ("epoch", k + 1))]
    assert recorder.calls == [*expected, "end", "close"]
    assert recorder.values[4] == result.history[0].train


def test_the_log(tmp_path):
    result = Trainer(network(), tmp_path, plan()).fit()
    start, *epochs, end = events(tmp_path)
    told = {"network": "Tiny", "epochs": 3, "batch": 8, "seed": 0}
    assert start == {"event": "start", **told, "device": "cpu", "precision": "f32"}
    assert [e["epoch"] for e in epochs] == [1, 2, 3]
    for event, done in zip(epochs, result.history, strict=True):
        assert event["event"] == "epoch" and event["lr"] == 0.1
        assert event["train"] == done.train and event["validation"] == done.validation
    assert end["event"] == "end" and end["test"] == result.test
    assert set(end["test"]) == {"loss", "accuracy"} and end["epochs"] == 3 and end["steps"] == 15


def test_evaluation_is_the_mean_over_all_samples():
    trainer = Trainer(network(), data=plan())
    result = trainer.fit()
    w = weights(trainer)
    x, labels = arrays(20, seed=2)
    (a, b), (c, d) = ([w[n] for n in w if n.startswith(f"dense{k}") and "/" not in n] for k in (1, 2))
    a, b, c, d = (b, a, d, c) if a.ndim == 1 else (a, b, c, d)
    logits = np.tanh(x.astype(np.float64) @ a + b) @ c + d
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    assert result.test["loss"] == pytest.approx(-logits[np.arange(20), labels].mean(), rel=1e-5)
    assert result.test["accuracy"] == pytest.approx((logits.argmax(-1) == labels).mean())


def test_the_evaluation_batch_changes_rounding_alone():
    one = Trainer(network(), data=plan()).fit()
    other = Trainer(network(text=TEXT + "eval { batch = 3 }"), data=plan()).fit()
    assert other.test == pytest.approx(one.test, rel=1e-5)
    assert other.validation == pytest.approx(one.validation, rel=1e-5)


def test_same_seed_same_bits_whatever_the_threads_and_the_batch_of_elaboration():
    runs = [
        Trainer(network(elaborated=batch), data=plan(), threads=threads)
        for batch, threads in ((1, 1), (8, 2))
    ]
    results = [trainer.fit() for trainer in runs]
    assert results[0].history == results[1].history and results[0].test == results[1].test
    assert_same(weights(runs[0]), weights(runs[1]))
    other = Trainer(network(seed=1), data=plan())
    assert other.fit().history != results[0].history


def test_the_last_smaller_batch_learns_as_a_batch_of_its_size():
    whole = Trainer(network(epochs=1), data=plan(12, drop_last=False, shuffle=False))
    result = whole.fit()
    assert result.steps == 2
    halves = Trainer(network(epochs=1), data=plan(8, shuffle=False))
    halves.fit()
    rest = Trainer(network(epochs=1, batch=4), data=plan(8, shuffle=False))
    x, labels = arrays(12)
    rest._data = DataPlan({"train": from_arrays(x[8:], labels[8:]), "shuffle": False})
    rest.program.load_state_dict(weights(halves))
    rest.learner.forget = lambda: None  # the second half of the same epoch, not a new run
    last = rest.fit()
    assert_same(weights(whole), weights(rest))
    first = 8 * Trainer(network(epochs=1), data=plan(8, shuffle=False)).fit().train["loss"]
    assert result.train["loss"] == pytest.approx((first + 4 * last.train["loss"]) / 12)


@pytest.mark.parametrize("stop", [1, 4, 5, 6, 14, 15])
def test_stopped_and_resumed_ends_with_the_same_bits(tmp_path, stop):
    whole = Trainer(network(("-> tanh", "-> batch_norm -> tanh -> dropout(0.2)")), tmp_path / "a", plan())
    expected = whole.fit()
    for part in ("stopped", "resumed"):
        trainer = Trainer(
            network(("-> tanh", "-> batch_norm -> tanh -> dropout(0.2)")), tmp_path / "b", plan()
        )
        trainer.callbacks.append(Recorder(stop if part == "stopped" else None))
        result = trainer.fit(part == "resumed")
        assert result.interrupted == (part == "stopped")
    assert result.history == expected.history and result.test == expected.test
    for name in ("last.safetensors", "best.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    found = events(tmp_path / "b")
    assert [e["event"] for e in found if e["event"] != "epoch"] == ["start", "resume", "end"]
    assert [e["epoch"] for e in found if e["event"] == "epoch"] == [1, 2, 3]
    assert found[-1]["test"] == expected.test


def test_ctrl_c_saves_what_is_done(tmp_path):
    recorder = Recorder(stop=7)
    before = signal.getsignal(signal.SIGINT)
    result = Trainer(network(), tmp_path, plan(), callbacks=[recorder]).fit()
    assert signal.getsignal(signal.SIGINT) is before
    assert result.interrupted and result.steps == 7 and result.epochs == 1 and result.test is None
    assert recorder.calls[-2:] == ["end", "close"]
    progress = load_checkpoint(tmp_path / "last.safetensors").progress
    assert (progress.epoch, progress.batch, progress.step, progress.sums["samples"]) == (1, 2, 7, [16.0])
    assert events(tmp_path)[-1]["event"] == "interrupted"


class Failing(Recorder):
    """Raises at one event: a step, the end of an epoch, the start or the end."""

    def __init__(self, event, at, error):
        super().__init__()
        self.event, self.at, self.error = event, at, error

    def raise_at(self, event, at):
        if (event, at) == (self.event, self.at):
            raise self.error

    def on_train_begin(self, loop):
        self.raise_at("start", 0)

    def on_epoch_begin(self, loop):
        self.raise_at("epoch begin", loop.progress.epoch)

    def on_batch_begin(self, loop):
        self.raise_at("step begin", loop.progress.step)

    def on_batch_end(self, loop, values):
        self.raise_at("step", loop.progress.step)

    def on_epoch_end(self, loop, result):
        self.raise_at("epoch", result.epoch)

    def on_train_end(self, loop, result):
        self.raise_at("end", 0)


@pytest.mark.parametrize("error", [KeyError("text"), BrokenPipeError(), SystemExit(3)], ids=repr)
@pytest.mark.parametrize(
    ("event", "at", "steps"),
    [
        ("step", 3, 3),
        ("step", 5, 5),
        ("epoch", 1, 5),
        ("epoch", 3, 15),
        ("end", 0, 15),
        ("epoch begin", 0, 0),
        ("epoch begin", 1, 5),
        ("step begin", 7, 7),
    ],
)
def test_a_callback_that_fails_costs_nothing(tmp_path, event, at, steps, error):
    expected = Trainer(network(), tmp_path / "a", plan()).fit()
    callback = Failing(event, at, error)
    with pytest.raises(type(error)) as caught:
        Trainer(network(), tmp_path / "b", plan(), callbacks=[callback]).fit()
    assert caught.value is error and callback.calls == ["close"]
    assert load_checkpoint(tmp_path / "b" / "last.safetensors").progress.step == steps
    assert sum(e["event"] == "epoch" for e in events(tmp_path / "b")) == steps // 5
    assert (tmp_path / "b" / "best.safetensors").exists() == (steps >= 5)
    result = Trainer(network(), tmp_path / "b", plan()).fit(resume=True)
    assert result.history == expected.history and result.test == expected.test
    for name in ("last.safetensors", "best.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("resume", [False, True])
def test_a_callback_that_fails_at_the_start_leaves_the_folder_as_it_was(tmp_path, resume):
    Trainer(network(epochs=1), tmp_path, plan()).fit()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    callback = Failing("start", 0, KeyError("text"))
    with pytest.raises(KeyError):
        Trainer(network(), tmp_path, plan(), callbacks=[callback]).fit(resume=resume)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_epoch_is_on_disk_before_it_is_told(tmp_path):
    told = []

    class Look(Callback):
        def on_epoch_end(self, loop, result):
            saved = [load_checkpoint(tmp_path / f"{name}.safetensors").progress for name in ("last", "best")]
            told.append((result.epoch, saved[0].epoch, saved[1].history[-1] == result))

    Trainer(network(epochs=1), tmp_path, plan(), callbacks=[Look()]).fit()
    assert told == [(1, 1, True)]


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    class Impatient(Recorder):
        def on_batch_end(self, loop, values):
            if loop.progress.step == 3:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)

    callback = Impatient()
    with pytest.raises(KeyboardInterrupt):
        Trainer(network(), tmp_path, plan(), callbacks=[callback]).fit()
    assert callback.calls[-1] == "close"
    assert load_checkpoint(tmp_path / "last.safetensors").progress.step == 0


def test_a_finished_run_resumes_to_its_end(tmp_path):
    first = Trainer(network(), tmp_path, plan()).fit()
    again = Trainer(network(), tmp_path, plan()).fit(resume=True)
    assert again.history == first.history and again.test == first.test and again.steps == 15


def test_more_epochs_may_be_asked_for(tmp_path):
    Trainer(network(), tmp_path, plan()).fit()
    result = Trainer(network(epochs=5), tmp_path, plan()).fit(resume=True)
    assert result.epochs == 5 and result.steps == 25
    (resume,) = (e for e in events(tmp_path) if e["event"] == "resume")
    assert resume["changed"] == {"train.epochs": ["3", "5"]}


def test_checkpoints_within_an_epoch(tmp_path):
    steps = []

    class Look(Callback):
        def on_batch_end(self, loop, values):
            steps.append(load_checkpoint(tmp_path / "last.safetensors").progress.step)

    Trainer(network(epochs=1, checkpoint_seconds=1e-9), tmp_path, plan(), callbacks=[Look()]).fit()
    assert steps == [0, 1, 2, 3, 4]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "best.safetensors",
        "last.safetensors",
        "metrics.jsonl",
    ]


def test_best_has_the_weights_of_the_best_epoch(tmp_path):
    result = Trainer(network(epochs=6), tmp_path, plan()).fit()
    values = [e.validation["accuracy"] for e in result.history]
    best = load_checkpoint(tmp_path / "best.safetensors").progress
    assert best.epoch == values.index(max(values)) + 1 and best.best == max(values)


def test_a_second_fit_starts_from_the_weights_there_are():
    trainer = Trainer(network(epochs=1), data=plan())
    trainer.fit()
    held = {name: array for name, array in weights(trainer).items() if "/" not in name}
    other = Trainer(network(epochs=1), data=plan())
    for name, array in held.items():
        other.program.set(name, array)
    assert trainer.fit() and other.fit()
    assert_same(weights(trainer), weights(other))


@pytest.mark.parametrize(
    ("changes", "overrides", "message"),
    [
        (
            [("8) -> tanh", "8) -> sigmoid")],
            {},
            "it has tanh1 (tanh) and lacks sigmoid1 (sigmoid)",
        ),
        (
            [("cross_entropy(logits, label)", "cross_entropy(logits, label, label_smoothing = 0.1)")],
            {},
            "loss",
        ),
        ([("dense(8)", "dense(9)")], {"batch": 4}, "dense1 (dense{units=8}), which here is dense{units=9}"),
        ([("-> tanh", "-> batch_norm -> tanh")], {}, "it lacks batch_norm1"),
        ([], {"seed": 3}, "seed = 0, not 3"),
        ([], {"batch": 4}, "batch = 8, not 4"),
        ([("sgd(lr = 0.1, momentum = 0.9)", "adam")], {}, "sgd (which keeps momentum), not adam"),
        ([(", momentum = 0.9", "")], {}, "not sgd without momentum"),
    ],
)
def test_another_run_is_not_gone_on_with(tmp_path, changes, overrides, message):
    Trainer(network(), tmp_path, plan(), callbacks=[Recorder(stop=7)]).fit()
    before = (tmp_path / "last.safetensors").read_bytes()
    with pytest.raises(NetError) as caught:
        Trainer(network(*changes, **overrides), tmp_path, plan()).fit(resume=True)
    assert message in str(caught.value)
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_other_data_is_not_gone_on_with(tmp_path):
    Trainer(network(), tmp_path, plan(), callbacks=[Recorder(stop=7)]).fit()
    with pytest.raises(NetError, match="trained on 40 samples; now there are 48"):
        Trainer(network(), tmp_path, plan(48)).fit(resume=True)


def test_data_settings_identify_a_run(tmp_path):
    text = TEXT.replace("input x: [4]", "input x: [64]").replace("dense(3)", "dense(10)")
    text += "data { train = digits.train; validation = 0.1 }"
    trainer = Trainer(network(text=text))
    one = describe_run(trainer.network, trainer.settings, 40)
    assert one.settings["data.validation"] == "0.1" and one.samples == 40
    other = describe_run(network(text=text, elaborated=8), trainer.settings, 40)
    assert one == other


def test_a_new_run_replaces_an_old_one_and_its_remains(tmp_path):
    Trainer(network(), tmp_path, plan()).fit()
    (tmp_path / ".last.safetensors.77.abcd.tmp").write_bytes(b"half")
    (tmp_path / "mine.tmp").write_bytes(b"kept")
    data = DataPlan({"train": from_arrays(*arrays(40))})
    Trainer(network(epochs=1), tmp_path, data).fit()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.safetensors", "metrics.jsonl", "mine.tmp"]
    assert [e["event"] for e in events(tmp_path)] == ["start", "epoch", "end"]


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NetError, match="is a file, not a folder"):
        Trainer(network(), tmp_path / "file" / "out", plan()).fit()


@pytest.mark.parametrize("out", [None, "missing"])
def test_nothing_to_resume(tmp_path, out):
    with pytest.raises(NetError, match="no folder to resume from" if out is None else "there is no file"):
        Trainer(network(), out and tmp_path / out, plan()).fit(resume=True)


def labelled(labels, count=16):
    return DataPlan({"train": from_arrays(np.zeros((count, 4), np.float32), labels)})


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.arange(16) % 5, "has the label 4, the network 3 classes"),
        (np.zeros(16, np.float32), "are float32, the loss takes class numbers"),
    ],
)
def test_labels_that_do_not_fit(labels, message):
    with pytest.raises(NetError, match=message):
        Trainer(network(), data=labelled(labels)).fit()


def test_targets_of_another_shape():
    text = TEXT.replace("cross_entropy(logits, label)\n", "mse(logits, target)\n").replace(
        "  metrics = [accuracy(logits, label)]\n", ""
    )
    with pytest.raises(NetError, match=r"has shape \[2\], the loss takes \[3\]"):
        Trainer(network(text=text), data=labelled(np.zeros((16, 2), np.float32))).fit()
    result = Trainer(network(text=text), data=labelled(np.ones((16, 3), np.float32))).fit()
    assert set(result.train) == {"loss"} and result.test is None and result.validation is None


def test_binary_labels_are_targets_too():
    text = TEXT.replace("dense(3)", "dense(1)").replace("cross_entropy(logits", "binary_cross_entropy(logits")
    text = text.replace("  metrics = [accuracy(logits, label)]\n", "")
    x, labels = arrays(40, classes=2)
    data = DataPlan({"train": from_arrays(x, labels)})
    result = Trainer(network(text=text, epochs=10), data=data).fit()
    assert result.train["loss"] < 0.5 * result.history[0].train["loss"]


def test_samples_that_do_not_fit():
    data = DataPlan({"train": from_arrays(np.zeros((16, 5), np.float32), np.zeros(16, int))})
    with pytest.raises(NetError, match=r"samples of shape \[5\], the network takes \[4\]"):
        Trainer(network(), data=data).fit()
