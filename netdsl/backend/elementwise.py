"""`map`, and every copy that is a map of the identity (`concat`, `slice`, `pad`, `transpose`), as runs of tapes.

A device that can run a tape over a space of views has kernels for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from netdsl.backend.axes import elements
from netdsl.backend.tape import Tape, tape
from netdsl.ir import Op
from netdsl.primitives import Concat, Map, Pad, Slice, Transpose
from netdsl.scalar import Arg, Lit
from netdsl.schedule import View


@dataclass(frozen=True)
class Elementwise:
    """A tape that is run over a space, element by element; every view broadcasts to the space."""

    title: str
    tape: Tape
    space: tuple[int, ...]
    reads: tuple[View, ...]
    writes: tuple[View, ...]

    @cached_property
    def used(self) -> dict[int, int]:
        """The operands of the tape that are read, and the number of each among those."""
        return {old: new for new, old in enumerate(self.tape.args())}

    @property
    def views(self) -> tuple[View, ...]:
        """What is read, then what is written."""
        return (*(self.reads[k] for k in self.used), *self.writes)

    @property
    def counters(self) -> list[tuple[int, ...]]:
        """What coordinates and the flat index gain along each axis."""
        return self.tape.counter_strides(self.space)


def elementwise(op: Op, operands: Sequence[View], results: Sequence[View]) -> list[Elementwise]:
    """The runs of one of the primitives of `ELEMENTWISE`; none where all elements are in their places."""
    return ELEMENTWISE[type(op)](op, operands, results)


def _map(op: Map, operands: Sequence[View], results: Sequence[View]) -> list[Elementwise]:
    program = tape(op.exprs, [v.type.dtype for v in operands], [v.type.dtype for v in results])
    return [Elementwise("map", program, results[0].shape, tuple(operands), tuple(results))]


def _concat(op: Concat, operands: Sequence[View], results: Sequence[View]) -> list[Elementwise]:
    """One copy per operand that is not in its place."""
    (result,) = results
    runs, start, ones = [], [0] * len(result.shape), [1] * len(result.shape)
    for source in operands:
        target = result.sliced(start, ones, source.shape)
        if not source.matches(target):
            runs.append(_copy("concat", source, target))
        start[op.axis] += source.shape[op.axis]
    return runs


def _transpose(op: Transpose, operands: Sequence[View], results: Sequence[View]) -> list[Elementwise]:
    """A copy along the result."""
    return [_copy("transpose", operands[0].transposed(op.order), results[0])]


def _slice(op: Slice | Pad, operands: Sequence[View], results: Sequence[View]) -> list[Elementwise]:
    """Zeros where nothing is read, and a copy of the box that is, if it is not in its place."""
    (x,), (y,) = operands, results
    whole, part = (x, y) if isinstance(op, Slice) else (y, x)
    first, box = _box(op, whole.shape, part.shape)
    start = [a + i * d for a, i, d in zip(op.start, first, op.step, strict=True)]
    sides = whole.sliced(start, op.step, box), part.sliced(first, [1] * len(box), box)
    source, target = sides if isinstance(op, Slice) else reversed(sides)
    if elements(box) and source.matches(target):
        at = first if isinstance(op, Slice) else start
        return [_zeros(view) for view in _around(y, at, box)]
    runs = []
    if elements(box) != y.type.size:
        runs.append(_zeros(y))
    if elements(box):
        runs.append(_copy(op.name, source, target))
    return runs


def _around(y: View, first: Sequence[int], box: Sequence[int]) -> Iterator[View]:
    """The rest of a view around a box, as boxes: on each axis before and behind, inside of it on the axes before."""
    ones = [1] * len(box)
    for k in range(len(box)):
        end = first[k] + box[k]
        for a, n in ((0, first[k]), (end, y.shape[k] - end)):
            if n:
                start = [*first[:k], a, *[0] * len(ones[k + 1 :])]
                yield y.sliced(start, ones, [*box[:k], n, *y.shape[k + 1 :]])


def _box(
    op: Slice | Pad, whole: Sequence[int], part: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The first index into the part and the size, per axis, of what lies inside of the whole."""
    into, _ = op.places(whole, part)
    return tuple(int(i[0]) if len(i) else 0 for i in into), tuple(len(i) for i in into)


def _zeros(view: View) -> Elementwise:
    return Elementwise("zeros", tape([Lit(0)], [], [view.type.dtype]), view.shape, (), (view,))


def _copy(title: str, source: View, target: View) -> Elementwise:
    program = tape([Arg(0)], [source.type.dtype], [target.type.dtype])
    return Elementwise(title, program, target.shape, (source,), (target,))


ELEMENTWISE: Mapping[type, Callable[[Any, Sequence[View], Sequence[View]], list[Elementwise]]] = {
    Map: _map,
    Concat: _concat,
    Slice: _slice,
    Pad: _slice,
    Transpose: _transpose,
}
"""The runs of each primitive."""
