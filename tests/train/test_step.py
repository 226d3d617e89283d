"""The training graph: what it updates, what it leaves alone, how it clips."""

import numpy as np
import pytest

from netdsl import passes
from netdsl.autodiff import grad
from netdsl.ir import interpret
from netdsl.ops.expand import expand
from netdsl.runtime import Program
from netdsl.train.optimizers import Adam, Sgd
from netdsl.train.recipe import Recipe
from netdsl.train.step import HYPER, evaluation_graph, training_graph

from .nets import TEXT, network

SUMS = {"sum/cross_entropy1/0", "sum/accuracy1/0"}
NORMED = TEXT.replace("-> tanh", "-> batch_norm -> tanh")


def feeds_of(graph, optimizer=None, scale=1.0):
    rng = np.random.default_rng(0)
    feeds = {}
    for leaf in (*graph.leaves("param"), *graph.leaves("state")):
        feeds[leaf.id] = rng.uniform(0.1, 1.0, leaf.types[0].shape).astype(np.float32)
    for leaf in graph.leaves("input"):
        t = leaf.types[0]
        labels = t.dtype == "i64"
        values = rng.integers(0, 3, t.shape) if labels else scale * rng.normal(size=t.shape)
        feeds[leaf.id] = values if labels else values.astype(np.float32)
    for name, value in (optimizer.scalars(0, optimizer.lr, None) if optimizer else {}).items():
        feeds[HYPER + name] = np.asarray(value, np.float32)
    return feeds


def test_weights_and_running_statistics_are_updated():
    objective = network(text=NORMED, elaborated=8).objective
    graph = training_graph(objective, Recipe(Adam()))
    params = {n.id for n in graph.leaves("param")}
    states = {n.id for n in graph.leaves("state")}
    assert set(graph.updates) == params | states
    assert {f"{w}/{slot}" for w in params for slot in ("mean", "square")} <= states
    assert set(graph.outputs) == {"loss", "finite", *SUMS}
    assert {n.id for n in graph.leaves("input")} == {
        "x",
        "label",
        *(HYPER + n for n in Adam().scalars(0, 0.1, None)),
    }


def test_evaluation_updates_nothing():
    graph = evaluation_graph(network(text=NORMED, elaborated=8).objective)
    assert not graph.updates and set(graph.outputs) == SUMS


def test_frozen_layers_stay_and_others_learn_at_their_own_rate():
    text = TEXT.replace("dense(8)", "dense(8) @freeze").replace("dense(3)", "dense(3) @lr(0.5)")
    objective = network(text=text, elaborated=8).objective
    graph = training_graph(objective, Recipe(Sgd(lr=0.1)))
    feeds = feeds_of(graph, Sgd(lr=0.1))
    new = interpret(graph, feeds).updates
    weights = [n.id for n in graph.leaves("param")]
    assert len(weights) == 4 and set(new) == set(weights[2:])
    gradients = interpret(grad(expand(objective, training=True), "loss", weights[2:]), feeds).outputs
    for name in weights[2:]:
        expected = feeds[name] - 0.05 * gradients[f"grad/{name}"]
        np.testing.assert_allclose(new[name], expected, rtol=1e-5, atol=1e-6)


def test_biases_and_norms_are_not_decayed():
    objective = network(text=NORMED, elaborated=8).objective
    feeds = feeds_of(training_graph(objective, Recipe(Sgd(lr=0.1))), Sgd(lr=0.1))
    plain = interpret(training_graph(objective, Recipe(Sgd(lr=0.1))), feeds).updates
    decayed = interpret(training_graph(objective, Recipe(Sgd(lr=0.1, weight_decay=0.1))), feeds).updates
    differing = {name for name in plain if not np.array_equal(plain[name], decayed[name])}
    assert differing == {name for name in plain if feeds[name].ndim == 2}


@pytest.mark.parametrize("limit", [0.01, 1e6])
def test_clip_norm_bounds_the_norm_of_all_gradients(limit):
    objective = network(elaborated=8).objective
    graph, clipped = (
        training_graph(objective, Recipe(Sgd(lr=1.0))),
        training_graph(objective, Recipe(Sgd(lr=1.0), limit)),
    )
    feeds = feeds_of(graph, Sgd(lr=1.0), scale=5.0)

    def steps(g):
        new = interpret(g, feeds).updates
        return np.concatenate([(feeds[name] - new[name]).ravel() for name in sorted(new)])

    free, bounded = steps(graph), steps(clipped)
    norm = np.linalg.norm(free)
    assert 0.01 < norm < 1e6
    np.testing.assert_allclose(bounded, free * min(1.0, limit / norm), rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_step_without_a_finite_loss_changes_nothing(bad):
    objective = network(text=NORMED, elaborated=8).objective
    program = Program(passes.training().run(training_graph(objective, Recipe(Adam()))), threads=1)
    feeds = feeds_of(program.graph, Adam())
    program.load_state_dict({name: feeds[name] for name in program.state_dict()})
    before = program.state_dict()
    given = {name: feeds[name].copy() for name in program.inputs}
    given["x"][3, 2] = bad
    assert not np.isfinite(program.run(given)["loss"])
    after = program.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    program.run({name: feeds[name] for name in program.inputs})
    assert any(not np.array_equal(before[name], program.get(name)) for name in before)
