"""The rows of a report as the source nests them: blocks in blocks, equal neighbours as one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from netdsl.report.summary import Row, Summary

_SUMMED = ("params", "trainable", "macs", "flops", "bytes", "moved")


@dataclass(frozen=True)
class BlockGroup:
    """A block of the source: its path, its name and what is in it, in order."""

    path: str
    name: str
    parts: tuple[Row | BlockGroup, ...]

    @cached_property
    def total(self) -> Row:
        """The totals of the block, with shape, receptive field and place of its last row."""
        rows = [p.total if isinstance(p, BlockGroup) else p for p in self.parts]
        return replace(
            rows[-1],
            name=self.path,
            kind=self.name,
            settings="",
            shared=self.first_use,
            gpu=self._gpu,
            **{name: sum(getattr(r, name) for r in rows) for name in _SUMMED},
        )

    @cached_property
    def first_use(self) -> str | None:
        """The block whose weights this one uses again, all of them."""
        weighted = [r for r in self.rows if r.params or r.shared]
        owners = {r.shared and r.shared.removesuffix(r.name[len(self.path) :]) for r in weighted}
        return owners.pop() if len(owners) == 1 else None

    @property
    def _gpu(self) -> int | None:
        """The GPU of all that is in it, if there is one."""
        found = {r.gpu for r in self.rows}
        return found.pop() if len(found) == 1 else None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names that the text around the block gives its results."""
        found = (name for r in self.rows for name in r.names)
        return tuple(_last(name) for name in found if _body(name) == _body(self.path))

    @cached_property
    def form(self) -> tuple[object, ...]:
        """A key that equal blocks share: everything except names and places."""
        return (self.name, *(p.form if isinstance(p, BlockGroup) else _form(p) for p in self.parts))

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """All layers in it."""
        return tuple(r for p in self.parts for r in (p.rows if isinstance(p, BlockGroup) else (p,)))

    def reads(self, other: BlockGroup) -> bool:
        """Whether one of its layers reads a layer of another block."""
        names = {r.name for r in other.rows}
        return any(source in names for r in self.rows for source in r.sources)


@dataclass(frozen=True)
class Line:
    """A line of an outline: a layer or a `block` at a level, which stands for `count` equal neighbours.

    `names` are those that the text around it gives to what it makes.
    """

    level: int
    label: str
    row: Row
    block: BlockGroup | None = None
    count: int = 1
    names: tuple[str, ...] = ()


def tree(summary: Summary) -> BlockGroup:
    """The whole network as a block of blocks."""
    return BlockGroup("", summary.network, _grouped(summary, summary.rows, ""))


def outline(group: BlockGroup, depth: int | None = None, collapse: bool = True) -> list[Line]:
    """The lines within a block: blocks are open down to `depth`; equal neighbours `collapse` into one closed line."""
    return list(_lines(group.parts, depth, collapse, 0))


def _grouped(summary: Summary, rows: Sequence[Row], path: str) -> tuple[Row | BlockGroup, ...]:
    """The parts of the block at `path`, whose rows these are."""
    parts: list[Row | BlockGroup] = []
    start = len(path) + 1 if path else 0
    for head, members in itertools.groupby(rows, key=lambda r: r.name[start:].partition(".")[0]):
        inner = f"{path}.{head}" if path else head
        found = tuple(members)
        if inner in summary.scopes:
            parts.append(BlockGroup(inner, summary.scopes[inner].name, _grouped(summary, found, inner)))
        else:
            parts.extend(found)
    return tuple(parts)


def _lines(
    parts: Sequence[Row | BlockGroup], depth: int | None, collapse: bool, level: int
) -> Iterator[Line]:
    for first, *more in _runs(parts) if collapse else ([p] for p in parts):
        if isinstance(first, Row):
            names = tuple(_last(name) for name in first.names if _body(name) == _body(first.name))
            yield Line(level, _last(first.name), first, names=names)
        elif more:
            yield _closed(first, more, level)
        else:
            yield Line(level, _last(first.path), first.total, first, names=first.names)
            if depth is None or level + 1 < depth:
                yield from _lines(first.parts, depth, collapse, level + 1)


def _runs(parts: Sequence[Row | BlockGroup]) -> list[list[Row | BlockGroup]]:
    """Parts, and runs of equal blocks of which each reads the one before it: equal branches stand side by side."""
    runs: list[list[Row | BlockGroup]] = []
    for part in parts:
        last = runs[-1][-1] if runs else None
        if (
            isinstance(part, BlockGroup)
            and isinstance(last, BlockGroup)
            and part.form == last.form
            and part.reads(last)
        ):
            runs[-1].append(part)
        else:
            runs.append([part])
    return runs


def _closed(first: BlockGroup, more: Sequence[Row | BlockGroup], level: int) -> Line:
    groups = [first, *(g for g in more if isinstance(g, BlockGroup))]
    joined = BlockGroup(first.path, first.name, tuple(groups))
    last = _last(groups[-1].path)
    number = last[len(last.rstrip("0123456789")) :]
    return Line(
        level, f"{_last(first.path)}..{number or last}", joined.total, first, len(groups), joined.names
    )


def _body(path: str) -> str:
    return path.rpartition(".")[0]


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _form(row: Row) -> tuple[object, ...]:
    return (row.kind, row.settings, row.shape, row.params, row.trainable, row.shared, row.gpu)
