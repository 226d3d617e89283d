"""Views: the place of a value as a box of elements in a buffer, which may hold other values too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Literal

from netdsl.ir import Node, TensorType
from netdsl.ir.types import ITEM_SIZE


class Layout(IntEnum):
    """The layout of a view's elements, from dense to general: a kernel that takes one also takes those before it."""

    DENSE = 0
    """Row-major, without a gap."""
    ROWS = 1
    """The last axis without a gap, and all of its rows equally far apart."""
    STRIDED = 2
    """Any distance between the elements along each axis."""


@dataclass(frozen=True)
class View:
    """Elements of a type in buffer number `buffer`: the first at byte `offset`, the others `strides` bytes on."""

    buffer: int
    type: TensorType
    strides: tuple[int, ...]
    offset: int = 0

    @staticmethod
    def dense(buffer: int, t: TensorType, offset: int = 0) -> View:
        """A view without gaps."""
        view = View(buffer, t, dense_strides(t.shape, ITEM_SIZE[t.dtype]), offset)
        vars(view)["layout"] = Layout.DENSE  # need not be found out
        return view

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""
        return self.type.shape

    @property
    def item(self) -> int:
        """Bytes of an element."""
        return ITEM_SIZE[self.type.dtype]

    @cached_property
    def layout(self) -> Layout:
        """The layout of the elements."""
        if not self.type.size or _merged(self.shape, self.strides) in ([], [(self.type.size, self.item)]):
            return Layout.DENSE
        rows = _merged(self.shape[:-1], self.strides[:-1])
        across = self.shape[-1] == 1 or self.strides[-1] == self.item
        return Layout.ROWS if across and len(rows) <= 1 else Layout.STRIDED

    @property
    def pitch(self) -> int:
        """Bytes from a row along the last axis to the next one; only for rows that are equally far apart."""
        if self.layout is Layout.STRIDED:
            raise ValueError(f"the rows of {self} are not equally far apart")
        rows = _merged(self.shape[:-1], self.strides[:-1])
        row = self.shape[-1] * self.item if self.shape else self.item
        return rows[0][1] if rows and self.type.size else row

    def matches(self, other: View) -> bool:
        """Whether the same elements lie at the same places."""
        if (self.buffer, self.type, self.offset) != (other.buffer, other.type, other.offset):
            return False
        sides = zip(self.shape, self.strides, other.strides, strict=True)
        return all(n == 1 or a == b for n, a, b in sides)

    def hull(self) -> View:
        """All bytes from the first to the last one, those of the gaps too."""
        size = self._end - self._begin if self.type.size else 0
        return View.dense(self.buffer, TensorType((size,), "bool"), self._begin)

    def over(self, space: Sequence[int]) -> tuple[int, ...]:
        """Strides over a space that the view broadcasts to: 0 where it is repeated."""
        lead = len(space) - len(self.shape)
        return (0,) * lead + tuple(0 if n == 1 else s for n, s in zip(self.shape, self.strides, strict=True))

    def sliced(self, start: Sequence[int], step: Sequence[int], shape: Sequence[int]) -> View:
        """The elements `start + i*step` of each axis; ValueError where these leave the view."""
        for a, d, n, m in zip(start, step, shape, self.shape, strict=True):
            if n and not (0 <= a < m and 0 <= a + (n - 1) * d < m):
                raise ValueError(f"{self} has no elements {a} to {a + (n - 1) * d}")
        inside = all(shape)
        offset = sum(a * s for a, s in zip(start, self.strides, strict=True)) if inside else 0
        strides = tuple(d * s for d, s in zip(step, self.strides, strict=True))
        return View(self.buffer, TensorType(tuple(shape), self.type.dtype), strides, self.offset + offset)

    def transposed(self, order: Sequence[int]) -> View:
        """The axes in another order."""
        shape, strides = (tuple(values[a] for a in order) for values in (self.shape, self.strides))
        return replace(self, type=TensorType(shape, self.type.dtype), strides=strides)

    def reshaped(self, shape: Sequence[int]) -> View | None:
        """The elements in row-major order under another shape; None where this needs a copy."""
        t = TensorType(tuple(shape), self.type.dtype)
        if self.layout is Layout.DENSE:
            return View.dense(self.buffer, t, self.offset)
        pieces = _merged(self.shape, self.strides)
        left, step = 1, self.item
        strides: list[int] = []
        for n in reversed(t.shape):
            if n > 1 and left == 1:
                left, step = pieces.pop()
            if left % n:
                return None
            strides.append(step)
            left, step = left // n, step * n
        return replace(self, type=t, strides=tuple(reversed(strides)))

    def holds(self, first: int, length: int, over: Sequence[tuple[int, int]] = ()) -> bool:
        """Whether all elements are the view's of pieces of `length` bytes, the first at byte `first` of the buffer.

        `over` are (count, stride) of how these are repeated. True is certain; False may be said of pieces that
        cross from row to row.
        """
        if length <= 0:
            return True
        back = reach = 0  # loops, not sums: a plan has thousands of these
        for count, stride in over:
            if not count:
                return True
            if stride < 0:
                back -= (count - 1) * stride
            else:
                reach += (count - 1) * stride
        if self.layout is Layout.DENSE:
            at = first - self.offset
            return back <= at and at + reach + length <= self.type.nbytes
        at = first - self._begin - back
        if at < 0:
            return False
        levels = self._levels
        strides = [s for s, _ in levels]
        last = _digits(at, strides)
        for count, stride in over:
            last = [a + (count - 1) * b for a, b in zip(last, _digits(abs(stride), strides), strict=True)]
        last[-1] += length - 1
        return all(a < count for a, (_, count) in zip(last, levels, strict=True))

    def inside(self, other: View) -> bool:
        """Whether all elements are elements of another view of the same buffer."""
        if self.buffer != other.buffer:
            return False
        if self.layout is Layout.DENSE:
            return other.holds(self.offset, self.type.nbytes)
        *axes, (_, run) = self._levels
        return other.holds(self._begin, run, [(n, s) for s, n in axes])

    def overlaps(self, other: View) -> bool:
        """Whether two views share a byte; False is certain."""
        if self.buffer != other.buffer or not (self.type.size and other.type.size):
            return False
        if self._end <= other._begin or other._end <= self._begin:
            return False
        strides = sorted({s for v in (self, other) for s, _ in v._levels}, reverse=True)
        ours, theirs = self._ranges(strides), other._ranges(strides)
        if ours is None or theirs is None:
            return True
        return all(a[0] <= b[1] and b[0] <= a[1] for a, b in zip(ours, theirs, strict=True))

    @cached_property
    def _levels(self) -> list[tuple[int, int]]:
        """(stride, count) of how the bytes are found, the longest stride first and single bytes last."""
        axes = sorted(zip(map(abs, self.strides), self.shape, strict=True), reverse=True)
        merged = _merged([n for _, n in axes] + [self.item], [s for s, _ in axes] + [1])
        return [(s, n) for n, s in merged if s > 1] + [(1, next((n for n, s in merged if s == 1), 1))]

    @cached_property
    def _begin(self) -> int:
        """The first byte."""
        return self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True) if s < 0)

    @cached_property
    def _end(self) -> int:
        """One past the last byte."""
        return self._begin + 1 + sum((n - 1) * s for s, n in self._levels)

    def _ranges(self, strides: Sequence[int]) -> list[tuple[int, int]] | None:
        """The first and the last digit of the bytes by strides; None where digits carry and say nothing."""
        first = _digits(self._begin, strides)
        counts = dict(self._levels)
        last = [a + counts.get(s, 1) - 1 for a, s in zip(first, strides, strict=True)]
        rest = 0
        for k in reversed(range(1, len(strides))):
            rest += last[k] * strides[k]
            if rest >= strides[k - 1]:
                return None
        return list(zip(first, last, strict=True))


Side = Literal["operand", "result"]
Accepts = Callable[[Node, Side, int, View], bool]
"""Whether the kernel of a node takes a view as operand, or as result, of that number: what a target can do."""


def takes_dense(node: Node, side: Side, index: int, view: View) -> bool:
    """A target whose kernels need dense views."""
    return view.layout is Layout.DENSE


def dense_strides(shape: Sequence[int], item: int) -> tuple[int, ...]:
    """Strides of a row-major array without gaps, in bytes for elements of `item` bytes."""
    strides, step = [], item
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def _merged(shape: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """(size, stride) of the axes longer than 1, merged where one goes on where the next ends."""
    found: list[tuple[int, int]] = []
    for n, s in zip(shape, strides, strict=True):
        if n == 1:
            continue
        if found and found[-1][1] == n * s:
            found[-1] = (found[-1][0] * n, s)
        else:
            found.append((n, s))
    return found


def _digits(number: int, strides: Sequence[int]) -> list[int]:
    """A sum of multiples of strides, the longest first, that comes to a number; the last stride is 1."""
    found = []
    for s in strides:
        found.append(number // s)
        number %= s
    return found
