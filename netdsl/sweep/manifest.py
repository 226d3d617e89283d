"""The folder of a sweep: a folder for each of its runs, and `sweep.json`, which says what each of them trains."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from netdsl.files import atomic_write
from netdsl.records import from_json, to_json
from netdsl.source import Diagnostic, NetError
from netdsl.train.run_folder import SWEEP, writing

TABLE, CHART = "table.csv", "chart.svg"
_LARGEST = 2**26


@dataclass(frozen=True)
class Planned:
    """A run by the name of its folder, with the settings that it has besides those of all."""

    folder: str
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Manifest:
    """What a sweep trains: the SHA-256 of the file, the preset or net, settings of all runs, and the runs.

    `criterion` is the value that trials are compared by, `sign` 1 where it is to be large and -1 where it is to be
    small; both are those of the last time that the sweep went on.
    """

    digest: str
    net: str | None
    fixed: Mapping[str, str]
    criterion: str
    sign: int
    runs: tuple[Planned, ...]


def save_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `sweep.json`, and make the folder if it is missing. Errors: NetError where that cannot be done."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write(folder / SWEEP, (json.dumps(to_json(manifest), indent=1) + "\n").encode())


def load_manifest(folder: Path) -> Manifest:
    """Read `sweep.json`. Errors: NetError for a file that is missing or something else."""
    path = folder / SWEEP
    try:
        with path.open("rb") as file:
            manifest = from_json(Manifest, json.loads(file.read(_LARGEST)))
    except OSError as error:
        fix = "name the folder of a sweep by --out DIR, or leave out --resume"
        raise _error(f"cannot read {path}: {error.strerror}", fix) from None
    except (ValueError, RecursionError) as error:
        raise _error(f"{path} is no manifest of a sweep: {error}") from None
    for run in manifest.runs:
        if Path(run.folder).name != run.folder or run.folder.startswith("."):
            raise _error(f"{path} names {run.folder}, which is no folder beside it")
    return manifest


def planned(old: Manifest | None, new: Manifest, wanted: Sequence[Mapping[str, str]]) -> Manifest:
    """The manifest with a run for each of the settings; those that the old one has keep their folders.

    Errors: NetError where file, net or the settings of all are not those of the old one.
    """
    known = {} if old is None else {_key(run.settings): run for run in old.runs}
    if old is not None:
        _check_same(old, new)
    last = max((int(run.folder.rpartition("-")[2]) for run in known.values()), default=0)
    runs = dict(known)
    for settings in wanted:
        if _key(settings) not in runs:
            last += 1
            runs[_key(settings)] = Planned(f"run-{last}", dict(settings))
    return replace(new, runs=tuple(runs.values()))


def _check_same(old: Manifest, new: Manifest) -> None:
    if old.digest != new.digest:
        raise _error("the file has changed since the sweep began", "start a new sweep: another --out DIR")
    if old.net != new.net:
        raise _error(f"the sweep began with --net {old.net}, not {new.net}")
    for name in sorted(old.fixed.keys() | new.fixed.keys()):
        was, given = old.fixed.get(name), new.fixed.get(name)
        if was != given:
            raise _error(
                f"the sweep began with {name} = {was or 'what the file says'}, not {given or 'that'}"
            )


def _key(settings: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(settings.items()))


def _error(message: str, fix: str | None = None) -> NetError:
    return NetError(Diagnostic("sweep", message, fix=fix))
