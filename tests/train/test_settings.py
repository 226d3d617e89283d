"""Settings of the sections `train` and `eval`: read, checked, and told apart when wrong."""

from dataclasses import fields

import pytest

from netdsl.elaborate import CallValue, shown
from netdsl.source import NetError
from netdsl.train.data_settings import data_plan
from netdsl.train.optimizers import Adam, Sgd
from netdsl.train.schedules import ConstantRate, Cosine, OneCycle, StepDecay
from netdsl.train.settings import TrainSettings, settings_text, train_settings

from .nets import TEXT, network

OPTIMIZER = "sgd(lr = 0.1, momentum = 0.9)"


def test_all_settings():
    text = TEXT.replace("epochs = 3", "epochs = 7\n seed = 5\n clip_norm = 1\n checkpoint_seconds = 2.5")
    text = text.replace("metrics", "schedule = cosine(warmup = 2)\n metrics") + "eval { batch = 50 }"
    found = train_settings(network(text=text))
    assert found == TrainSettings(
        Sgd(0.1, momentum=0.9), Cosine(warmup=2.0), 7, 8, 50, 5, 1.0, checkpoint_seconds=2.5
    )


def test_defaults():
    text = TEXT.replace(f"  optimizer = {OPTIMIZER}\n  epochs = 3\n  batch = 8\n", "")
    assert train_settings(network(text=text)) == TrainSettings(
        Sgd(), ConstantRate(), 10, 32, 32, 0, None, None, 1, (), (), None, 30.0
    )


@pytest.mark.parametrize("name", [f.name for f in fields(TrainSettings) if f.name != "evaluation_batch"])
def test_none_is_as_if_nothing_had_been_said(name):
    text = TEXT.replace(f"  optimizer = {OPTIMIZER}\n  epochs = 3\n  batch = 8\n", "")
    said = network(text=text.replace("metrics", f"{name} = none\n metrics") + "eval { batch = none }")
    assert train_settings(said) == train_settings(network(text=text))
    assert f"train.{name}" not in settings_text(said)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", ConstantRate()),
        ("step(2)", StepDecay(every=2)),
        ("step(milestones = [3, 5], factor = 0.2)", StepDecay(milestones=[3, 5], factor=0.2)),
        ("one_cycle(peak = 0.3, momentum = (0.9, 0.8))", OneCycle(0.3, (0.9, 0.8))),
        ("one_cycle(0.3, momentum = false)", OneCycle(0.3, False)),
    ],
)
def test_schedules(schedule, expected):
    assert train_settings(network(("metrics", f"schedule = {schedule}\n  metrics"))).schedule == expected


def test_one_cycle_gives_momentum_to_an_optimiser_without():
    cycle = ("metrics", "schedule = one_cycle\n  metrics")
    found = train_settings(network((OPTIMIZER, "sgd(lr = 0.1)"), cycle)).optimizer
    assert found.used_slots() == ("momentum",)
    still = ("metrics", "schedule = one_cycle(momentum = false)\n  metrics")
    assert train_settings(network((OPTIMIZER, "sgd(lr = 0.1)"), still)).optimizer.used_slots() == ()
    assert train_settings(network((OPTIMIZER, "adam"), cycle)).optimizer == Adam()


@pytest.mark.parametrize(
    ("old", "new", "message", "place"),
    [
        (OPTIMIZER, "addam(lr = 0.1)", "did you mean adam?", "addam(lr = 0.1)"),
        (OPTIMIZER, "quux", "there are sgd, rmsprop, adam, adamw", "quux"),
        (OPTIMIZER, "5", "optimizer is one of sgd, rmsprop, adam, adamw, adagrad", "5"),
        (OPTIMIZER, "5", "lbfgs, cg, not 5", "5"),
        (OPTIMIZER, '"adam"', 'not "adam"', '"adam"'),
        (OPTIMIZER, "sgd(momentun = 0.9)", "did you mean momentum?", "momentun = 0.9"),
        (OPTIMIZER, "sgd(lr = -1)", "lr must be a number above 0", "lr = -1"),
        (OPTIMIZER, "sgd(lr = 0)", "lr must be a number above 0, not 0", "lr = 0"),
        (OPTIMIZER, "adam(1e-46)", "lr must be a number from 1.2e-38 up, not 1e-46", "1e-46"),
        (OPTIMIZER, "muon(adam_lr = 0)", "adam_lr must be a number above 0, not 0", "adam_lr = 0"),
        (OPTIMIZER, "newton(lr = 0)", "lr must be a number above 0, not 0", "lr = 0"),
        (OPTIMIZER, "sgd(lr = true)", "lr must be a number above 0, not true", "lr = true"),
        (OPTIMIZER, "sgd(1, 0, 0, false, 0, 6)", "sgd takes 5 settings", "sgd(1, 0, 0, false, 0, 6)"),
        (OPTIMIZER, "sgd(0.1, 0.9)", "sgd takes only lr without a name", "sgd(0.1, 0.9)"),
        (OPTIMIZER, "sgd(nesterov = true)", "nesterov needs a momentum", "nesterov = true"),
        ("epochs = 3", "epochs = 0", "epochs must be a whole number from 1, not 0", "0"),
        ("epochs = 3", "epochs = 2.5", "whole number", "2.5"),
        ("batch = 8", "batch = true", "batch must be a whole number from 1, not true", "true"),
        ("epochs = 3", "seed = -1", "seed must be a whole number from 0", "-1"),
        ("epochs = 3", "clip_norm = 0", "clip_norm must be a number above 0", "0"),
        ("epochs = 3", "clip_norm = 1e39", "clip_norm must be a number above 0, 3.4e+38 at most", "1e39"),
        ("epochs = 3", "clip_norm = 1e-46", "clip_norm must be a number from 1.2e-38 up", "1e-46"),
        ("epochs = 3", "schedule = linear", "there are constant, step, exponential", "linear"),
        ("epochs = 3", "schedule = step", "takes either every", "step"),
    ],
)
def test_mistakes_are_pointed_at(old, new, message, place):
    with pytest.raises(NetError) as caught:
        train_settings(network((old, new)))
    (diagnostic,) = caught.value.diagnostics
    assert message in str(caught.value) and diagnostic.span.text == place


def test_no_train_section():
    with pytest.raises(NetError, match="has no train section"):
        train_settings(network(text=TEXT[: TEXT.index("train {")]))


def test_no_data_section():
    with pytest.raises(NetError, match="names no data"):
        data_plan(network(), 0)


def test_settings_as_text():
    text = TEXT + 'data { train = npz("a.npz", x = "u")\n augment = [shift(2), flip]\n shuffle = false }'
    found = settings_text(network(text=text))
    assert found["train.optimizer"] == "sgd(lr = 0.1, momentum = 0.9)"
    assert found["data.train"] == 'npz("a.npz", x = "u")'
    assert found["data.augment"] == "[shift(2), flip]" and found["data.shuffle"] == "false"


def test_shown():
    assert shown(CallValue("a.b")) == "a.b" and shown((1, 2.5)) == "[1, 2.5]" and shown(None) == "none"
