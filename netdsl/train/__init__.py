"""Training: optimisers, schedules, the loop, checkpoints."""

from netdsl.train.checkpoint import load_checkpoint
from netdsl.train.evaluator import Evaluator
from netdsl.train.optimizers import OPTIMIZERS
from netdsl.train.schedules import SCHEDULES
from netdsl.train.settings import data_plan, train_settings
from netdsl.train.trainer import FitResult, Listener, Trainer

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Evaluator",
    "FitResult",
    "Listener",
    "Trainer",
    "data_plan",
    "load_checkpoint",
    "train_settings",
]
