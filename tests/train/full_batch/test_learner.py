"""What a learner that sees the whole set does: pieces, checkpoints, frozen weights, statistics, random layers."""

import json

import numpy as np
import pytest

from netdsl.data import DataPlan, from_arrays
from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source
from netdsl.train import Callback, EarlyStopping, Freeze, Trainer
from netdsl.train.full_batch.conjugate import FORMULAS
from netdsl.train.full_batch.names import FULL_BATCH
from tests.train.full_batch.nets import learner_of, train, vector
from tests.train.full_batch.problems import SIX, Plain
from tests.train.nets import arrays, plan

TEXT = """
net Tiny {
  input x: [4]
  output y = x -> dense(5) -> tanh -> dense(3)
}
train {
  loss = LOSS
  optimizer = METHOD
  epochs = 6
  metrics = [mae(y, t)]
}
"""
MSE, CROSS = "mse(y, one_hot(t, 3)) + 1e-3 * l2(weights)", "cross_entropy(y, t) + 1e-4 * l1(weights)"
#: settings in which a method keeps and does something else than with its defaults
VARIANTS = [
    "newton(solve = cg, damping = 1e-3)",
    "gauss_newton(solve = cg)",
    "bfgs(line_search = backtracking)",
    "lbfgs(line_search = none, lr = 0.1)",
    *(f"cg(formula = {formula})" for formula in FORMULAS),
]
FAST = ("levenberg_marquardt", "bfgs", "lbfgs", "cg")
METHODS = [m if m in FAST else pytest.param(m, marks=pytest.mark.slow) for m in (*FULL_BATCH, *VARIANTS)]


def network(method, loss=None, more="", net=None, **settings):
    sums = loss or (MSE if "gauss" in method or "marquardt" in method else CROSS)
    text = TEXT.replace("LOSS", sums).replace("METHOD", method).replace("  metrics = [mae(y, t)]\n", more)
    if net:
        text = text.replace("x -> dense(5) -> tanh -> dense(3)", net)
    return elaborate(Source("tiny.net", text), 1, {f"train.{k}": str(v) for k, v in settings.items()})


def fitted(net, folder=None, resume=False, threads=1, callbacks=(), data=None):
    trainer = Trainer(net, folder, plan() if data is None else data, threads=threads, callbacks=callbacks)
    return trainer, trainer.fit(resume)


def same(one, other):
    a, b = one.learner.arrays(), other.learner.arrays()
    assert a.keys() == b.keys()
    assert all(a[n].tobytes() == b[n].tobytes() for n in a)


class StopAfter(Callback):
    def __init__(self, steps):
        self.steps = steps

    def on_batch_end(self, loop, values):
        if loop.progress.step == self.steps:
            loop.stop()


@pytest.mark.parametrize("method", METHODS)
def test_resumed_equals_uninterrupted(method, tmp_path):
    whole, expected = fitted(network(method), tmp_path / "whole", threads=2)
    fitted(network(method), tmp_path / "parts", callbacks=[StopAfter(2)])
    again, found = fitted(network(method), tmp_path / "parts", resume=True)
    same(whole, again)
    assert found.history == expected.history
    assert again.learner.work() == whole.learner.work()
    assert expected.train["loss"] < expected.history[0].train["loss"]


def test_batches_resume_too(tmp_path):
    """With the same batch throughout an iteration, and another one in the next."""
    net = network("lbfgs", batch=10)
    whole, expected = fitted(net, tmp_path / "whole")
    fitted(net, tmp_path / "parts", callbacks=[StopAfter(7)])
    again, found = fitted(net, tmp_path / "parts", resume=True)
    same(whole, again)
    assert found.history == expected.history and expected.steps == 24
    assert whole.learner.work()["evaluations"] >= 48  # each begins with a new batch


def test_a_run_that_has_converged_is_over(tmp_path):
    net = network("newton", "cross_entropy(y, t) + 0.1 * l2(weights)", net="x -> dense(3)", epochs=50)
    first, result = fitted(net, tmp_path)
    assert 1 < result.epochs < 10
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["event"] == "end" and "converged" in lines[-1]["reason"]
    assert lines[-1]["iterations"] == result.epochs and lines[-1]["evaluations"] > result.epochs
    assert [line["iterations"] for line in lines if line["event"] == "epoch"] == [
        *range(1, result.epochs + 1)
    ]
    again, more = fitted(net, tmp_path, resume=True)
    same(first, again)
    assert more.epochs == result.epochs


@pytest.mark.parametrize(
    "method",
    [
        "lbfgs",
        "gauss_newton(solve = cg)",
        *(pytest.param(m, marks=pytest.mark.slow) for m in ("newton", "levenberg_marquardt")),
    ],
)
def test_pieces_add_up(method):
    """Of 40 samples, 3 pieces of 14 and 13: the same as all at once, but for rounding."""
    given = method.removesuffix(")")
    parts = f"{given}{', ' if '(' in given else '('}piece = 14)"
    loss = MSE if "gauss" in method or "marq" in method else "cross_entropy(y, t) + 1e-2 * l2(weights)"
    one, other = (fitted(network(m, loss, epochs=3))[1] for m in (method, parts))
    for a, b in zip(one.history, other.history, strict=True):
        np.testing.assert_allclose(list(a.train.values()), list(b.train.values()), rtol=5e-3)


def test_a_loss_that_does_not_add_up_is_computed_at_once():
    """The root of a mean is not the mean of roots."""
    loss = "sqrt(mse(y, one_hot(t, 3)))"
    one, other = (fitted(network(m, loss, epochs=3)) for m in ("lbfgs", "lbfgs(piece = 7)"))
    same(one[0], other[0])


@pytest.mark.parametrize("problem", SIX, ids=str)
def test_what_is_computed_is_the_function(problem):
    """Values, gradients, products and Jacobians of networks, in pieces, against NumPy in float64."""
    method = FULL_BATCH["levenberg_marquardt" if problem.residuals else "newton"](piece=32)
    learner, batch = learner_of(problem, method)
    from netdsl.train.full_batch.over_batch import OverBatch

    f = OverBatch(learner.programs, learner.layout, batch, (0, 0), frozenset())
    rng = np.random.default_rng(0)
    point = f.at(problem.start)
    value, gradient = problem.value(point.x)
    np.testing.assert_allclose(point.value, value, rtol=1e-5)
    np.testing.assert_allclose(point.gradient, gradient, rtol=1e-4, atol=1e-5 * abs(gradient).max())
    plain, v = Plain(problem), rng.normal(size=len(point.x))
    expected = plain.hessian_times(point, v)
    np.testing.assert_allclose(
        f.hessian_product(point, v), expected, rtol=1e-3, atol=1e-4 * abs(expected).max()
    )
    if problem.residuals:
        r, jacobian = f.residuals(point)
        own = problem.residuals(point.x), plain.residuals(point)[1]
        np.testing.assert_allclose(r @ r, own[0] @ own[0], rtol=1e-5)
        expected = own[1].T @ own[1]
        np.testing.assert_allclose(
            jacobian.T @ jacobian, expected, rtol=1e-3, atol=1e-5 * abs(expected).max()
        )
        np.testing.assert_allclose(2 * jacobian.T @ r, gradient, rtol=1e-3, atol=1e-4 * abs(gradient).max())
        product = f.gauss_newton_product(point, v)
        np.testing.assert_allclose(product, 2 * expected @ v, rtol=1e-3, atol=1e-4 * abs(product).max())


@pytest.mark.parametrize(
    "method",
    [
        "lbfgs",
        *(pytest.param(m, marks=pytest.mark.slow) for m in ("bfgs", "cg", "newton", "newton(solve = cg)")),
    ],
)
def test_frozen_weights_keep_their_bits(method):
    trainer = Trainer(network(method), None, plan(), callbacks=[Freeze("dense1", epochs=3)])
    before = trainer.program.state_dict()
    seen = []

    class Look(Callback):
        def on_epoch_end(self, loop, result):
            seen.append(trainer.program.get("dense1.weight"))

    trainer.callbacks.append(Look())
    result = trainer.fit()
    assert all(w.tobytes() == before["dense1.weight"].tobytes() for w in seen[:3])
    assert seen[3].tobytes() != before["dense1.weight"].tobytes()
    losses = [e.train["loss"] for e in result.history]
    assert losses == sorted(losses, reverse=True)


def test_layers_frozen_in_the_file_keep_their_bits():
    net = network("lbfgs", net="x -> dense(5) @freeze -> tanh -> dense(3)")
    trainer = Trainer(net, None, plan())
    before = trainer.program.state_dict()
    trainer.fit()
    after = trainer.program.state_dict()
    assert [n for n in before if before[n].tobytes() != after[n].tobytes()] == [
        "dense2.weight",
        "dense2.bias",
    ]


def test_statistics_move_once_in_an_iteration():
    """By the samples at the point where it ends, whatever the line search has looked at."""
    net = network("lbfgs", net="x -> dense(5) -> batch_norm -> tanh -> dense(3)", epochs=1)
    trainer, _ = fitted(net)
    w = trainer.program.state_dict()
    x = arrays(40)[0].astype(np.float64) @ w["dense1.weight"] + w["dense1.bias"]
    share = 1 - next(n.op.momentum for n in net.graph if n.op.name == "batch_norm")
    mean = next(w[n.id] for n in net.graph.leaves("state") if n.id.endswith("mean"))
    np.testing.assert_allclose(mean, share * x.mean(0), rtol=1e-3, atol=1e-5)
    assert trainer.learner.work()["evaluations"] > 1


def test_a_line_search_sees_one_function_under_dropout():
    """The loss at the end of a step is that of the same masks: it has fallen in every iteration."""
    net = network("lbfgs", net="x -> dense(30) -> dropout(0.5) -> tanh -> dense(3)", epochs=8)
    trainer, _ = fitted(net)
    assert not trainer.learner.fixed
    learner, seen = trainer.learner, []
    original = type(learner.optimizer).iterate

    class Watch(type(learner.optimizer)):
        def iterate(self, f, start, state, lr):
            found = original(self, f, start, state, lr)
            seen.append((start.value, found.point.value, f.evaluated(found.point.x).value))
            return found

    learner.optimizer = Watch()
    trainer.fit()
    assert all(end < begin and end == again for begin, end, again in seen)
    assert len({begin for begin, _, _ in seen}) == 8


def test_early_stopping_and_the_best_epoch(tmp_path):
    net = network("lbfgs", epochs=60)
    _, result = fitted(net, tmp_path, callbacks=[EarlyStopping("loss", patience=3)])
    assert result.epochs < 60 and (tmp_path / "best.safetensors").exists()


def test_a_start_that_is_not_finite_is_named():
    x, labels = arrays(20)
    x = x.copy()
    x[3, 2] = 3e38
    data = DataPlan({"train": from_arrays(x, labels), "normalize": "raw"})
    trainer = Trainer(network("lbfgs", net="x * x -> dense(3)"), None, data)
    before = trainer.program.state_dict()
    with pytest.raises(NetError, match="the loss of step 1 is not finite"):
        trainer.fit()
    assert all(before[n].tobytes() == a.tobytes() for n, a in trainer.program.state_dict().items())


def test_callbacks_change_the_first_step_or_are_refused():
    class Half(Callback):
        def on_batch_begin(self, loop):
            loop.lr *= 0.5

    one, other = (fitted(network("lbfgs", epochs=2), callbacks=c)[0].learner.arrays() for c in ([], [Half()]))
    assert any(one[n].tobytes() != other[n].tobytes() for n in one)
    with pytest.raises(NetError, match="levenberg_marquardt has no learning rate"):
        fitted(network("levenberg_marquardt"), callbacks=[Half()])


def test_flat_losses_end():
    """Where float32 can tell no difference, a run ends and says so."""
    learner, batch = learner_of(SIX[1], FULL_BATCH["lbfgs"](tolerance=0.0))
    train(learner, batch, 300)
    assert learner.memory.ended
    assert "float32" in learner.optimizer.why(learner.memory.ended)
    assert vector(learner).shape == SIX[1].start.shape
