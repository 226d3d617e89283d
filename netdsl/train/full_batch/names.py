"""The methods by the names that files know them under."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.train.full_batch.bfgs import Bfgs
from netdsl.train.full_batch.conjugate import Cg
from netdsl.train.full_batch.gauss_newton import GaussNewton
from netdsl.train.full_batch.lbfgs import Lbfgs
from netdsl.train.full_batch.levenberg_marquardt import LevenbergMarquardt
from netdsl.train.full_batch.method import FullBatch
from netdsl.train.full_batch.newton import Newton

FULL_BATCH: Mapping[str, type[FullBatch]] = {
    "newton": Newton,
    "gauss_newton": GaussNewton,
    "levenberg_marquardt": LevenbergMarquardt,
    "bfgs": Bfgs,
    "lbfgs": Lbfgs,
    "cg": Cg,
}


def name_of(method: FullBatch) -> str:
    """The name of a method."""
    return next(name for name, kind in FULL_BATCH.items() if kind is type(method))
