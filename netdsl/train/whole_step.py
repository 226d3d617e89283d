"""The program that training spends its time in, whatever the optimiser."""

from __future__ import annotations

from netdsl.ir import Graph
from netdsl.train.full_batch.graphs import gradient_graph
from netdsl.train.settings import TrainSettings
from netdsl.train.step import training_graph


def step_graph(objective: Graph, settings: TrainSettings) -> Graph:
    """A step as a graph of primitives; of a full-batch method, the loss and gradient of a piece."""
    if settings.full_batch is not None:
        return gradient_graph(objective)
    return training_graph(objective, settings.recipe)
