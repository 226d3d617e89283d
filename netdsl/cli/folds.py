"""The folds of a cross-validation, trained or evaluated one after the other, and a table of all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.cli.common import waiting
from netdsl.cli.fit import fit
from netdsl.cli.streams import columns, is_closed
from netdsl.report.table import Cells, table

if TYPE_CHECKING:
    from netdsl.backend.registry import Device
    from netdsl.cli.runs import GoOn
    from netdsl.elaborate import Network
    from netdsl.train import FitResult, Trainer
    from netdsl.train.measures import Values


def train_folds(trainers: Iterator[Trainer], go_on: GoOn, resume: bool) -> list[str]:
    """Train for each fold; returns the lines to print at the end."""
    from netdsl.train.cross_validation import begin, can_resume, save
    from netdsl.train.folds import CrossValidation

    results: list[FitResult] = []
    begin(go_on.folder, resume)
    while True:
        with waiting("compiling"):
            trainer = next(trainers, None)
        if trainer is None:
            break
        if not is_closed():
            print(f"fold {len(results) + 1}/{trainer.data.shares.folds}")
        results.append(fit(trainer, resume and can_resume(trainer), go_on))
    found = CrossValidation(tuple(results))
    save(found, go_on.folder)
    parts = {"": found.values("validation"), "test ": found.values("test")}
    return [*folds_table(parts, columns(sys.stdout) or 100), *go_on.after_folds(found)]


def folds_table(parts: Mapping[str, Sequence[Values] | None], width: int) -> list[str]:
    """A row for each fold, and the mean and the spread; parts: what is written before the names of their values."""
    from netdsl.report.values import value_text
    from netdsl.train.folds import mean_of, spread_of

    cells, count = list[Cells](), 0
    for part, (prefix, values) in enumerate(parts.items()):
        if not values:
            continue
        count, mean = len(values), mean_of(values)
        rows = [*values, mean, spread_of(values)]
        for n, name in enumerate(mean):
            texts = [value_text(name, row[name]) for row in rows]
            cells.append(Cells(prefix + name, texts, True, 60 - 40 * part - n))
    numbers = [*map(str, range(1, count + 1)), "mean", "spread"]
    lines, left = table([Cells("fold", numbers, False, 100), *cells], width)
    rest = [f"(not shown: {', '.join(left)})"] if left else []
    return [*lines[: 2 + count], lines[1], *lines[2 + count :], *rest]


def evaluate_folds(
    network_of: Callable[[int], Network], folds: Sequence[Path], split: str, target: Device
) -> list[Values]:
    """The values of each fold of a cross-validation, on the fold that it set aside where that is asked for."""
    from netdsl.train.folder import models_of
    from netdsl.train.restore import evaluate_checkpoint

    return [evaluate_checkpoint(network_of, models_of(fold), split, target) for fold in folds]


def folds_json(values: Sequence[Values]) -> dict[str, object]:
    """The values of each fold, their mean and their spread as plain data; null for what is not finite."""
    from netdsl.train.folds import mean_of, spread_of
    from netdsl.train.run_folder import finite

    found = {"folds": list(values), "mean": mean_of(values), "spread": spread_of(values)}
    return {name: finite(value) for name, value in found.items()}
