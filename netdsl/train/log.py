"""`metrics.jsonl`: one JSON object per event, the last one `{"event": "end", ...}`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from netdsl.files import atomic_write


class EventLog:
    """Appends events to a file; without a folder it writes nowhere."""

    def __init__(self, folder: Path | None, resume_epoch: int | None = None) -> None:
        self._path = folder / "metrics.jsonl" if folder is not None else None
        if self._path is not None:
            kept = [] if resume_epoch is None else _before(self._path, resume_epoch)
            atomic_write(self._path, "".join(kept).encode())

    def write(self, event: str, **values: Any) -> None:
        """Append one event."""
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"event": event, **values}) + "\n")


def _before(path: Path, epoch: int) -> list[str]:
    """The events that a run resumed in `epoch` (from 0) has behind it."""
    if not path.exists():
        return []
    kept = []
    for line in path.read_text("utf-8").splitlines(keepends=True):
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue  # the line that a crash cut short
        if event.get("event") == "start" or (event.get("event") == "epoch" and event["epoch"] <= epoch):
            kept.append(line)
    return kept
