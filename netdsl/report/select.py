"""Select the lines of a report: an outline down to a depth, or a search with a sort order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from netdsl.ops.choose import called
from netdsl.report.names import nearest
from netdsl.report.outline import Line, outline, tree
from netdsl.report.summary import Row, Summary

SORTS = ("params", "macs", "flops", "bytes", "moved")
FINDS = ("shape", "op", "name")
_NAME = re.compile(r"[\w.]+(\[[^=]*\])?")


@dataclass(frozen=True)
class Selection:
    """`depth` and `expand` are for outlines; any of `find`, `sort` and `top` makes a flat list of layers."""

    depth: int | None = None
    expand: bool = False
    find: str | None = None
    sort: str | None = None
    top: int | None = None

    def lines(self, summary: Summary) -> list[Line]:
        """The lines, in order.  Raises ValueError for a search or an order that there is not."""
        if self.find is None and self.sort is None and self.top is None:
            return outline(tree(summary), self.depth, collapse=not self.expand)
        fits = matcher(self.find) if self.find is not None else None
        rows = [r for r in summary.rows if fits is None or fits(r)]
        if not rows and self.find is not None and _NAME.fullmatch(self.find):
            hint = nearest(
                summary.graph, self.find, (name for r in summary.rows for name in (*r.names, *r.part_of))
            )
            raise ValueError(f"nothing in the network is called {self.find}; {hint}")
        if self.sort is not None:
            if self.sort not in SORTS:
                raise ValueError(f"cannot sort by {self.sort}: there are {', '.join(SORTS)}")
            rows.sort(key=lambda r: -int(getattr(r, str(self.sort))))
        return [Line(0, r.name, r, names=r.names) for r in rows[: self.top]]


def matcher(find: str) -> Callable[[Row], bool]:
    """The test of `shape=14x14`, `op=conv`, `name=*.conv1` or just a name; words and names may hold `*` and `?`.

    A shape is the whole of it, or its spatial part.  A name is that of a layer, of a block that it is in, or one that
    the text gives to what it was made for.
    """
    if _NAME.fullmatch(find):
        find = f"name={find}"
    key, equals, value = find.partition("=")
    if not equals or key not in FINDS:
        raise ValueError(f"cannot find {find!r}: write shape=14x14, op=conv, name=*.conv1 or a name")
    if key == "op":
        return lambda row: fnmatchcase(row.kind, value)
    if key == "name":
        return lambda row: any(called(name, value) for name in (*_paths(row.name), *row.part_of))
    wanted = _sizes(value)
    return lambda row: wanted in (row.shape, row.shape[:-1])


def _paths(name: str) -> list[str]:
    """A layer and the blocks that it is in."""
    parts = name.split(".")
    return [".".join(parts[:k]) for k in range(len(parts), 0, -1)]


def _sizes(text: str) -> Sequence[int]:
    if not re.fullmatch(r"\[?\d{1,18}([x, ]+\d{1,18})*\]?", text):
        raise ValueError(f"cannot find the shape {text!r}: write it as 14x14 or 14x14x256")
    return tuple(map(int, re.findall(r"\d+", text)))
