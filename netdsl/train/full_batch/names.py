"""The methods by the names that files know them under."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.lazy import Table

if TYPE_CHECKING:
    from netdsl.train.full_batch.method import FullBatch

FULL_BATCH: Table[type[FullBatch]] = Table(
    {
        "newton": "netdsl.train.full_batch.newton:Newton",
        "gauss_newton": "netdsl.train.full_batch.gauss_newton:GaussNewton",
        "levenberg_marquardt": "netdsl.train.full_batch.levenberg_marquardt:LevenbergMarquardt",
        "bfgs": "netdsl.train.full_batch.bfgs:Bfgs",
        "lbfgs": "netdsl.train.full_batch.lbfgs:Lbfgs",
        "cg": "netdsl.train.full_batch.conjugate:Cg",
    }
)
