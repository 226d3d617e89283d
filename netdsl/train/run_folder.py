"""The folder of a run: checkpoints and `metrics.jsonl`, one JSON object per event, the last one `end`."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from netdsl.files import atomic_write, obstacle
from netdsl.source import Diagnostic, NetError
from netdsl.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from netdsl.train.folds import FOLDS
from netdsl.train.lock import locked
from netdsl.train.run_log import LOG

LAST, BEST = "last.safetensors", "best.safetensors"


SWEEP = "sweep.json"
"""The file in the folder of a sweep that says what each of its runs trains."""


class Holds(StrEnum):
    """What a folder is of."""

    RUN = "a training"
    FOLDS = "a cross-validation"
    SWEEP = "a sweep"


_MARKS = {Holds.RUN: (LAST, LOG), Holds.FOLDS: (f"fold-1/{LAST}", FOLDS), Holds.SWEEP: (SWEEP,)}


def need_folder(value: object, function: str) -> None:
    """Check the folder of a run.

    Raises TypeError for something else, such as the arrays to train on, NetError for an empty name.
    """
    if isinstance(value, str) and not value:
        raise NetError(Diagnostic("output", f"{function}: the name of the folder is empty"))
    if value is not None and not isinstance(value, str | os.PathLike):
        hint = 'arrays are named, data={"image": images, "label": labels}'
        raise TypeError(f"{function}: out is the path of a folder, not a {type(value).__name__}; {hint}")


def snapshot(number: int | str) -> str:
    """The name of a snapshot, or with `*` of all."""
    return f"snapshot-{number}.safetensors"


def snapshots_in(folder: Path) -> list[Path]:
    """The snapshots of a run, in order."""
    found = [p for p in folder.glob(snapshot("*")) if p.stem.removeprefix("snapshot-").isdecimal()]
    return sorted(found, key=lambda p: int(p.stem.removeprefix("snapshot-")))


def need_place(folder: Path | None, own: Holds) -> None:
    """Raise NetError where a folder cannot be made, or is that of something else than `own`."""
    if folder is None:
        return
    for place in (folder, *folder.parents):
        if place.is_dir():
            break
        if place.exists() or place.is_symlink():
            kind = "a file" if place.exists() else "a link to what is not there"
            raise NetError(
                Diagnostic("output", f"{place} is {kind}, not a folder", fix="name a folder by --out DIR")
            )
    for other, names in _MARKS.items():
        if other is not own and any((folder / name).exists() for name in names):
            message = f"{folder} is the folder of {other}: {own} has one of its own"
            raise NetError(Diagnostic("output", message, fix="name another folder by --out DIR"))


def has_begun(folder: Path) -> bool:
    """Whether a training, or that of its first fold, left a checkpoint to go on from."""
    return any((f / LAST).exists() for f in (folder, folder / "fold-1"))


class RunFolder:
    """The files of one run; without a folder it writes nowhere.

    Errors: NetError when the folder cannot be written to.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def begin(self, done: int | None = None) -> None:
        """Replace the log and remove the best checkpoint and the snapshots of an older run.

        A run that is resumed after `done` epochs keeps the events up to there; what came after will come again.
        """
        folder = self._folder
        if folder is None:
            return
        for path in (folder / LAST, folder / BEST, folder / LOG, *snapshots_in(folder)):
            if reason := obstacle(path):
                raise NetError(Diagnostic("output", f"cannot write into {folder}: {reason}"))
        with writing(folder):
            for name in (LAST, BEST, LOG, snapshot("*")):
                # Temporary files of a run that was killed.
                for remains in folder.glob(f".{name}.*.tmp"):
                    remains.unlink(missing_ok=True)
            if done is None:
                for old in (folder / BEST, *snapshots_in(folder)):
                    old.unlink(missing_ok=True)
            kept = [] if done is None else _before(folder / LOG, done)
            atomic_write(folder / LOG, "".join(kept).encode())

    @property
    def keeps(self) -> bool:
        """Whether anything is written."""
        return self._folder is not None

    def load(self, name: str) -> Checkpoint | None:
        """Read a checkpoint; None where there is none."""
        path = None if self._folder is None else self._folder / name
        return load_checkpoint(path) if path is not None and path.exists() else None

    def save(self, name: str, make: Callable[[], Checkpoint]) -> None:
        """Write a checkpoint."""
        if self._folder is not None:
            checkpoint = make()
            with writing(self._folder):
                save_checkpoint(self._folder / name, checkpoint)

    def log(self, event: str, **values: Any) -> None:
        """Append one event, on disk before this returns; numbers that are not finite become null."""
        if self._folder is not None:
            line = json.dumps({"event": event, **finite(values)}, allow_nan=False)
            with writing(self._folder), (self._folder / LOG).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())


@contextmanager
def hold(folder: Path | None, make: bool, own: Holds = Holds.RUN) -> Iterator[None]:
    """Lock a folder against other training runs; with `make`, create it if it is missing.

    Errors: NetError when one is at work there, when it cannot be written to, or is of something else than `own`.
    """
    if make:
        need_place(folder, own)
    with ExitStack() as stack:
        if folder is not None and (make or folder.is_dir()):
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(folder))
        yield


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn the errors of the file system in the body into a NetError."""
    try:
        yield
    except OSError as error:
        raise NetError(
            Diagnostic("output", f"cannot write into {folder}: {error.strerror or error}")
        ) from error


def finite(value: Any) -> Any:
    """JSON values with null for numbers that are not finite."""
    if isinstance(value, dict):
        return {key: finite(v) for key, v in value.items()}
    if isinstance(value, list):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _before(path: Path, done: int) -> list[str]:
    """The lines of a log up to the end of epoch `done`."""
    if not path.exists():
        return []
    kept = []
    for line in path.read_text("utf-8", errors="replace").splitlines(keepends=True):
        try:
            event = json.loads(line)
        except ValueError:
            continue  # an incomplete last line after a crash
        kind, epoch = (event.get("event"), event.get("epoch")) if isinstance(event, dict) else (None, None)
        if kind in ("start", "weights") or (
            kind in ("epoch", "watch", "resume") and isinstance(epoch, int) and epoch <= done
        ):
            kept.append(line)
    return kept
