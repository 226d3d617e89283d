"""Callbacks that stop, change the rate and freeze: what they do, and that a resumed run does the same."""

import re
from pathlib import Path

import numpy as np
import pytest

from netdsl.data import DataPlan, from_arrays
from netdsl.source import NetError
from netdsl.train import (
    Callback,
    EarlyStopping,
    Freeze,
    Learner,
    Loop,
    ReduceLROnPlateau,
    Trainer,
    cross_validate,
    train_settings,
)
from netdsl.train.callbacks import Monitor

from .nets import TEXT, arrays, network, plan

DEEP = TEXT.replace("dense(8) -> tanh", "dense(8) -> batch_norm -> tanh -> dense(6) -> relu -> dropout(0.2)")
FIRST = {"dense1.weight", "dense1.bias"}


def weights(trainer):
    return trainer.program.state_dict()


def same_files(a, b):
    return all(
        (a / f"{n}.safetensors").read_bytes() == (b / f"{n}.safetensors").read_bytes()
        for n in ("last", "best")
    )


class Stop(Callback):
    """Stops after a step, as Ctrl-C does."""

    def __init__(self, step):
        self.at = step

    def on_batch_end(self, loop, values):
        if loop.progress.step == self.at:
            loop.stop()


class Rates(Callback):
    def __init__(self):
        self.seen = []

    def on_batch_end(self, loop, values):
        self.seen.append(loop.lr)


class Warmed(Callback):
    """A rate of one's own: the schedule's, less in the first steps."""

    def on_batch_begin(self, loop):
        loop.lr *= min(1.0, (loop.progress.step + 1) / 8)


#: Keras' rule by hand: epochs without a better value, the epochs after which a patience of 2 runs out
WAITS = [
    ([1, 2, 3, 4], [0, 0, 0, 0]),
    ([1, 1, 1, 1, 1], [0, 1, 2, 1, 2]),
    ([3, 2, 4, 3, 5, 1, 1, 1], [0, 1, 0, 1, 0, 1, 2, 1]),
    ([float("nan"), 1, float("nan"), float("nan")], [1, 0, 1, 2]),
    ([1, 1.05, 1.3], [0, 1, 0]),
]


@pytest.mark.parametrize(("values", "waits"), WAITS)
def test_patience_counts_as_in_keras(values, waits):
    assert Monitor(patience=2, min_delta=0.1).waits(values) == waits


def worse(epochs):
    """Training that makes the validation accuracy no better after some epoch: its labels are shuffled."""
    x, labels = arrays(40)
    data = DataPlan(
        {"train": from_arrays(x, labels), "validation": from_arrays(x[:12], np.roll(labels[:12], 1))}
    )
    return network(epochs=epochs), data


def test_early_stopping_ends_the_run_as_its_last_epoch_does(tmp_path):
    net, data = worse(30)
    result = Trainer(net, tmp_path / "a", data, callbacks=[EarlyStopping("loss", 3)]).fit()
    losses = [e.validation["loss"] for e in result.history]
    assert not result.interrupted and 4 <= result.epochs < 30
    assert result.epochs == 1 + max(k for k, v in enumerate(losses) if v == min(losses)) + 3
    assert '"event": "end"' in (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()[-1]
    again = Trainer(net, tmp_path / "a", data, callbacks=[EarlyStopping("loss", 3)]).fit(resume=True)
    assert again.history == result.history and again.steps == result.steps
    on = Trainer(net, tmp_path / "a", data).fit(resume=True)
    assert on.epochs == 30 and on.history[: result.epochs] == result.history


CALLBACKS = {
    "stop": lambda: [EarlyStopping("loss", 2)],
    "rate": lambda: [ReduceLROnPlateau("loss", 1, factor=0.5)],
    "own rate": lambda: [Warmed()],
    "freeze": lambda: [Freeze("dense1", "batch_norm*")],
    "freeze for a time": lambda: [
        Freeze("dense1", "batch_norm1", epochs=2),
        Freeze("dense2.weight", epochs=1),
    ],
    "all": lambda: [
        Freeze("dense1", epochs=3),
        ReduceLROnPlateau("loss", 1),
        Warmed(),
        EarlyStopping("loss", 4),
    ],
}


@pytest.mark.parametrize("stop", [3, 10, 13])
@pytest.mark.parametrize("name", CALLBACKS)
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, name, stop):
    def trainer(folder, *more):
        net = network(text=DEEP, epochs=6, optimizer="adam(lr = 0.05)")
        return Trainer(
            net, tmp_path / folder, plan(44, drop_last=False), callbacks=[*CALLBACKS[name](), *more]
        )

    whole = trainer("a").fit()
    stopped = trainer("b", Stop(stop)).fit()
    assert stopped.interrupted and stopped.steps == stop
    resumed = trainer("b").fit(resume=True)
    assert resumed.history == whole.history and resumed.test == whole.test
    assert same_files(tmp_path / "a", tmp_path / "b")


def test_a_plateau_lowers_the_rate_from_the_next_epoch_on(tmp_path):
    net, data = worse(8)
    rates = Rates()
    result = Trainer(
        net, data=data, callbacks=[ReduceLROnPlateau("loss", 2, factor=0.5, min_lr=0.04), rates]
    ).fit()
    expected, rate, best, wait = [], 0.1, np.inf, 0
    for epoch in result.history:  # Keras' loop
        expected.append(rate)
        if epoch.validation["loss"] < best - 1e-4:
            best, wait = epoch.validation["loss"], 0
        else:
            wait += 1
            if wait >= 2:
                rate, wait = max(rate * 0.5, 0.04), 0
    assert [e.lr for e in result.history] == expected and len(set(expected)) > 2
    assert rates.seen == [lr for lr in expected for _ in range(5)]


def test_a_rate_that_a_callback_sets_is_that_of_the_step():
    """Momentum apart, a first step is as long as the rate says."""

    def change(*callbacks):
        trainer = Trainer(network(epochs=1, batch=40), data=plan(), callbacks=callbacks)
        before = weights(trainer)
        trainer.fit()
        return weights(trainer)["dense1.weight"].astype(np.float64) - before["dense1.weight"]

    np.testing.assert_allclose(change(Warmed()), change() / 8, rtol=1e-4, atol=1e-7)


def test_frozen_weights_keep_their_bits_and_the_others_learn():
    trainer = Trainer(
        network(text=DEEP), data=plan(), callbacks=[Freeze("dense1", "batch_norm1", "dense3.bias")]
    )
    before = weights(trainer)
    trainer.fit()
    same = {n for n, a in weights(trainer).items() if "/" not in n and np.array_equal(a, before[n])}
    assert same == {n for n in before if n.startswith(("dense1.", "batch_norm1.")) and "/" not in n} | {
        "dense3.bias"
    }


@pytest.mark.parametrize("optimizer", ["sgd(lr = 0.1, momentum = 0.9, weight_decay = 0.1)", "adamw"])
def test_freezing_is_the_tag_of_the_file(optimizer):
    """Bit for bit, with clipping, decay, a batch norm and a smaller last batch."""

    def result(text, *callbacks):
        net = network(text=text, optimizer=optimizer, clip_norm=0.5)
        trainer = Trainer(net, data=plan(44, drop_last=False), callbacks=callbacks)
        return trainer.fit().history, weights(trainer)

    tagged = DEEP.replace("dense(8) -> batch_norm", "dense(8) @freeze -> batch_norm @freeze")
    wanted, kept = result(tagged)
    found, now = result(DEEP, Freeze("dense1", "batch_norm1"))
    assert found == wanted
    for name, array in kept.items():
        np.testing.assert_array_equal(now[name], array)


def test_freezing_for_a_time_leaves_slots_alone_and_learning_goes_on_from_them():
    class Look(Callback):
        def __init__(self):
            self.seen = []

        def on_epoch_end(self, loop, result):
            arrays = loop.learner.program.state_dict()
            self.seen.append({n: arrays[n] for n in arrays if n.startswith("dense1.weight")})

    look = Look()
    frozen = Freeze("dense1", epochs=2)
    trainer = Trainer(network(epochs=4), data=plan(), callbacks=[frozen, look])
    before = weights(trainer)["dense1.weight"]
    trainer.fit()
    first, second, third, fourth = look.seen
    np.testing.assert_array_equal(second["dense1.weight"], before)
    assert not first["dense1.weight/momentum"].any() and not second["dense1.weight/momentum"].any()
    assert (third["dense1.weight"] != before).any() and (
        fourth["dense1.weight"] != third["dense1.weight"]
    ).any()


def test_weights_that_are_set_while_they_are_frozen_count():
    """What the program of the frozen steps has prepared of them is made anew."""
    new = np.full((4, 8), 0.5, np.float32)

    class Set(Callback):
        def on_epoch_begin(self, loop):
            if loop.progress.epoch == 1:
                loop.learner.program.set("dense1.weight", new)

    def still(*callbacks):
        net = network(epochs=2, optimizer="sgd(lr = 1e-30)")
        return Trainer(net, data=plan(), callbacks=[Freeze("dense1"), *callbacks])

    first, second = still(Set()).fit().history
    trainer = still()
    trainer.program.set("dense1.weight", new)
    assert second.train == trainer.fit().history[1].train != first.train


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (Freeze("dens1"), "no weight is called dens1.*did you mean dense1"),
        (Freeze("dense1", "conv*"), r"no weight is called conv\*.*dense1, dense2"),
        (EarlyStopping("acuracy"), "EarlyStopping watches acuracy.*did you mean accuracy"),
        (ReduceLROnPlateau("mse"), "no value of the validation set.*there are loss, accuracy"),
    ],
)
def test_names_that_are_wrong_are_refused_before_anything_is_trained(callback, message):
    trainer = Trainer(network(), data=plan(), callbacks=[callback])
    before = weights(trainer)
    with pytest.raises(NetError, match=re.compile(message, re.DOTALL)):
        trainer.fit()
    assert all(np.array_equal(a, before[n]) for n, a in weights(trainer).items())


def test_a_validation_set_is_needed_to_watch_it():
    data = DataPlan({"train": from_arrays(*arrays())})
    with pytest.raises(NetError, match="EarlyStopping watches the validation set, and there is none"):
        Trainer(network(), data=data, callbacks=[EarlyStopping()]).fit()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping(patience=0), "patience is a whole number of epochs from 1, not 0"),
        (lambda: EarlyStopping(min_delta=-1), "min_delta must be a number from 0 up, not -1"),
        (lambda: ReduceLROnPlateau(factor=1.0), "factor must be a number above 0, 0.999999 at most, not 1.0"),
    ],
)
def test_settings_that_make_no_sense(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_loop_is_made_of_its_parts():
    """A learner and batches, put together by hand, are what `Trainer` trains with."""
    net, data = network(), plan()
    learner = Learner(net, train_settings(net))
    loop = Loop(learner).begin(data.training_batches(8, learner.inputs.feeds), 3)
    history = loop.run().history
    expected = Trainer(net, data=data).fit().history
    assert [e.train for e in history] == [e.train for e in expected]


def test_an_epoch_that_is_begun_twice_is_told_twice_and_one_that_is_done_once(tmp_path):
    calls = []

    class Told(Callback):
        def on_epoch_begin(self, loop):
            calls.append(("begin", loop.progress.epoch))
            if len(calls) == 3:
                loop.stop()

        def on_epoch_end(self, loop, result):
            calls.append(("end", result.epoch))

    assert Trainer(network(epochs=2), tmp_path, plan(), callbacks=[Told()]).fit().steps == 5
    assert Trainer(network(epochs=2), tmp_path, plan(), callbacks=[Told()]).fit(resume=True).steps == 10
    assert calls == [("begin", 0), ("end", 1), ("begin", 1), ("begin", 1), ("end", 2)]


def test_the_page_names_every_hook():
    page = (Path(__file__).parents[2] / "docs" / "python-training.md").read_text("utf-8")
    hooks = [name for name in vars(Callback) if name.startswith("on_") or name == "close"]
    assert len(hooks) == 8 and all(f"`{name}(" in page for name in hooks)


@pytest.mark.parametrize(
    ("given", "message"), [(print, "not a builtin"), (Callback, "not the class Callback")]
)
def test_what_is_no_callback_is_refused_at_once(given, message):
    with pytest.raises(TypeError, match=message):
        Trainer(network(), data=plan(), callbacks=[given])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("on_epoch_finish", "training calls no on_epoch_finish"),
        ("on_epoch_ends", "did you mean on_epoch_end"),
    ],
)
def test_a_hook_that_nobody_calls_is_refused(name, message):
    with pytest.raises(TypeError, match=message):
        type("Mine", (Callback,), {name: lambda self, loop: None})


def test_a_callback_alone_is_refused():
    with pytest.raises(TypeError, match=r"callbacks is a list, not a Freeze: callbacks=\[Freeze\(...\)\]"):
        Trainer(network(), data=plan(), callbacks=Freeze("dense1"))
    with pytest.raises(TypeError, match="callbacks is a list, not a NoneType"):
        Trainer(network(), data=plan(), callbacks=None)


@pytest.mark.parametrize(
    ("name", "hook", "message"),
    [
        ("on_epoch_end", lambda self: None, r"on_epoch_end\(self\): .* on_epoch_end\(self, loop, result\)"),
        (
            "on_batch_end",
            lambda self, epoch, logs, more: None,
            r"training calls on_batch_end\(self, loop, values\)",
        ),
        ("load_state", lambda self: None, r"training calls load_state\(self, arrays\)"),
        ("on_epoch_end", staticmethod(lambda loop: None), "training calls on_epoch_end"),
        ("on_epoch_end", lambda self, *given: None, None),
        ("on_epoch_end", lambda self, loop, result, verbose=True: None, None),
        ("on_epoch_end", staticmethod(lambda loop, result: None), None),
        ("on_epoch_end", classmethod(lambda cls, loop, result: None), None),
    ],
)
def test_hooks_take_what_training_hands_them(name, hook, message):
    if message is None:
        assert issubclass(type("Mine", (Callback,), {name: hook}), Callback)
        return
    with pytest.raises(TypeError, match=message):
        type("Mine", (Callback,), {name: hook})


def test_adam_counts_no_frozen_steps():
    """Its first step moves each weight by the learning rate, whatever the gradient (Kingma and Ba 2014)."""
    moved = []

    class First(Callback):
        def on_batch_begin(self, loop):
            self.before = loop.learner.program.get("dense1.weight")

        def on_batch_end(self, loop, values):
            moved.append(np.abs(loop.learner.program.get("dense1.weight") - self.before))

    net = network(epochs=3, optimizer="adam(lr = 0.01)")
    trainer = Trainer(net, data=plan(), callbacks=[Freeze("dense1", epochs=2), First()])
    trainer.fit()
    per_epoch = len(moved) // 3
    assert not any(step.any() for step in moved[: 2 * per_epoch])
    first = moved[2 * per_epoch]
    assert (first > 0).any() and first.max() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("stop", [3, 8, 10])
def test_freezing_for_a_time_resumes_with_the_same_bits(tmp_path, stop):
    class Stop(Callback):
        def on_batch_begin(self, loop):
            if loop.progress.step == stop:
                loop.stop()

    def trainer(out, *more):
        net = network(epochs=3, optimizer="adam(lr = 0.01)")
        return Trainer(net, out, data=plan(), callbacks=[Freeze("dense1", epochs=1), *more])

    whole = trainer(tmp_path / "whole")
    whole.fit()
    trainer(tmp_path / "cut", Stop()).fit()
    rest = trainer(tmp_path / "cut")
    rest.fit(resume=True)
    for name, array in whole.program.state_dict().items():
        np.testing.assert_array_equal(array, rest.program.get(name), err_msg=name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Freeze(), "Freeze takes names"),
        (lambda: Freeze("dense1", epochs=0), "epochs is a whole number of epochs from 1, not 0"),
        (lambda: EarlyStopping(patience=2.5), "patience is a whole number of epochs from 1, not 2.5"),
        (lambda: EarlyStopping(patience="3"), "patience is a whole number of epochs from 1, not '3'"),
        (lambda: ReduceLROnPlateau(factor="a"), "factor must be a number above 0, 0.999999 at most"),
        (lambda: ReduceLROnPlateau(min_lr=-1), "min_lr must be a number from 0 up, not -1"),
    ],
)
def test_callbacks_with_wrong_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("given", [np.zeros((8, 4)), {"x": np.zeros((8, 4))}, (1, 2)], ids=str)
def test_arrays_in_place_of_the_folder(given):
    for function in (Trainer, cross_validate):
        with pytest.raises(TypeError, match=r"out is the path of a folder, not a .*data={"):
            function(network(), given)


def test_arrays_without_names():
    with pytest.raises(NetError, match=r'data is a tuple.*\n.*data={"image": images, "label": labels}'):
        Trainer(network(), data=(np.zeros((8, 4)), np.zeros(8)))
