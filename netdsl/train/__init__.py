"""Training: optimisers, schedules, the loop, checkpoints."""

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
