"""Graph to graph over primitives: one file per pass, and the pipelines that put them in order."""

from netdsl.passes.base import Pass, Rewrite
from netdsl.passes.check import PassError
from netdsl.passes.log import Event, Log, Timing
from netdsl.passes.pipeline import PASSES, Hooks, Pipeline, inference, training
from netdsl.passes.place_on_gpus import placed
from netdsl.passes.weights import weight_only

__all__ = [
    "PASSES",
    "Event",
    "Hooks",
    "Log",
    "Pass",
    "PassError",
    "Pipeline",
    "Rewrite",
    "Timing",
    "inference",
    "placed",
    "training",
    "weight_only",
]
