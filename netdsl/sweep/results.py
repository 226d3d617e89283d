"""What the runs of a sweep came to, and which of the trials is the best."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from netdsl.source import NetError
from netdsl.sweep.manifest import Manifest
from netdsl.train.folds import FOLDS, ends_of_folds
from netdsl.train.run_log import LOG, Event, read_log, values_of

PARTS = ("validation", "test")
SEED = "train.seed"


@dataclass(frozen=True)
class Attempt:
    """Settings and the folders of the runs that tried them, one or one for each seed."""

    settings: Mapping[str, str]
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class Outcome:
    """A trial: the mean and the spread (the standard deviation of a sample) of each value over its trainings.

    The trainings are one for each seed and each fold; the values those after the last epoch.  `failure` says why
    there are none.
    """

    trial: Attempt
    failure: str = ""
    count: int = 0
    mean: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    spread: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def value(self, name: str) -> float:
        """A value of the validation sets; NaN where there is none."""
        return self.mean.get("validation", {}).get(name, math.nan)


def is_done(folder: Path) -> bool:
    """Whether a run, or all folds of one, came to its end."""
    return _ends(folder) is not None


def _ends(folder: Path) -> list[Event] | None:
    """How a run ended, or each of its folds; None for one that did not."""
    try:
        if (folder / FOLDS).exists():
            return [*ends_of_folds(folder)]
        if not (folder / LOG).exists():
            return None
        end = read_log(folder).ended
    except NetError:
        return None  # damaged: it is run again
    return None if end is None else [end]


def row(trial: Attempt, failures: Mapping[Path, str]) -> Outcome:
    """What a trial came to; `failures` say why runs have ended before their time."""
    ends: list[Event] = []
    for number, folder in enumerate(trial.folders, 1):
        found = _ends(folder)
        if found is None:
            of = f"seed {number} of {len(trial.folders)}: " if len(trial.folders) > 1 else ""
            return Outcome(trial, of + failures.get(folder, "not done"))
        ends += found
    values = {part: [values_of(end, part) for end in ends] for part in PARTS}
    return Outcome(
        trial,
        "",
        len(ends),
        {part: _over(found, statistics.fmean) for part, found in values.items()},
        {part: _over(found, statistics.stdev) for part, found in values.items()} if len(ends) > 1 else {},
    )


def _over(values: Sequence[Mapping[str, float]], of: object) -> dict[str, float]:
    """A statistic of each value that all trainings have; NaN where one is not finite."""
    names = [name for name in values[0] if all(name in v for v in values)]
    assert callable(of)
    return {
        name: float(of([v[name] for v in values]))
        if all(math.isfinite(v[name]) for v in values)
        else math.nan
        for name in names
    }


def best(rows: Sequence[Outcome], criterion: tuple[str, int]) -> int | None:
    """The number of the row whose value is the best, the first of equals; None where no row has one."""
    name, sign = criterion
    found = [k for k, r in enumerate(rows) if math.isfinite(r.value(name))]
    return max(found, key=lambda k: (sign * rows[k].value(name), -k), default=None)


def trials_of(folder: Path, manifest: Manifest) -> list[Attempt]:
    """The trials of a sweep: its runs, those together that differ in their seed alone."""
    found: dict[tuple[tuple[str, str], ...], list[Path]] = {}
    for run in manifest.runs:
        key = tuple(sorted((name, text) for name, text in run.settings.items() if name != SEED))
        found.setdefault(key, []).append(folder / run.folder)
    return [Attempt(dict(key), tuple(folders)) for key, folders in found.items()]
