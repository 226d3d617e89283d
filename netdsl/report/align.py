"""Match the layers of two networks: the cheapest way to turn one list of layers into the other.

Needleman and Wunsch 1970, in the memory of one line as Hirschberg 1975 showed; layers that only stand elsewhere are
found behind that by what they are and what they read.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.report.summary import Row

Ints = NDArray[np.int64]

#: the costs of an added or removed layer, and of changed settings: two changes in a row cost more than a move
GAP, CHANGE = 10, 12


def align(before: Sequence[Row], after: Sequence[Row]) -> dict[str, str]:
    """The old name of every new layer that has a counterpart.

    Only layers of one kind are taken for each other; equal settings count most, then equal shapes and names.
    """
    a, b = _keys(before, after)
    # Names and shapes only decide between alignments with the same number of changed layers.
    scale = 3 * (len(a) + len(b)) + 1
    first = _common(a, b)
    last = _common(a[first:][::-1], b[first:][::-1])
    pairs = [(k, k) for k in range(first)]
    inner = _pairs(a[first : len(a) - last], b[first : len(b) - last], scale)
    pairs += [(first + i, first + j) for i, j in inner]
    pairs += [(len(a) - k, len(b) - k) for k in range(last, 0, -1)]
    found = {after[j].name: before[i].name for i, j in pairs}
    return found | _moved(before, after, found)


def _keys(before: Sequence[Row], after: Sequence[Row]) -> tuple[Ints, Ints]:
    """Kind, settings, shape, name and name without numbers of every row, as numbers."""
    ids: dict[Any, int] = {}
    inputs = {r.name for r in before if r.kind == "input"} & {r.name for r in after if r.kind == "input"}

    def key(row: Row) -> list[int]:
        # Inputs are fed by name, so inputs of different names never match.
        kind = (row.kind, row.name) if row.name in inputs else row.kind
        stem = "".join(c for c in row.name if not c.isdigit())
        parts = (kind, ("settings", row.settings), row.shape, ("name", row.name), ("stem", stem))
        return [ids.setdefault(part, len(ids)) for part in parts]

    a, b = ([key(r) for r in rows] for rows in (before, after))
    return np.array(a, np.int64).reshape(-1, 5), np.array(b, np.int64).reshape(-1, 5)


def _common(a: Ints, b: Ints) -> int:
    """The number of rows at the start that are equal in everything."""
    n = min(len(a), len(b))
    differ = (a[:n] != b[:n]).any(axis=1)
    return int(differ.argmax()) if differ.any() else n


def _pairs(a: Ints, b: Ints, scale: int) -> Iterator[tuple[int, int]]:
    """The pairs of the cheapest alignment, by halving `a`."""
    if len(a) == 1 and len(b):
        costs = _costs(a[0], b, scale)
        best = int(costs.argmin())
        if costs[best] < 2 * GAP * scale:
            yield 0, best
    elif len(a) > 1 and len(b):
        half = len(a) // 2
        total = _totals(a[:half], b, scale) + _totals(a[half:][::-1], b[::-1], scale)[::-1]
        cut = int(total.argmin())
        yield from _pairs(a[:half], b[:cut], scale)
        yield from ((half + i, cut + j) for i, j in _pairs(a[half:], b[cut:], scale))


def _costs(row: Ints, others: Ints, scale: int) -> Ints:
    """What it costs to take a row for each of the others; too much where the kinds differ."""
    same = row == others
    minor = 3 - same[:, 2:].sum(axis=1)
    return np.where(same[:, 0], np.where(same[:, 1], 0, CHANGE * scale) + minor, 2 * GAP * scale + 1)


def _totals(a: Ints, b: Ints, scale: int) -> Ints:
    """The cost of the cheapest alignment of `a` with the first rows of `b`, for every number of them."""
    gap = GAP * scale
    steps = gap * np.arange(len(b) + 1)
    totals = steps
    for row in a:
        paired = np.minimum(totals[1:] + gap, totals[:-1] + _costs(row, b, scale))
        # Gaps in `b` run along the line: their cheapest start is a running minimum.
        totals = np.minimum.accumulate(np.concatenate([totals[:1] + gap, paired]) - steps) + steps
    return totals


def _moved(before: Sequence[Row], after: Sequence[Row], found: Mapping[str, str]) -> dict[str, str]:
    """Layers that stand elsewhere in the order: equal ones that read the same, then equal ones of one name."""
    moved, taken = dict(found), set(found.values())
    left = [r for r in before if r.name not in taken]
    places: dict[Any, list[str]] = {}
    for row in left:
        places.setdefault((row.kind, row.settings, row.sources), []).append(row.name)
        places.setdefault((row.kind, row.settings, row.name), []).append(row.name)
    new = [r for r in after if r.name not in found]
    for by_sources, row in itertools.product((True, False), new):
        if row.name in moved:
            continue
        sources = tuple(moved.get(s, "") for s in row.sources)
        names = places.get((row.kind, row.settings, sources if by_sources else row.name), [])
        free = next((name for name in names if name not in taken), None)
        if free is not None:
            moved[row.name] = free
            taken.add(free)
    return moved
