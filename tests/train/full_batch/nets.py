"""The problems as networks, trained."""

import numpy as np

from netdsl.data import DataPlan, from_mapping
from netdsl.elaborate import elaborate
from netdsl.source import Source
from netdsl.train.full_batch.learner import FullBatchLearner
from netdsl.train.settings import TrainSettings, train_settings
from netdsl.train.turn import Turn


def method_of(problem, text):
    """The method that a file names."""
    written = problem.text.replace("train {", f"train {{ optimizer = {text}\n")
    return train_settings(elaborate(Source("a.net", written))).optimizer


def learner_of(problem, method, piece=None, device="cpu"):
    """A learner of the problem's network at its start, and the batch that is its whole training set."""
    network = elaborate(Source(f"{problem.name}.net", problem.text))
    samples = len(next(iter(problem.arrays.values())))
    learner = FullBatchLearner(network, TrainSettings(optimizer=method, batch=samples), device)
    plan = DataPlan({"train": from_mapping(problem.arrays), "normalize": "raw"})
    batches = plan.training_batches(samples, learner.inputs.feeds, in_order=True)
    learner.ready(batches)
    for name, array in learner.layout.split(problem.start).items():
        learner.program.set(name, array)
    return learner, batches.make(0, 0)


def vector(learner):
    """All weights in a row."""
    return learner.layout.joined(learner.arrays())


def train(learner, batch, iterations=2000):
    """Iterate until the method ends; returns the loss after the last iteration."""
    for number in range(iterations):
        sums = learner.step(batch, Turn(number, number, learner.optimizer.lr))
        if learner.memory.ended:
            break
    found = {}
    learner.measures.update(found, sums, batch.size)
    loss = learner.measures.result(found)["loss"]
    assert np.isfinite(loss)
    return loss
