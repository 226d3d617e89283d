"""The default folder of a training run, `runs/NAME-N`, and the commands to type after it."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.cli.common import fail
from netdsl.cli.streams import columns
from netdsl.source import Diagnostic
from netdsl.terminal import wrapped

if TYPE_CHECKING:
    from netdsl.train import CrossValidation, FitResult

RUNS = Path("runs")


@dataclass(frozen=True)
class GoOn:
    """The commands that go on from a run in `folder`, as they are typed; none where nothing is kept.

    `computing` has the options that say what computes, `seeing` those that say what is looked at in a training.
    """

    file: Path
    settings: tuple[str, ...]
    net: str | None
    folder: Path | None
    computing: tuple[str, ...] = ()
    seeing: tuple[str, ...] = ()

    def after(self, result: FitResult) -> list[str]:
        """What a finished run left, and how to evaluate and to use it."""
        from netdsl.train.run_folder import BEST, LAST, snapshots_in
        from netdsl.train.run_log import LOG

        if self.folder is None:
            return []
        snapshots = [path.name for path in snapshots_in(self.folder)]
        names = [*(name for name in (BEST, LAST, LOG) if (self.folder / name).exists()), *snapshots]
        # The folder stands for all of its snapshots together.
        model = str(self.folder if snapshots else self.folder / names[0])
        saved = f"saved in {self.folder}: {', '.join(names)}"
        lines = wrapped(saved, columns(sys.stdout) or len(saved), indent=2)
        # Commands are not wrapped, so that they can be copied from a terminal.
        if result.test is not None:
            lines.append(f"to evaluate it: {self._typed('eval', str(self.file), model)}")
        return [*lines, f"to use it: {self._run(model)}"]

    def after_folds(self, found: CrossValidation) -> list[str]:
        """What a cross-validation left, and how to evaluate and to use all folds together."""
        from netdsl.train.folds import FOLDS

        if self.folder is None:
            return []
        names = [f"fold-{k}" for k in range(1, len(found.results) + 1)]
        saved = f"saved in {self.folder}: {', '.join([*names, FOLDS])}"
        lines = wrapped(saved, columns(sys.stdout) or len(saved), indent=2)
        if found.values("test"):
            lines.append(f"to evaluate them: {self._typed('eval', str(self.file), str(self.folder))}")
        return [*lines, f"to use them together: {self._run(str(self.folder))}"]

    def resume(self) -> list[str]:
        """Where an interrupted run is kept, and how to go on."""
        if self.folder is None:
            return []
        words = ("train", str(self.file), "--out", str(self.folder), "--resume")
        return [f"saved in {self.folder}; to go on:", self._typed(*words, *self.seeing)]

    def _typed(self, *words: str) -> str:
        net = ("--net", self.net) if self.net else ()
        settings = (w for s in self.settings for w in ("--set", s))
        return shlex.join(["netdsl", *words, *net, *settings, *self.computing])

    def _run(self, model: str) -> str:
        return " ".join([shlex.join(["netdsl", "run", model]), "INPUT", *self.computing])


def given(flag: str, value: object, default: object = None) -> tuple[str, ...]:
    """The words of an option, none where it has its default."""
    return () if value == default else (flag, str(value))


def run_name(file: Path, net: str | None) -> str:
    """That of the preset or net that was asked for, else of the file, with no letter that a shell minds."""
    return re.sub(r"[^\w.-]+", "_", net or file.stem) or "run"


@contextmanager
def new_run(name: str) -> Iterator[Path]:
    """A new folder with the next number, which no other process gets; gone again if nothing was put into it."""
    number = max((n for n, _ in _numbered(name)), default=0) + 1
    try:
        RUNS.mkdir(exist_ok=True)
        while not _made(folder := RUNS / f"{name}-{number}"):
            number += 1
    except OSError as error:
        message = f"cannot make a folder for the run in {RUNS}: {error.strerror}"
        fail([Diagnostic("output", message, fix="name a folder by --out DIR, or keep nothing by --no-save")])
    try:
        yield folder
    finally:
        # Only empty folders can be removed.
        with suppress(OSError):
            folder.rmdir()
            RUNS.rmdir()


def latest_run(name: str, is_run: Callable[[Path], bool] | None = None) -> Path:
    """The folder of the newest run of this name that left a checkpoint, or for which `is_run` holds."""
    from netdsl.train.run_folder import has_begun

    runs = [(n, folder) for n, folder in _numbered(name) if (is_run or has_begun)(folder)]
    if not runs:
        fail(
            [
                Diagnostic(
                    "checkpoint", f"there is no run of {name} in {RUNS} to go on with", fix="give --out DIR"
                )
            ]
        )
    return max(runs)[1]


def _numbered(name: str) -> Iterator[tuple[int, Path]]:
    """The runs of a name with their numbers."""
    for folder in RUNS.glob("*"):
        if found := re.fullmatch(rf"{re.escape(name)}-(\d{{1,9}})", folder.name):
            yield int(found[1]), folder


def _made(folder: Path) -> bool:
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True
