"""One launch for many: launches of one kernel that do not depend on each other run as one, over a table in memory.

An optimiser's update is a launch for each weight, and a large network has hundreds of them.  A row of the table has
the arguments of one of these launches, and a block first looks up whose it is.  What each block computes, and with
which bits, stays as it was.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.step import Parameter, Source

FEWEST = 4
"""Launches below which a table, and another kernel, cost more than they gain."""
MOST_BLOCKS = 1024
"""Blocks of a launch that fills a large GPU by itself, and gains nothing by company."""
_BLOCK = "cuda.blockIdx.x"

Range = tuple[int, int]
"""Bytes of memory, from one address to behind another."""
Table = NDArray[np.int64]
Kind = tuple[Any, str, int, int]


@dataclass(frozen=True)
class LaunchWork:
    """A launch of a card with its arguments as numbers, and the memory that it reads and writes."""

    title: str
    source: Source
    blocks: int
    threads: int
    shared: int
    values: tuple[int | float, ...]
    reads: tuple[Range, ...]
    writes: tuple[Range, ...]
    dead: tuple[Range, ...] = ()
    card: Any = None

    @property
    def kind(self) -> Kind:
        """What launches must have in common to run as one."""
        return self.card, self.source.key, self.threads, self.shared


@dataclass(frozen=True)
class CopyWork:
    """A copy of `size` bytes from one card to another; it runs by itself."""

    title: str
    size: int
    reads: tuple[Range, ...]
    writes: tuple[Range, ...]
    source: int
    target: int
    card: Any
    to: Any
    dead: tuple[Range, ...] = ()
    kind: ClassVar[Kind] = (None, "", 0, 0)


AnyWork = LaunchWork | CopyWork


@dataclass
class WorkGroup:
    """Launches that run as one, and the memory that is dead before it (see `BoundLaunch`)."""

    members: list[AnyWork]
    dead: tuple[Range, ...] = ()


def grouped(works: Sequence[AnyWork]) -> list[WorkGroup]:
    """The launches in an order that gives the same, those that can run as one together.

    A launch joins an earlier one where nothing from there on touches what it writes, or writes what it touches.
    """
    often = Counter(work.kind for work in works if _small(work))
    groups: list[WorkGroup] = []
    open_to: defaultdict[Kind, list[int]] = defaultdict(list)
    read, written = _Marks(), _Marks()
    dead: list[Range] = []
    for work in works:
        dead += work.dead
        for one in work.dead:
            written.add(one, len(groups) - 1)
        last = [written.last(one) for one in (*work.reads, *work.writes)]
        last += [read.last(one) for one in work.writes]
        open_groups = open_to[work.kind] if _small(work) else []
        at = next((k for k in open_groups if k > max(last, default=-1)), len(groups))
        if at == len(groups):
            groups.append(WorkGroup([], tuple(dead)))
            dead.clear()
            if often[work.kind] >= FEWEST:
                open_groups.append(at)
        groups[at].members.append(work)
        for marks, ranges in ((read, work.reads), (written, work.writes)):
            for one in ranges:
                marks.add(one, at)
    return groups


class _Marks:
    """The last place at which each range of memory was touched."""

    def __init__(self) -> None:
        self._count = 0
        self._marks = np.zeros((3, 1024), np.int64)

    def add(self, one: Range, place: int) -> None:
        """Say that a range is touched at a place."""
        if self._count == self._marks.shape[1]:
            self._marks = np.concatenate([self._marks, np.zeros_like(self._marks)], 1)
        self._marks[:, self._count] = *one, place
        self._count += 1

    def last(self, one: Range) -> int:
        """The last place at which any of a range was touched, or -1."""
        starts, ends, places = self._marks[:, : self._count]
        return int(places[(starts < one[1]) & (one[0] < ends)].max(initial=-1))


def _small(work: AnyWork) -> bool:
    """Whether a launch gains by company, and a table can hold its arguments."""
    if isinstance(work, CopyWork):
        return False
    numbers = (p.kind for p in work.source.parameters if p.to is None)
    return work.blocks <= MOST_BLOCKS and "f32" not in numbers


@lru_cache(maxsize=1024)
def together(source: Source) -> Source:
    """The kernel whose blocks look their arguments up: `many` has where each launch begins, then a row for each."""
    head, *body = source.text.splitlines()
    assert head.startswith("def kernel(")
    parameters = (Parameter("many", to="i64"), Parameter("many_rows", "u32"))
    out = Lines()
    with out.kernel(parameters):
        out.write(f"""
            low = uint32(0)
            high = many_rows
            while uint32(high - low) > uint32(1):
                middle = uint32(uint32(low + high) // uint32(2))
                if many[middle] <= int64({_BLOCK}):
                    low = middle
                else:
                    high = middle
            many_block = int32(int64({_BLOCK}) - many[low])
            many_row = int64(many_rows) + int64(low) * int64({len(source.parameters)})
        """)
        for k, p in enumerate(source.parameters):
            word = f"many[many_row + int64({k})]"
            out.add(f"{p.name} = {_KINDS[p.kind] if p.kind else f'pointer_{p.to}'}({word})")
    text = out.text() + "".join(f"{line}\n" for line in body).replace(_BLOCK, "many_block")
    return Source(text, parameters, source.bounds, source.tapes)


_KINDS: dict[str, str] = {"i32": "int32", "i64": "int64", "u32": "uint32"}


def one_launch(members: Sequence[LaunchWork], place: Callable[[Table], int]) -> LaunchWork:
    """The launch that stands for several; `place` gives the address of its table."""
    starts = np.cumsum([0, *(work.blocks for work in members)])
    rows = [np.array(work.values, np.int64) for work in members]
    first = members[0]
    return replace(
        first,
        title=f"{first.title} and {len(members) - 1} more",
        source=together(first.source),
        blocks=int(starts[-1]),
        values=(place(np.concatenate([starts[:-1], *rows])), len(members)),
    )
