"""Training: optimisers, schedules, the loop and its callbacks, checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.lazy import lazy

if TYPE_CHECKING:
    from netdsl.train.callback import Callback as Callback
    from netdsl.train.callback import FitResult as FitResult
    from netdsl.train.callbacks import EarlyStopping as EarlyStopping
    from netdsl.train.callbacks import Freeze as Freeze
    from netdsl.train.callbacks import ReduceLROnPlateau as ReduceLROnPlateau
    from netdsl.train.checkpoint import EpochResult as EpochResult
    from netdsl.train.checkpoint import load_checkpoint as load_checkpoint
    from netdsl.train.cross_validation import cross_validate as cross_validate
    from netdsl.train.data_settings import data_plan as data_plan
    from netdsl.train.evaluator import Evaluator as Evaluator
    from netdsl.train.folds import CrossValidation as CrossValidation
    from netdsl.train.learner import Learner as Learner
    from netdsl.train.live import LiveCurves as LiveCurves
    from netdsl.train.loop import Loop as Loop
    from netdsl.train.memory_prediction import predict_memory as predict_memory
    from netdsl.train.optimizers import OPTIMIZERS as OPTIMIZERS
    from netdsl.train.range_test import lr_range as lr_range
    from netdsl.train.restore import evaluate_checkpoint as evaluate_checkpoint
    from netdsl.train.restore import inference_program as inference_program
    from netdsl.train.restore import restore_graph as restore_graph
    from netdsl.train.restore import restored_program as restored_program
    from netdsl.train.schedules import SCHEDULES as SCHEDULES
    from netdsl.train.settings import train_settings as train_settings
    from netdsl.train.trainer import Trainer as Trainer

__getattr__, __dir__, __all__ = lazy(__name__, __file__)
