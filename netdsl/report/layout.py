"""Where the boxes of a drawing go: layers from top to bottom, few crossings, flows that go round boxes.

Sugiyama, Tagawa and Toda 1981, in its usual four steps: layers by the longest path; a bend for every layer that a
flow passes; the order within layers by the mean place of the neighbours; places as near to them as the boxes allow.
No library of ours lays out graphs, and those there are need a program outside of Python.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SWEEPS = 8
GAP = 26.0


@dataclass
class Cell:
    """A box or a bend: its layer, its width, its middle, and what is above and below it."""

    key: str
    layer: int
    width: float
    x: float = 0.0
    above: list[Cell] = field(default_factory=list)
    below: list[Cell] = field(default_factory=list)


@dataclass(frozen=True)
class Placed:
    """The middle of every box, its layer, and for each flow the middles on its way, ends included."""

    x: Mapping[str, float]
    layer: Mapping[str, int]
    ways: Mapping[tuple[str, str], list[tuple[int, float]]]
    width: float


def place(widths: Mapping[str, float], flows: Sequence[tuple[str, str]]) -> Placed:
    """Places for boxes of these widths, whose order is topological."""
    layer = _layers(list(widths), flows)
    cells = {key: Cell(key, layer[key], width) for key, width in widths.items()}
    rows: list[list[Cell]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    for cell in cells.values():
        rows[cell.layer].append(cell)
    ways = {flow: _bends(cells, rows, *flow) for flow in flows}
    for sweep in range(SWEEPS):
        _order(rows, down=sweep % 2 == 0)
    _spread(rows)
    left = min((c.x - c.width / 2 for row in rows for c in row), default=0.0)
    right = max((c.x + c.width / 2 for row in rows for c in row), default=0.0)
    return Placed(
        {key: cell.x - left for key, cell in cells.items()},
        layer,
        {flow: [(c.layer, c.x - left) for c in way] for flow, way in ways.items()},
        right - left,
    )


def _layers(keys: Sequence[str], flows: Sequence[tuple[str, str]]) -> dict[str, int]:
    above: dict[str, list[str]] = {key: [] for key in keys}
    for source, target in flows:
        above[target].append(source)
    layer: dict[str, int] = {}
    for key in keys:
        layer[key] = max((layer[k] + 1 for k in above[key] if k in layer), default=0)
    return layer


def _bends(cells: Mapping[str, Cell], rows: list[list[Cell]], source: str, target: str) -> list[Cell]:
    """The cells of a flow: its ends, and a bend in every layer between them."""
    way = [cells[source]]
    for layer in range(cells[source].layer + 1, cells[target].layer):
        bend = Cell("", layer, 8.0)
        rows[layer].append(bend)
        way.append(bend)
    way.append(cells[target])
    for upper, lower in itertools.pairwise(way):
        upper.below.append(lower)
        lower.above.append(upper)
    return way


def _order(rows: list[list[Cell]], down: bool) -> None:
    """Sort each layer by the mean place of its neighbours in the one before."""
    for row in rows if down else reversed(rows):
        for k, cell in enumerate(row):
            near = cell.above if down else cell.below
            cell.x = sum(n.x for n in near) / len(near) if near else float(k)
        row.sort(key=lambda c: c.x)
        for k, cell in enumerate(row):
            cell.x = k - (len(row) - 1) / 2


def _spread(rows: list[list[Cell]]) -> None:
    """Real places: as near to the mean of the neighbours as the others in the layer allow."""
    for row in rows:
        at = 0.0
        for cell in row:
            cell.x = at + cell.width / 2
            at += cell.width + GAP
        middle = (at - GAP) / 2
        for cell in row:
            cell.x -= middle
    for sweep in range(2 * SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [_mean(c, c.above if sweep % 2 == 0 else c.below) for c in row]
            _fit(row, wanted)


def _mean(cell: Cell, near: Sequence[Cell]) -> float:
    return sum(n.x for n in near) / len(near) if near else cell.x


def _fit(row: Sequence[Cell], wanted: Sequence[float]) -> None:
    """The wanted places, pushed apart from the left and from the right, and the mean of both."""
    lefts, rights = list(wanted), list(wanted)
    for k in range(1, len(row)):
        lefts[k] = max(lefts[k], lefts[k - 1] + _distance(row[k - 1], row[k]))
    for k in range(len(row) - 2, -1, -1):
        rights[k] = min(rights[k], rights[k + 1] - _distance(row[k], row[k + 1]))
    for cell, left, right in zip(row, lefts, rights, strict=True):
        cell.x = (left + right) / 2


def _distance(a: Cell, b: Cell) -> float:
    return (a.width + b.width) / 2 + GAP
