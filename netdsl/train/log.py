"""`metrics.jsonl`: one JSON object per event, the last one `{"event": "end", ...}`."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from netdsl.files import atomic_write


class EventLog:
    """Appends events to a file, each on disk before `write` returns; without a folder it writes nowhere.

    A run that is resumed after `done` epochs keeps the events up to there; what came after will come again.
    """

    def __init__(self, folder: Path | None, done: int | None = None) -> None:
        self._path = folder / "metrics.jsonl" if folder is not None else None
        if self._path is not None:
            kept = [] if done is None else _before(self._path, done)
            atomic_write(self._path, "".join(kept).encode())

    def write(self, event: str, **values: Any) -> None:
        """Append one event; numbers that are not finite become null, which JSON has."""
        if self._path is not None:
            line = json.dumps({"event": event, **_finite(values)}, allow_nan=False)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
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
            continue  # the line that a crash cut short
        kind, epoch = (event.get("event"), event.get("epoch")) if isinstance(event, dict) else (None, None)
        if kind == "start" or (kind in ("epoch", "resume") and isinstance(epoch, int) and epoch <= done):
            kept.append(line)
    return kept
