"""Place the boxes of a drawing: layers from top to bottom, few crossings, flows around boxes.

Sugiyama, Tagawa and Toda 1981, in its usual four steps: layers by the longest path; a bend for every layer that a
flow passes; the order within layers by the mean place of the neighbours; places as near to them as the boxes allow,
the main path straight first, then branches, then flows that pass.
It is our own code because the libraries that draw graphs need a program outside of Python.
NetworkX could find the longest paths; they are loops here, since no drawing should wait 0.1 s for its import.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

SWEEPS = 8
GAP = 26.0
#: a branch that is so many layers shorter than its neighbour is drawn beside the main path
SIDE = 2
_PASSING, _BESIDE, _BRANCH, _CHAIN = range(4)
_WEIGHT = (1.0, 1e3, 1e6, 1e6)
_FIXED = 1e9


@dataclass
class Cell:
    """A box or a bend: its layer, its width, its middle, and what is above and below it."""

    key: str
    layer: int
    width: float
    x: float = 0.0
    above: list[Link] = field(default_factory=list)
    below: list[Link] = field(default_factory=list)


@dataclass(frozen=True)
class Link:
    """A neighbour in the next layer, and how much it matters to stand below it."""

    cell: Cell
    rank: int


@dataclass(frozen=True)
class Placed:
    """The middle of every box, its layer, and for each flow the middles on its way, ends included."""

    x: Mapping[str, float]
    layer: Mapping[str, int]
    ways: Mapping[tuple[str, str], list[tuple[int, float]]]
    width: float


def place(widths: Mapping[str, float], flows: Sequence[tuple[str, str]]) -> Placed:
    """Places for boxes of these widths, whose order is topological."""
    layer, height = _layers(list(widths), flows)
    cells = {key: Cell(key, layer[key], width) for key, width in widths.items()}
    ranks = _ranks(flows, layer, height)
    ways = {(a, b): _bends(cells[a], cells[b], ranks[a, b]) for a, b in flows}
    rows = _rows(cells.values())
    _order(rows)
    _spread(rows)
    left = min((c.x - c.width / 2 for row in rows for c in row), default=0.0)
    right = max((c.x + c.width / 2 for row in rows for c in row), default=0.0)
    return Placed(
        {key: cell.x - left for key, cell in cells.items()},
        layer,
        {flow: [(c.layer, c.x - left) for c in way] for flow, way in ways.items()},
        right - left,
    )


def _layers(
    keys: Sequence[str], flows: Sequence[tuple[str, str]]
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """The layer of each box, and the length of the longest path that begins there."""
    above: dict[str, list[str]] = {key: [] for key in keys}
    below: dict[str, list[str]] = {key: [] for key in keys}
    for source, target in flows:
        above[target].append(source)
        below[source].append(target)
    layer: dict[str, int] = {}
    height: dict[str, int] = {}
    for key in keys:
        layer[key] = max((layer[k] + 1 for k in above[key]), default=0)
    for key in reversed(keys):
        height[key] = max((height[k] + 1 for k in below[key]), default=0)
        if not above[key] and below[key]:
            # An input stands where it is used first.
            layer[key] = min(layer[k] for k in below[key]) - 1
    return layer, height


def _ranks(
    flows: Sequence[tuple[str, str]], layer: Mapping[str, int], height: Mapping[str, int]
) -> Mapping[tuple[str, str], int]:
    """How straight a flow should be: little for a skip past boxes, most for the only flow at both its ends."""
    readers = Counter(source for source, _ in flows)
    tallest: dict[str, int] = {}
    for source, target in flows:
        tallest[source] = max(tallest.get(source, 0), height[target])
    ranks: dict[tuple[str, str], int] = {}
    for source, target in flows:
        # An output is never on the main path.
        beside = height[target] < (tallest[source] - SIDE if height[target] else tallest[source])
        skips = layer[target] - layer[source] > 1 and readers[source] > 1
        ranks[source, target] = _PASSING if skips else _BESIDE if beside else _BRANCH
    branches = [flow for flow, rank in ranks.items() if rank == _BRANCH]
    leave, enter = Counter(source for source, _ in branches), Counter(target for _, target in branches)
    return ranks | {(a, b): _CHAIN for a, b in branches if leave[a] == enter[b] == 1}


def _bends(source: Cell, target: Cell, rank: int) -> list[Cell]:
    """The cells of a flow: its ends, and a bend in every layer between them."""
    bends = [Cell("", layer, 8.0) for layer in range(source.layer + 1, target.layer)]
    way = [source, *bends, target]
    for upper, lower in itertools.pairwise(way):
        # A flow past boxes is straight between its bends; its ends have the lowest priority.
        both = rank if upper.key or lower.key else _CHAIN
        upper.below.append(Link(lower, both))
        lower.above.append(Link(upper, both))
    return way


def _rows(boxes: Iterable[Cell]) -> list[list[Cell]]:
    """The cells of each layer, branches in their order: what is below a cell comes before its right neighbour."""
    rows: list[list[Cell]] = []
    seen: set[int] = set()
    for box in boxes:
        todo = [] if box.above else [box]
        while todo:
            cell = todo.pop()
            if id(cell) not in seen:
                seen.add(id(cell))
                rows += [[] for _ in range(cell.layer + 1 - len(rows))]
                rows[cell.layer].append(cell)
                todo += [link.cell for link in reversed(cell.below)]
    return rows


def _order(rows: list[list[Cell]]) -> None:
    """Sort each layer by the mean place of the neighbours in the one before; keep what has the fewest crossings."""
    for row in rows:
        _number(row)
    best, order = _crossings(rows), [list(row) for row in rows]
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            for cell in row:
                near = cell.above if down else cell.below
                cell.x = sum(link.cell.x for link in near) / len(near) if near else cell.x
            row.sort(key=lambda c: c.x)
            _number(row)
        found = _crossings(rows)
        if found < best:
            best, order = found, [list(row) for row in rows]
    rows[:] = order


def _number(row: Sequence[Cell]) -> None:
    for k, cell in enumerate(row):
        cell.x = k - (len(row) - 1) / 2


def _crossings(rows: Sequence[Sequence[Cell]]) -> int:
    """How many pairs of flows cross between neighbouring layers."""
    count = 0
    for row in rows:
        passed: list[float] = []
        for cell in row:
            ends = [link.cell.x for link in cell.below]
            count += sum(len(passed) - bisect.bisect_right(passed, x) for x in ends)
            for x in ends:
                bisect.insort(passed, x)
    return count


def _spread(rows: list[list[Cell]]) -> None:
    """Coordinates: as near to the most important neighbours as the other cells of the layer allow."""
    for row in rows:
        _set(row, [0.0] * len(row), [1.0] * len(row))
    for sweep in range(2 * SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            _settle(row, [c.above if sweep % 2 == 0 else c.below for c in row])
    for _ in range(SWEEPS):
        for row in rows:
            _settle(row, [_followed(c) for c in row])
    # A flow past boxes becomes one straight line, outside of all boxes on its way.
    for row in rows:
        _settle(row, [_ranked(c.above, _BRANCH) if not c.key else [] for c in row], fixed=True)
    for row in reversed(rows):
        _settle(row, [_ranked(c.below, _CHAIN) if not c.key else [] for c in row], fixed=True)


def _ranked(links: Iterable[Link], least: int) -> list[Link]:
    return [link for link in links if link.rank >= least]


def _followed(cell: Cell) -> list[Link]:
    """What a cell stands below in a chain, or all its neighbours."""
    return _ranked(cell.above, _CHAIN) or [*cell.above, *cell.below]


def _settle(row: Sequence[Cell], near: Sequence[Sequence[Link]], fixed: bool = False) -> None:
    """Move the cells of a layer to the neighbours given, boxes rather than bends; or bends past `fixed` boxes."""
    ranks = [max((link.rank for link in links), default=_PASSING) for links in near]
    weights = [
        1.0 if not cell.key else _FIXED if fixed else _WEIGHT[rank]
        for cell, rank in zip(row, ranks, strict=True)
    ]
    _set(row, [_mean(c, links, rank) for c, links, rank in zip(row, near, ranks, strict=True)], weights)


def _mean(cell: Cell, near: Sequence[Link], rank: int) -> float:
    places = [link.cell.x for link in near if link.rank == rank]
    return sum(places) / len(places) if places else cell.x


def _set(row: Sequence[Cell], wanted: Sequence[float], weights: Sequence[float]) -> None:
    steps = itertools.starmap(_distance, itertools.pairwise(row))
    for cell, x in zip(row, fit(wanted, weights, list(steps)), strict=True):
        cell.x = x


def _distance(a: Cell, b: Cell) -> float:
    return (a.width + b.width) / 2 + (GAP if a.key or b.key else GAP / 2)


def fit(wanted: Sequence[float], weights: Sequence[float], distances: Sequence[float]) -> list[float]:
    """The nearest places to the wanted ones, by weighted squares, that are at least so far apart.

    Distances taken off, places must not fall: neighbours that do are pooled (Ayer et al. 1955).
    """
    offsets = list(itertools.accumulate(distances, initial=0.0))[: len(wanted)]
    pools: list[tuple[float, float, int]] = []
    for want, weight, offset in zip(wanted, weights, offsets, strict=True):
        place, total, count = want - offset, weight, 1
        while pools and pools[-1][0] > place:
            before, its, many = pools.pop()
            place = (before * its + place * total) / (its + total)
            total, count = its + total, count + many
        pools.append((place, total, count))
    places = [place for place, _, count in pools for _ in range(count)]
    return [place + offset for place, offset in zip(places, offsets, strict=True)]
