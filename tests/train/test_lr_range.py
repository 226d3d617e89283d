"""The range test: its rates, its losses, its suggestion by fastai's formula, and that it leaves no trace."""

import json
import re

import numpy as np
import pytest

from netdsl.cli.main import main
from netdsl.source import NetError
from netdsl.train import Trainer, lr_range
from netdsl.train.range_test import RangeTest
from netdsl.train.turn import Turn

from .nets import TEXT, network, plan


def trained(text=TEXT, **settings):
    return Trainer(network(text=text, **settings), data=plan(40))


def test_losses_are_those_of_steps_at_rising_rates():
    found = lr_range(trained(), 1e-4, 0.1, 12)
    assert found.rates == pytest.approx(np.geomspace(1e-4, 0.1, 12)) and not found.exploded
    trainer, losses = trained(), []
    batches = trainer.ready()
    for k, lr in enumerate(np.geomspace(1e-4, 0.1, 12)):
        batch = batches.make(k // 5, k % 5)
        losses.append(float(trainer.learner.step(batch, Turn(k, k, lr))["loss"]))
    assert found.losses == pytest.approx(losses, rel=1e-6)
    weights = 0.98 ** np.arange(12)
    means = [np.average(losses[: k + 1], weights=weights[: k + 1][::-1]) for k in range(12)]
    assert found.smoothed == pytest.approx(means)


@pytest.mark.parametrize("exploded", [True, False])
def test_the_suggestion_is_the_steepest_descent_as_in_fastai(exploded):
    rates = np.geomspace(1e-6, 10, 80)
    losses = 3 - 2 / (1 + np.exp(-2 * np.log(rates / 0.02))) + (rates / 2) ** 2
    found = RangeTest(tuple(rates), tuple(losses), tuple(losses), exploded)
    cut = slice(8, -5 if exploded else None)
    slopes = np.diff(losses[cut]) / np.diff(np.log(rates[cut]))
    assert found.suggestion == rates[cut][slopes.argmin()] and 0.01 < found.suggestion < 0.04
    rising = tuple(np.arange(80.0))
    assert RangeTest(tuple(rates), rising, rising, exploded).suggestion is None


def test_a_flat_curve_and_a_short_one_tell_nothing():
    rates = tuple(np.geomspace(1e-6, 10, 80))
    noise = tuple(2 + 0.004 * np.random.default_rng(0).standard_normal(80))
    flat = RangeTest(rates, noise, noise, False)
    assert flat.suggestion is None and "falls by less than" in flat.doubt
    falling = tuple(np.geomspace(2, 1, 80))
    assert RangeTest(rates, falling, falling, False).doubt is None
    short = RangeTest(rates[:12], falling[:12], falling[:12], True)
    assert short.suggestion is None and "6 steps that count, of at least 30" in short.doubt


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.replace("tanh", "relu").replace(
            "cross_entropy(logits, label)", "mse(logits, one_hot(label, 3))"
        ),
    ],
)
def test_it_ends_where_the_loss_explodes(text):
    found = lr_range(trained(text, optimizer="sgd"), 1e-3, 1e30, 60)
    assert found.exploded and len(found.losses) == len(found.rates) < 60
    assert all(np.isfinite(found.losses))


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(NetError, match="optimisers that make a step from one gradient"):
        lr_range(trained(optimizer="lbfgs"))
    for settings in ((0.1, 0.1), (0.0, 1.0), (1e-3, 1.0, 5)):
        with pytest.raises(ValueError, match="the rates of a range test go up"):
            lr_range(trained(), *settings)


FILE = """
net Digits { input image: [8, 8, 1]; output y = image -> flatten -> dense(10) }
data { train = digits.train }
train { loss = cross_entropy(y, label); batch = 64 }
"""


def run(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main(["lr-range", *words])
    return ended.value.code, capsys.readouterr()


def test_the_command_draws_and_suggests_and_leaves_no_trace(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.net").write_text(FILE)
    status, printed = run(capsys, "d.net", "--to", "100")
    assert status == 0 and re.search(r"falls fastest at [\d.e-]+: lr = [\d.e-]+\n$", printed.out)
    assert "learning rate" in printed.out and "1e-07" in printed.out
    status, printed = run(capsys, "d.net", "-o", "c.svg", "--steps", "20")
    assert status == 0 and "drawn to c.svg" in printed.out and "<svg" in (tmp_path / "c.svg").read_text()
    status, printed = run(capsys, "d.net", "--format", "json", "--steps", "20", "--from", "0.001")
    found = json.loads(printed.out)
    assert found["rates"][0] == 0.001 and len(found["losses"]) == len(found["smoothed"]) == len(
        found["rates"]
    )
    assert {path.name for path in tmp_path.iterdir()} == {"d.net", "c.svg"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--from", "0"), "'0' is not a rate above 0"),
        (("--from", "20"), "argument --to: 10 is not above --from, 20"),
        (("--steps", "3"), "'3' is not a number of steps from 10"),
        (("-o", "c.pdf"), "c.pdf ends in none of .svg, .png"),
    ],
)
def test_wrong_usage(tmp_path, capsys, words, message):
    (tmp_path / "d.net").write_text(FILE)
    status, printed = run(capsys, str(tmp_path / "d.net"), *words)
    assert status == 2 and message in printed.err
