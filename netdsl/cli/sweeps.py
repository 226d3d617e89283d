"""The folder of a sweep where a trained network belongs: which of its runs is the best."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.source import Diagnostic, NetError, counted

if TYPE_CHECKING:
    from netdsl.sweep.results import Outcome


def is_sweep(path: Path) -> bool:
    """Whether a path is the folder of a sweep."""
    from netdsl.train.run_folder import SWEEP

    return (path / SWEEP).is_file()


def need_no_sweep(
    paths: Sequence[Path], words: Callable[[str, str | None, Mapping[str, str]], Sequence[str]]
) -> None:
    """Raise NetError for the folder of a sweep, which holds networks of other settings; it names the best run.

    `words` are those of the command for a run with its net and its settings, to be typed instead.
    """
    for path in paths:
        if is_sweep(path):
            raise _best_of(path, words)


def tried_in(path: Path) -> dict[Path, str]:
    """The settings that were tried in each run of a sweep, by its folder; nothing for any other path."""
    from netdsl.sweep.manifest import load_manifest

    if not is_sweep(path):
        return {}
    return {path / run.folder: " ".join(_words(run.settings)) for run in load_manifest(path).runs}


def _best_of(path: Path, words: Callable[[str, str | None, Mapping[str, str]], Sequence[str]]) -> NetError:
    from netdsl.sweep.manifest import load_manifest
    from netdsl.sweep.results import best, row, trials_of

    manifest = load_manifest(path)
    rows = [row(trial, {}) for trial in trials_of(path, manifest)]
    done = [r for r in rows if not r.failure]
    head = f"{path} is the folder of a sweep of {counted(len(rows), 'trial')}"
    winner = best(rows, (manifest.criterion, manifest.sign))
    if winner is None:
        return NetError(Diagnostic("checkpoint", f"{head}, none of which has come to its end"))
    some = "" if len(done) == len(rows) else f" of the {len(done)} that are done"
    message = f"{head}; the best {manifest.criterion}{some} is {_told(rows[winner], manifest.criterion)}"
    trial = rows[winner].trial
    typed = words(str(trial.folders[0]), manifest.net, {**manifest.fixed, **trial.settings})
    return NetError(Diagnostic("checkpoint", message, fix=shlex.join(typed)))


def _told(outcome: Outcome, criterion: str) -> str:
    """`86.81 %, of width=8 in runs/s/run-2`."""
    from netdsl.report.values import value_text

    folders = outcome.trial.folders
    seeds = f" to {folders[-1].name}" if len(folders) > 1 else ""
    settings = f", of {' '.join(_words(outcome.trial.settings))}" if outcome.trial.settings else ""
    return f"{value_text(criterion, outcome.value(criterion))}{settings} in {folders[0]}{seeds}"


def _words(settings: Mapping[str, str]) -> list[str]:
    return [f"{name}={text}" for name, text in settings.items()]
