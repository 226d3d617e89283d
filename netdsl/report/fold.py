"""Merge boxes: a layer with its batch norm and activation is one box, and so are equal boxes in a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from netdsl.report.units import Flow, Unit

LONGEST = 40
IDENTITY = "identity"
Boxes = tuple[list[Unit], list[Flow]]


def fold(units: Sequence[Unit], flows: Sequence[Flow]) -> Boxes:
    """`conv`, `batch_norm` and `relu` as one box, and several of these in a row as one with their number."""
    return _joined(*_joined(*_without_identities(units, flows), _finished), _counted)


def _without_identities(units: Sequence[Unit], flows: Sequence[Flow]) -> Boxes:
    """Replace identity boxes by flows."""
    nothing = {u.key for u in units if u.title == IDENTITY}
    through: dict[str, str] = {}
    for flow in flows:
        if flow.target in nothing:
            through[flow.target] = through.get(flow.source, flow.source)
    ends = {(through.get(f.source, f.source), f.target): f.shape for f in flows if f.target not in nothing}
    return [u for u in units if u.key not in nothing], [Flow(a, b, shape) for (a, b), shape in ends.items()]


def _joined(units: Sequence[Unit], flows: Sequence[Flow], join: Callable[[Unit, Unit], Unit | None]) -> Boxes:
    """The boxes after joining pairs where one box is the only reader, and the other its only source."""
    sources: dict[str, list[str]] = {u.key: [] for u in units}
    readers: dict[str, int] = {u.key: 0 for u in units}
    for flow in flows:
        sources[flow.target].append(flow.source)
        readers[flow.source] += 1
    boxes: dict[str, Unit] = {}
    home: dict[str, str] = {}
    for unit in units:
        key = unit.key
        home[key] = key
        boxes[key] = unit
        if len(sources[key]) == 1 and readers[sources[key][0]] == 1:
            first = home[sources[key][0]]
            both = join(boxes[first], unit)
            if both is not None:
                del boxes[key]
                boxes[first], home[key] = both, first
    ends = {(home[f.source], home[f.target]): f.shape for f in flows if home[f.source] != home[f.target]}
    return list(boxes.values()), [Flow(source, target, shape) for (source, target), shape in ends.items()]


def _finished(box: Unit, unit: Unit) -> Unit | None:
    """The box with a following layer, such as an activation, written into it."""
    title = f"{box.title}, {unit.title}"
    if not unit.finishes or box.family == "input" or box.count > 1 or len(title) > LONGEST:
        return None
    return replace(box, title=title, shape=unit.shape, note=f"{box.note}\n\n{unit.note}")


def _counted(box: Unit, unit: Unit) -> Unit | None:
    """A box with its count raised, if the next box looks the same.  Closed blocks of one layer are not merged."""
    same = replace(unit, key=box.key, note=box.note, count=box.count) == box
    if not same or (box.closed and not box.block) or box.family in ("input", "output"):
        return None
    return replace(box, count=box.count + unit.count, note=f"{box.note}\n\n{unit.note}")
