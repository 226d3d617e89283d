"""The display of a cross-validation: the folds one after the other, then a table of all of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from netdsl.cli.common import waiting
from netdsl.cli.fit import fit
from netdsl.cli.streams import columns, is_closed
from netdsl.report.table import Cells, table

if TYPE_CHECKING:
    from netdsl.cli.runs import GoOn
    from netdsl.train import CrossValidation, FitResult, Trainer


def train_folds(trainers: Iterator[Trainer], go_on: GoOn, resume: bool) -> list[str]:
    """Train for each fold; returns the lines to print at the end."""
    from netdsl.train.cross_validation import can_resume, save
    from netdsl.train.folds import CrossValidation

    results: list[FitResult] = []
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
    return [*folds_table(found, columns(sys.stdout) or 100), *go_on.after_folds(found)]


def folds_table(found: CrossValidation, width: int) -> list[str]:
    """A row for each fold, and the mean and the spread of the values after the last epoch."""
    from netdsl.report.values import value_text

    count = len(found.results)
    cells = [Cells("fold", [*map(str, range(1, count + 1)), "mean", "spread"], False, 100)]
    for rank, part, prefix in ((60, "validation", ""), (20, "test", "test ")):
        values, mean, spread = found.values(part), found.mean(part), found.spread(part)
        if values is None or mean is None or spread is None:
            continue
        for n, name in enumerate(mean):
            texts = [value_text(name, v[name]) for v in (*values, mean, spread)]
            cells.append(Cells(prefix + name, texts, True, rank - n))
    lines, left = table(cells, width)
    rest = [f"(not shown: {', '.join(left)})"] if left else []
    return [*lines[: 2 + count], lines[1], *lines[2 + count :], *rest]
