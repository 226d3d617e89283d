"""Groups of weights, constraints and gathered gradients: against NumPy, and against larger batches."""

import re

import numpy as np
import pytest

from netdsl.elaborate import elaborate
from netdsl.ir import interpret
from netdsl.source import NetError, Source
from netdsl.train import Callback, Trainer, train_settings
from netdsl.train.constraints import MaxNorm, NonNeg, UnitNorm
from netdsl.train.group import Group
from netdsl.train.optimizers import AdamW, Sgd
from netdsl.train.recipe import Recipe
from netdsl.train.step import training_graph

from .nets import TEXT, network, plan
from .test_step import feeds_of

WEIGHTS = ("dense1.weight", "dense1.bias", "dense2.weight", "dense2.bias")


def after(recipe, net=None):
    """Weights before and after one step, by the interpreter."""
    graph = training_graph((net or network(elaborated=8)).objective, recipe)
    feeds = feeds_of(graph, recipe.optimizer)
    new = interpret(graph, feeds).updates
    names = [n.id for n in graph.leaves("param")]
    return {n: feeds[n].astype(np.float64) for n in names}, {n: new[n] for n in names}


def test_groups_have_rates_and_decay_of_their_own_and_the_last_one_holds():
    optimizer = Sgd(lr=0.1, weight_decay=0.2)
    groups = (
        Group("dense*", lr=0.5),
        Group(["dense2", "dense1.bias"], weight_decay=0.3),
        Group("dense1.weight", lr=2, weight_decay=0),
    )
    w, plain = after(Recipe(Sgd(lr=0.1)))
    _, new = after(Recipe(optimizer, groups=groups))
    factors = dict.fromkeys(WEIGHTS, (0.5, 0.3)) | {"dense1.weight": (2.0, 0.0)}
    for name, (lr, decay) in factors.items():
        gradient = (w[name] - plain[name]) / 0.1
        expected = w[name] - 0.1 * lr * (gradient + decay * w[name])
        np.testing.assert_allclose(new[name], expected, rtol=1e-4, atol=1e-6)


def test_a_group_multiplies_what_the_tag_says():
    tagged = network(("dense(8)", "dense(8) @lr(0.5)"), elaborated=8)
    _, new = after(Recipe(Sgd(lr=0.1), groups=(Group("dense1", lr=0.1),)), tagged)
    _, plain = after(Recipe(Sgd(lr=0.005)))
    np.testing.assert_allclose(new["dense1.weight"], plain["dense1.weight"], rtol=1e-6)


def norms(w, axes):
    return np.sqrt((w**2).sum(axis=axes, keepdims=True))


CONSTRAINED = {
    "max_norm": (MaxNorm(0.9), lambda w, axes: w * np.minimum(norms(w, axes), 0.9) / (norms(w, axes) + 1e-7)),
    "unit_norm": (UnitNorm(), lambda w, axes: w / (norms(w, axes) + 1e-7)),
    "non_neg": (NonNeg(), lambda w, axes: np.maximum(w, 0)),
}
CONVS = """
net Convs {
  input x: [6, 6, 3]
  output y = x -> conv(4, 3) -> conv_transpose(2, 3) -> depthwise_conv(3) -> flatten -> dense(2)
}
train { loss = mse(y, t) }
"""
#: the axes over which Keras sums for a unit
INCOMING = {
    "conv1.weight": (0, 1, 2),
    "conv_transpose1.weight": (0, 1, 3),
    "depthwise_conv1.weight": (0, 1, 2),
    "dense1.weight": (0,),
}


@pytest.mark.parametrize("name", CONSTRAINED)
def test_constraints_hold_for_what_comes_into_each_unit(name):
    constraint, formula = CONSTRAINED[name]
    net = elaborate(Source("convs.net", CONVS), 4)
    _, free = after(Recipe(Sgd(lr=0.5)), net)
    _, bound = after(Recipe(Sgd(lr=0.5), constraints=(constraint,)), net)
    for weight, new in bound.items():
        if weight in INCOMING:
            expected = formula(free[weight].astype(np.float64), INCOMING[weight])
            np.testing.assert_allclose(new, expected, rtol=1e-4, atol=1e-6)
            assert not np.allclose(new, free[weight])
        else:
            np.testing.assert_array_equal(new, free[weight])


def test_a_constraint_with_names_holds_for_these_alone():
    _, free = after(Recipe(Sgd(lr=0.5)))
    _, bound = after(Recipe(Sgd(lr=0.5), constraints=(NonNeg(["dense1.weight", "*.bias"]),)))
    for name in WEIGHTS:
        expected = free[name] if name == "dense2.weight" else np.maximum(free[name], 0)
        np.testing.assert_array_equal(bound[name], expected)


def final(epochs=3, text=TEXT, drop=True, count=44, callbacks=(), **settings):
    net = network(text=text, epochs=epochs, **settings)
    trainer = Trainer(net, data=plan(count, drop_last=drop), callbacks=callbacks)
    result = trainer.fit()
    return {n: trainer.program.get(n) for n in WEIGHTS}, result


@pytest.mark.parametrize("drop", [True, False])
@pytest.mark.parametrize(
    "optimizer", ["sgd(lr = 0.1, momentum = 0.9)", "adamw(lr = 0.05, weight_decay = 0.1)"]
)
@pytest.mark.parametrize("more", [{}, {"clip_norm": 0.3}, {"average": "ema(0.8)"}])
def test_batches_that_are_gathered_are_one_larger_batch(drop, optimizer, more):
    """44 samples: 5 batches of 8 and one of 4; 40 of them with drop_last."""
    count = 40 if drop else 44
    small, first = final(batch=4, accumulate=5, optimizer=optimizer, drop=drop, count=count, **more)
    large, second = final(batch=20, optimizer=optimizer, drop=drop, count=count, **more)
    for name in WEIGHTS:
        np.testing.assert_allclose(small[name], large[name], rtol=2e-4, atol=2e-6)
    assert first.test["loss"] == pytest.approx(second.test["loss"], rel=1e-5)
    assert second.steps == (6 if drop else 9) and first.steps == (30 if drop else 33)


def test_a_schedule_counts_updates():
    class Rates(Callback):
        def __init__(self):
            self.seen = []

        def on_batch_end(self, loop, values):
            self.seen.append((loop.lr, loop.learner.accumulate))

    rates = Rates()
    final(batch=4, accumulate=5, schedule="cosine", callbacks=[rates], count=40, epochs=2)
    steps = [0.05 * (1 + np.cos(np.pi * k / 4)) for k in range(4)]
    assert [lr for lr, _ in rates.seen] == pytest.approx([lr for lr in steps for _ in range(5)])


def test_statistics_are_those_of_every_batch():
    """Batch norms see the small batches, as in PyTorch."""
    text = TEXT.replace("dense(8) -> tanh", "dense(8) -> batch_norm -> tanh")

    def statistics(**settings):
        net = network(text=text, epochs=1, optimizer="sgd(lr = 1e-30)", **settings)
        trainer = Trainer(net, data=plan(40))
        trainer.fit()
        return trainer.program.get("batch_norm1.running_mean")

    np.testing.assert_array_equal(statistics(batch=8, accumulate=5), statistics(batch=8))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('groups = [group("dens1", lr = 0.1)]', r"no weight is called dens1.*did you mean dense1"),
        ('groups = [group("dense1")]', "says nothing of its weights"),
        ('groups = [group("dense1", lr = -1)]', "lr must be a number from 0 up, not -1"),
        ("groups = [group(3, lr = 1)]", "weights must be text"),
        ("groups = 3", "groups is a list of group"),
        ("constraints = [max_norm(-1)]", "limit must be a number above 0, not -1"),
        ("constraints = [maxnorm(1)]", "did you mean max_norm"),
        ('constraints = [non_neg("conv9")]', "no weight is called conv9"),
        ("accumulate = 0", "accumulate must be a whole number from 1"),
        ("clip_value = 0", "clip_value must be a number above 0"),
        ("average = ema(1)", "decay must be a number from 0.0 to 0.9999999, not 1"),
        ("average = swa(every = 0)", "every must be a whole number of epochs from 1"),
        ("average = mean", "did you mean|there are ema, swa"),
        ("average = 0.9", "average is one of ema, swa"),
        ('optimizer = muon(adam = "head")', "no weight is called head"),
        ("optimizer = adagrad; schedule = one_cycle", "adagrad has no momentum that a schedule could move"),
    ],
)
def test_wrong_settings(setting, message):
    text = TEXT.replace("  optimizer = sgd(lr = 0.1, momentum = 0.9)\n", f"  {setting}\n")
    with pytest.raises(NetError, match=re.compile(message, re.DOTALL)):
        train_settings(network(text=text))


def test_settings_of_a_file():
    text = TEXT.replace(
        "epochs = 3",
        'groups = [group("dense1", lr = 0.1), group("dense1.bias, dense2", weight_decay = 0)]\n'
        "constraints = max_norm(2)\n clip_value = 0.5\n accumulate = 2\n average = none\n epochs = 3",
    )
    recipe = train_settings(network(text=text, optimizer="adamw")).recipe
    groups = (Group("dense1", lr=0.1), Group(["dense1.bias", "dense2"], weight_decay=0))
    assert recipe == Recipe(AdamW(), None, 0.5, 2, groups, (MaxNorm(2),))
