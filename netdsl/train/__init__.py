"""Training: optimisers, schedules, the loop, checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.lazy import lazy

if TYPE_CHECKING:
    from netdsl.train.checkpoint import EpochResult, load_checkpoint
    from netdsl.train.evaluator import Evaluator
    from netdsl.train.listener import FitResult, Listener
    from netdsl.train.memory import predict_memory
    from netdsl.train.optimizers import OPTIMIZERS
    from netdsl.train.restore import evaluate_checkpoint, inference_program, restore_graph, restored_program
    from netdsl.train.schedules import SCHEDULES
    from netdsl.train.settings import data_plan, train_settings
    from netdsl.train.trainer import Trainer

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "EpochResult",
    "Evaluator",
    "FitResult",
    "Listener",
    "Trainer",
    "data_plan",
    "evaluate_checkpoint",
    "inference_program",
    "load_checkpoint",
    "predict_memory",
    "restore_graph",
    "restored_program",
    "train_settings",
]

_HOMES = {
    "EpochResult": "netdsl.train.checkpoint",
    "Evaluator": "netdsl.train.evaluator",
    "FitResult": "netdsl.train.listener",
    "Listener": "netdsl.train.listener",
    "OPTIMIZERS": "netdsl.train.optimizers",
    "SCHEDULES": "netdsl.train.schedules",
    "Trainer": "netdsl.train.trainer",
    "data_plan": "netdsl.train.settings",
    "evaluate_checkpoint": "netdsl.train.restore",
    "inference_program": "netdsl.train.restore",
    "load_checkpoint": "netdsl.train.checkpoint",
    "predict_memory": "netdsl.train.memory",
    "restore_graph": "netdsl.train.restore",
    "restored_program": "netdsl.train.restore",
    "train_settings": "netdsl.train.settings",
}

__getattr__, __dir__ = lazy("netdsl.train", _HOMES)
