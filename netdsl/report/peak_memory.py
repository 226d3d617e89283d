"""The report on memory: the peak at a batch size, and the largest batch that fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from netdsl.report.sizes import bytes_text


@dataclass(frozen=True)
class Peak:
    """The bytes of a run at its peak, by purpose, and the largest batch that fits (0: none).

    `places` has the bytes of each GPU, or of the one device.
    """

    parts: Mapping[str, int]
    largest_batch: int | None = None
    places: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Memory:
    """Predicted peaks at a batch size; `limit` are the bytes for the largest batches, `note` an assumption."""

    batch: int
    peaks: Mapping[str, Peak]
    limit: int | None = None
    note: str | None = None

    def text(self) -> list[str]:
        """Lines for people."""
        lines = []
        for mode, peak in self.peaks.items():
            parts = ", ".join(f"{bytes_text(size)} {what}" for what, size in peak.parts.items() if size)
            if len(peak.places) > 1:
                parts += "; " + ", ".join(f"{bytes_text(n)} on {where}" for where, n in peak.places.items())
            lines.append(f"{bytes_text(peak.total)} peak in {mode} at batch {self.batch}: {parts}")
        if self.limit is not None:
            fits = ", ".join(f"{p.largest_batch or 'none'} in {mode}" for mode, p in self.peaks.items())
            each = " each" if any(len(peak.places) > 1 for peak in self.peaks.values()) else ""
            lines.append(f"largest batch in {bytes_text(self.limit)}{each}: {fits}")
        return lines + ([f"({self.note})"] if self.note else [])

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        peaks = {mode: {**dataclasses.asdict(peak), "total": peak.total} for mode, peak in self.peaks.items()}
        return {"batch": self.batch, "limit": self.limit, "note": self.note, "peaks": peaks}
