"""Cross-validation: one training for each fold of the data, and the mean and the spread of what they come to."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.elaborate import Network, SectionSetting
from netdsl.source import Diagnostic, NetError, Source, Span

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


def ends_of_folds(folder: Path) -> list[dict[str, Any]]:
    """What each fold came to, as `folds.json` says. Errors: NetError for a file that cannot be read or is another."""
    path = folder / FOLDS
    try:
        found = json.loads(path.read_text("utf-8"))["folds"]
        if not isinstance(found, list) or not all(isinstance(end, dict) for end in found):
            raise ValueError("its folds are no list of objects")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise NetError(Diagnostic("checkpoint", f"{path} cannot be read: {error}")) from None
    return found


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
        values = self.values(part)
        return None if values is None else mean_of(values)

    def spread(self, part: str = "validation") -> Values | None:
        """The standard deviation over the folds of each value."""
        values = self.values(part)
        return None if values is None else spread_of(values)

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


def mean_of(values: Sequence[Values]) -> Values:
    """The mean of each value over trainings; NaN where one is not finite."""
    return _over(values, statistics.fmean)


def spread_of(values: Sequence[Values]) -> Values:
    """The standard deviation of each value over trainings, with n - 1; NaN where one is not finite, or of one."""
    return _over(values, statistics.stdev if len(values) > 1 else lambda _: math.nan)


def _over(values: Sequence[Values], of: Callable[[Sequence[float]], float]) -> Values:
    numbers = [name for name, value in values[0].items() if not isinstance(value, list)]
    columns = {name: [v[name] for v in values] for name in numbers}
    return {
        name: float(of(column)) if all(map(math.isfinite, column)) else math.nan
        for name, column in columns.items()
    }
