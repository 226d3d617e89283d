"""The log of a run, `metrics.jsonl`, read back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netdsl.source import Diagnostic, NetError

LOG = "metrics.jsonl"
LIMIT = 2**28
"""Bytes of a log that are read."""

Event = Mapping[str, Any]


@dataclass(frozen=True)
class RunLog:
    """The events of a run in order, with the name that it goes by."""

    name: str
    events: tuple[Event, ...]

    @property
    def epochs(self) -> list[Event]:
        """The epochs in order; of one that was run again after a crash, what came last."""
        return self._by_epoch("epoch")

    @property
    def watched(self) -> list[Event]:
        """What was watched after each epoch, where something was."""
        return self._by_epoch("watch")

    def _by_epoch(self, kind: str) -> list[Event]:
        found = {e["epoch"]: e for e in self.of(kind) if isinstance(e.get("epoch"), int)}
        return [found[k] for k in sorted(found)]

    def of(self, kind: str) -> list[Event]:
        """The events of a kind."""
        return [e for e in self.events if e.get("event") == kind]

    @property
    def ended(self) -> Event | None:
        """How the run ended, if it did: the event `end`."""
        return next(reversed(self.of("end")), None)


def read_log(path: Path) -> RunLog:
    """The log of the folder of a run, or the log itself.

    An incomplete last line, as a crash leaves it, is left out. Errors: NetError for a file that is missing, too
    large, or no log.
    """
    file = path / LOG if path.is_dir() else path
    name = str(path if path.is_dir() else path.parent if path.name == LOG else path)
    try:
        with file.open("rb") as opened:
            data = opened.read(LIMIT + 1)
    except OSError as error:
        fix = "netdsl train writes it" if path.is_dir() else "name the folder of a run"
        message = f"cannot read {file}: {error.strerror or error}"
        raise NetError(Diagnostic("log", message, fix=fix)) from None
    if len(data) > LIMIT:
        raise NetError(
            Diagnostic("log", f"{file} is larger than {LIMIT:,} bytes, more than any log of a run")
        )
    return RunLog(name, tuple(_events(file, data)))


def _events(file: Path, data: bytes) -> Iterator[Event]:
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line) if line else None
        except (ValueError, RecursionError):
            # A run that goes on after a crash writes behind a line that the crash has cut.
            if number == len(lines) or _was_cut(line):
                continue
            raise _no_log(file, number) from None
        if line and not (isinstance(event, dict) and isinstance(event.get("event"), str)):
            raise _no_log(file, number)
        if event is not None:
            yield event


def _was_cut(line: bytes) -> bool:
    return line.startswith(b'{"event"')


def _no_log(file: Path, number: int) -> NetError:
    message = f"{file} is no log of a run: line {number} is no event"
    return NetError(Diagnostic("log", message, fix="netdsl train writes one, metrics.jsonl"))


def values_of(event: Event, part: str) -> dict[str, float]:
    """The values of `train`, `validation` or `test` in an event; NaN for those that were not finite."""
    found = event.get(part)
    if not isinstance(found, dict):
        return {}
    return {str(k): math.nan if v is None else float(v) for k, v in found.items() if _is_value(v)}


def _is_value(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
