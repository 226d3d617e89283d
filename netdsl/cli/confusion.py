"""Confusion matrices and the worst mistakes of trained weights: in the terminal, as CSV, as a sheet of pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.cli.common import writing
from netdsl.data.feeds import Kind
from netdsl.data.sheet import SheetCell, can_be_drawn, sheet
from netdsl.files import atomic_write
from netdsl.report.table import Cells, table
from netdsl.source import counted
from netdsl.terminal import wrapped
from netdsl.train.inputs import network_inputs

if TYPE_CHECKING:
    from netdsl.train.examine import Judged
    from netdsl.train.restore import Models

_LONGEST, _SHOWN = 12, 10


def matrix_lines(judged: Judged, width: int) -> list[str]:
    """The matrix with a row for each true class; where it is too wide, what is confused most often."""
    matrix, names = judged.confusion, judged.classes
    heads = [_cut(name, _LONGEST) for name in names]
    totals, hits = matrix.sum(axis=1), matrix.diagonal()
    cells = [Cells("true", heads, False, 1000)]
    for k, head in enumerate(heads):
        cells.append(Cells(head, [str(n) if n else "·" for n in matrix[:, k].tolist()], True, 900))
    shares = [f"{100 * hit / total:.1f} %" if total else "-" for hit, total in zip(hits, totals, strict=True)]
    cells.append(Cells("recall", shares, True, 950))
    if sum(c.width + 2 for c in cells) <= width:
        lines, _ = table(cells, width)
        return [
            *lines,
            *wrapped(f"({judged.output}: rows are true classes, columns what was predicted)", width),
        ]
    return _most_confused(judged, width)


def _cut(name: str, room: int) -> str:
    return name if len(name) <= room else f"{name[: room - 1]}…"


def _most_confused(judged: Judged, width: int) -> list[str]:
    pairs = [
        (int(n), true, said)
        for true, row in enumerate(judged.confusion)
        for said, n in enumerate(row)
        if n and true != said
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1:]))
    shown, room = pairs[:_SHOWN], (width - 14) // 2
    names = [_cut(name, room) for name in judged.classes]
    columns = [
        Cells("true", [names[t] for _, t, _ in shown], False, 9),
        Cells("predicted", [names[s] for _, _, s in shown], False, 8),
        Cells("samples", [str(n) for n, _, _ in shown], True, 7),
    ]
    more = f", and {counted(len(pairs) - _SHOWN, 'more pair')}" if len(pairs) > _SHOWN else ""
    note = f"({judged.output}: the matrix is too wide for this page; what is confused most often{more})"
    return [*table(columns, width)[0], *wrapped(note, width)]


def matrix_csv(judged: Judged) -> str:
    """The matrix: a row for each true class, a column for each predicted one, names in front."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["true", *judged.classes])
    for name, row in zip(judged.classes, judged.confusion.tolist(), strict=True):
        writer.writerow([name, *row])
    return file.getvalue()


def mistake_text(judged: Judged, k: int) -> str:
    """`5 (97 %), is 3 (0 %)`: what was said and what is true, with their probabilities."""
    true, said = int(judged.true[k]), int(judged.predicted[k])
    shares = [f"{judged.classes[c]} ({100 * judged.probabilities[k, c]:.0f} %)" for c in (said, true)]
    return f"{shares[0]}, is {shares[1]}"


def mistakes_json(judged: Judged, most: int) -> list[dict[str, Any]]:
    """The worst mistakes as plain data."""
    found = judged.mistakes()[:most]
    return [
        {
            "sample": int(judged.samples[k]),
            "name": judged.name(int(judged.samples[k])),
            "true": judged.classes[int(judged.true[k])],
            "predicted": judged.classes[int(judged.predicted[k])],
            "probability": float(judged.probabilities[k].max()),
            "probability_of_true": float(judged.probabilities[k, int(judged.true[k])]),
        }
        for k in found
    ]


def mistake_lines(judged: Judged, most: int, width: int) -> list[str]:
    """The worst mistakes, the first ten of them."""
    found = judged.mistakes()
    if judged.true.ndim > 1:
        return [f"{judged.output} is a map of classes: mistakes are cells, and not shown one by one"]
    if not found:
        return [f"{judged.output}: no mistake"]
    count = counted(len(judged.true), "sample")
    head = f"{judged.output}: {counted(len(found), 'mistake')} in {count}, the worst first"
    lines = wrapped(head, width)
    for k in found[: min(most, _SHOWN)]:
        lines += wrapped(
            f"  {judged.name(int(judged.samples[k]))}: {mistake_text(judged, k)}", width, indent=4
        )
    return lines


@dataclass(frozen=True)
class Findings:
    """What was asked for of the samples of a set: matrices, and so many mistakes."""

    models: Models
    judged: Sequence[Judged]
    confusion: bool
    errors: int

    def lines(self, width: int) -> Iterator[str]:
        """Matrices and mistakes for a terminal."""
        for one in self.judged:
            if self.confusion:
                yield ""
                yield from matrix_lines(one, width)
            if self.errors:
                yield ""
                yield from mistake_lines(one, self.errors, width)

    def to_json(self) -> dict[str, Any]:
        """The same as plain data, by output."""
        found: dict[str, Any] = {}
        if self.confusion:
            found["confusion"] = {
                j.output: {"classes": list(j.classes), "matrix": j.confusion.tolist()} for j in self.judged
            }
        if self.errors:
            found["errors"] = {j.output: mistakes_json(j, self.errors) for j in self.judged}
        return found

    def write(self, folder: Path) -> list[Path]:
        """Write the matrices, and the mistakes where samples can be drawn; returns the files."""
        written = []
        for one in self.judged:
            if self.confusion:
                written.append(self._put(folder, "confusion", ".csv", one, matrix_csv(one).encode()))
            if self.errors and (picture := self._sheet(one)) is not None:
                written.append(self._put(folder, "errors", ".png", one, picture))
        return written

    def _put(self, folder: Path, stem: str, ending: str, judged: Judged, data: bytes) -> Path:
        """A file for each output: `confusion.csv`, or with several `confusion-NAME.csv`."""
        path = folder / (f"{stem}-{judged.output}{ending}" if len(self.judged) > 1 else f"{stem}{ending}")
        with writing(path):
            folder.mkdir(parents=True, exist_ok=True)
            atomic_write(path, data)
        return path

    def _sheet(self, judged: Judged) -> bytes | None:
        """The worst mistakes as a PNG: the samples as the network sees them."""
        data, _ = self.models.members[0]
        worst = judged.mistakes()[: self.errors]
        feed = next(f for f in network_inputs(self.models.network).feeds if f.kind is Kind.INPUT)
        if not worst or not can_be_drawn(feed.shape or ()):
            return None
        batches = data.evaluation_batches(self.models.split, 1, network_inputs(self.models.network).feeds)
        cells = []
        for k in worst:
            sample = batches.make(0, int(judged.samples[k]))[feed.name][0]
            cells.append(SheetCell(sample, None, mistake_text(judged, k)))
        file = io.BytesIO()
        sheet(cells).save(file, "PNG")
        return file.getvalue()
