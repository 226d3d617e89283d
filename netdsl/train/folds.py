"""Cross-validation: one training for each fold of the data, and the mean and the spread of what they come to."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.elaborate import Network, SectionSetting
from netdsl.source import Source, Span

if TYPE_CHECKING:
    from netdsl.train.callback import FitResult
    from netdsl.train.measures import Values

FOLDS = "folds.json"
"""The file in the folder of a cross-validation with the values of each fold, their mean and their spread."""


def folds_of(network: Network) -> int | None:
    """How many trainings a file asks for; None: one, without folds or for one of them."""
    folds, fold = (network.data[name].value if name in network.data else None for name in ("folds", "fold"))
    return folds if fold is None else None


def in_fold(network: Network, number: int) -> Network:
    """The network with the setting `data.fold`, from 1."""
    text = Source("fold", str(number))
    setting = SectionSetting(number, Span(text, 0, len(text.text)))
    return replace(network, data={**network.data, "fold": setting})


def fold_folder(out: Path | None, number: int) -> Path | None:
    """Where the training for a fold is kept."""
    return None if out is None else out / f"fold-{number}"


def has_begun(folder: Path) -> bool:
    """Whether a training, or that of its first fold, left a checkpoint to go on from."""
    from netdsl.train.run_folder import LAST

    return any((f / LAST).exists() for f in (folder, folder / "fold-1"))


@dataclass(frozen=True)
class CrossValidation:
    """What the trainings of a cross-validation came to: one result for each fold, in their order.

    `mean` and `spread`, the standard deviation of a sample (n - 1), are of the values after the last epoch: over the
    folds that were set aside, `validation`, and over the test set, None without one.
    """

    results: tuple[FitResult, ...]

    def values(self, part: str) -> list[Values] | None:
        """The values of `validation` or `test`, fold by fold; None: there are none."""
        found = [getattr(result, part) for result in self.results]
        return None if not found or None in found else found

    def mean(self, part: str = "validation") -> Values | None:
        """The mean over the folds of each value."""
        return self._over(part, statistics.fmean)

    def spread(self, part: str = "validation") -> Values | None:
        """The standard deviation over the folds of each value."""
        return self._over(part, statistics.stdev)

    def _over(self, part: str, of: Any) -> Values | None:
        values = self.values(part)
        if values is None:
            return None
        numbers = [name for name, value in values[0].items() if not isinstance(value, list)]
        return {name: _finite(of, [v[name] for v in values]) for name in numbers}

    def to_json(self) -> dict[str, Any]:
        """What `folds.json` holds."""
        parts = ("validation", "test")
        folds = [
            {"fold": k, "epochs": r.epochs, "validation": r.validation, "test": r.test}
            for k, r in enumerate(self.results, 1)
        ]
        return {
            "folds": folds,
            "mean": {p: self.mean(p) for p in parts},
            "spread": {p: self.spread(p) for p in parts},
        }


def _finite(of: Any, values: Sequence[float]) -> float:
    """A statistic of numbers, NaN where one of them is not finite."""
    return float(of(values)) if all(map(math.isfinite, values)) else math.nan
