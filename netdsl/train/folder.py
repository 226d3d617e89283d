"""What a path stands for: the models that answer together, and the runs whose curves are drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from netdsl.source import Diagnostic, NetError, first_of, natural, warn
from netdsl.train.folds import FOLDS, ends_of_folds
from netdsl.train.run_folder import BEST, LAST, snapshots_in
from netdsl.train.run_log import LOG

_DEPTH = 3  # a folder of sweeps, with folds in their runs
_NAMED = 8


def models_of(path: Path) -> list[Path]:
    """The files that a path stands for.

    That of a run's folder stands for its snapshots, else its best checkpoint, else its last; that of a
    cross-validation for all of these of its folds; any other one for itself. Errors: NetError for a folder in which
    there are only folders of runs.
    """
    if not path.is_dir():
        return [path]
    own = _of_run(path)
    folds = folds_in(path)
    if own and folds:
        message = f"{path} holds a run, {own[0].name}, and the folds of a cross-validation"
        raise _error(message, f"name one of them: {own[0]}, or {folds[0]}")
    if own or folds:
        return own or [model for fold in folds for model in _of_run(fold)]
    if runs := _runs_below(path, _DEPTH):
        names = list(dict.fromkeys(run.relative_to(path).parts[0] for run in runs))
        message = f"{path} is no run; there are runs in it: {first_of(names, _NAMED)}"
        raise _error(message, f"name one of them, such as {path / names[0]}")
    return [path]


def folds_in(path: Path) -> list[Path]:
    """The folders of the folds of a cross-validation that have a checkpoint, in order; none for any other path.

    Warns where the cross-validation has not come to its end.
    """
    found = [fold for fold in _numbered(path, "fold") if _of_run(fold)] if path.is_dir() else []
    if (path / FOLDS).exists():
        return found[: len(ends_of_folds(path))]  # an older cross-validation may have had more of them
    if found:
        names = ", ".join(fold.name for fold in found)
        message = f"the cross-validation in {path} has not come to its end: it has {names}"
        warn(Diagnostic("checkpoint", message, fix="netdsl train FILE --resume goes on with it"))
    return found


def runs_of(path: Path) -> list[Path]:
    """The folders whose logs a path stands for: itself, or the runs in it where it has no log of its own."""
    if not path.is_dir() or (path / LOG).exists():
        return [path]
    return _runs_below(path, _DEPTH) or [path]


def _of_run(folder: Path) -> list[Path]:
    return snapshots_in(folder) or [p for p in (folder / BEST, folder / LAST) if p.is_file()][:1]


def _runs_below(path: Path, depth: int) -> list[Path]:
    found: list[Path] = []
    for folder in sorted((f for f in path.iterdir() if f.is_dir()), key=lambda f: natural(f.name)):
        if (folder / LOG).exists():
            found.append(folder)
        elif depth > 1 and not folder.name.startswith("."):
            found += _runs_below(folder, depth - 1)
    return found


def _numbered(path: Path, stem: str) -> Iterator[Path]:
    """The folders `stem-1`, `stem-2` and so on that are there, in order."""
    found = {int(m[1]): f for f in path.iterdir() if (m := re.fullmatch(rf"{stem}-(\d{{1,9}})", f.name))}
    yield from (found[number] for number in sorted(found) if found[number].is_dir())


def _error(message: str, fix: str) -> NetError:
    return NetError(Diagnostic("checkpoint", message, fix=fix))
