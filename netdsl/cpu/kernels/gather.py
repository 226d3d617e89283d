"""`gather` and `scatter_add` on the CPU: rows that are copied, or added in the order of the index."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from llvmlite import ir

from netdsl.backend.arguments import Address, Arguments, Block
from netdsl.backend.axes import elements
from netdsl.backend.step import Slot
from netdsl.cpu.codegen.library import Kernel
from netdsl.cpu.codegen.nest import share
from netdsl.cpu.kernels.map import load_elements, store_elements
from netdsl.cpu.step import Generated, Step
from netdsl.ir.types import ITEM_SIZE
from netdsl.native.emit import I1, I64, Emitter, Fields, Value
from netdsl.native.scalar import ELEMENT
from netdsl.primitives import Gather, ScatterAdd
from netdsl.scalar.operators import Dtype
from netdsl.schedule import View

CHUNK = 4  # vectors of columns that one part of a scatter_add owns


class GatherBlock(Block):
    """One side has `size` rows per outer index, the other `count`, of `columns` elements."""

    x: Address
    index: Address
    out: Address
    outer: int
    size: int
    count: int
    columns: int


def plan_gather(op: Gather | ScatterAdd, operands: Sequence[View], results: Sequence[View]) -> list[Step]:
    """One step."""
    (x, index), (y,) = operands, results
    taking = isinstance(op, Gather)
    size = x.shape[op.axis] if taking else y.shape[op.axis]
    rest = x.shape[op.axis + (1 if taking else index.type.rank) :]
    block = Arguments(GatherBlock, x=Slot(x), index=Slot(index), out=Slot(y, written=True))
    block.fill(outer=elements(x.shape[: op.axis]), size=size, count=index.type.size, columns=elements(rest))
    kernel = Kernel(functools.partial(_take, x.type.dtype) if taking else _scatter_add)
    title = f"{op.name} {index.type.size} of {size} x {elements(rest)}"
    return [Step(title, Generated(op.name, f"{op.name}-{x.type.dtype}", kernel), block)]


def _vectors(e: Emitter, first: Value, last: Value, body: Callable[[Value, Value | None], None]) -> None:
    """`body(column, count)` for vectors of columns from first to last; count None for whole ones."""
    whole = e.add(first, e.mul(e.b.sdiv(e.sub(last, first), e.i64(e.lanes)), e.lanes))
    with e.loop(first, whole, e.lanes) as loop:
        body(loop.index, None)
    with e.when(e.less(whole, last)):
        body(whole, e.sub(last, whole))


def _row_of(e: Emitter, block: Fields, place: Value, size: Value) -> tuple[Value, Value]:
    """The index at a place, and whether it is one of `size` rows."""
    index = e.load(I64, e.add(block.index, e.mul(place, 8)))
    # Unsigned: a negative index is a large one.
    return index, e.b.icmp_unsigned("<", index, size)


def _take(dtype: Dtype, e: Emitter) -> None:
    """Units are rows of the result."""
    block = e.fields(e.args[0], GatherBlock)
    size, count, columns = block.size, block.count, block.columns
    item, row = ITEM_SIZE[dtype], e.mul(columns, ITEM_SIZE[dtype])
    zero = ir.Constant(ir.VectorType(I1 if dtype == "bool" else ELEMENT[dtype], e.lanes), None)
    first, last = share(e, e.mul(block.outer, count), 16)
    with e.loop(first, last) as unit:
        outer = e.b.sdiv(unit.index, count)
        index, inside = _row_of(e, block, e.sub(unit.index, e.mul(outer, count)), size)
        source = e.add(block.x, e.mul(e.add(e.mul(outer, size), index), row))
        target = e.add(block.out, e.mul(unit.index, row))

        def copied(column: Value, n: Value | None) -> None:
            at = e.mul(column, item)
            store_elements(e, dtype, load_elements(e, dtype, e.add(source, at), n), e.add(target, at), n)

        def missing(column: Value, n: Value | None) -> None:
            store_elements(e, dtype, zero, e.add(target, e.mul(column, item)), n)

        with e.b.if_else(inside) as (yes, no):
            with yes:
                _vectors(e, e.i64(0), columns, copied)
            with no:
                _vectors(e, e.i64(0), columns, missing)


def _scatter_add(e: Emitter) -> None:
    """Units are a few vectors of columns of an outer index: each adds its own sums, in order."""
    block = e.fields(e.args[0], GatherBlock)
    size, count, columns = block.size, block.count, block.columns
    row, chunk = e.mul(columns, 4), e.i64(CHUNK * e.lanes)
    chunks = e.b.sdiv(e.add(columns, e.sub(chunk, 1)), chunk)
    begin, end = share(e, e.mul(block.outer, chunks))
    with e.loop(begin, end) as unit:
        outer = e.b.sdiv(unit.index, chunks)
        first = e.mul(e.sub(unit.index, e.mul(outer, chunks)), chunk)
        last = e.min_int(e.add(first, chunk), columns)
        target = e.add(block.out, e.mul(e.mul(outer, size), row))
        source = e.add(block.x, e.mul(e.mul(outer, count), row))

        def at(base: Value, place: Value, column: Value) -> Value:
            return e.add(base, e.add(e.mul(place, row), e.mul(column, 4)))

        with e.loop(0, size) as place:
            zero = e.constant(e.f32s, 0.0)
            _vectors(e, first, last, lambda c, n: _put(e, zero, at(target, place.index, c), n))
        with e.loop(0, count) as place:
            index, inside = _row_of(e, block, place.index, size)
            with e.when(inside):
                _vectors(
                    e, first, last, lambda c, n: _add(e, at(source, place.index, c), at(target, index, c), n)
                )


def _add(e: Emitter, source: Value, target: Value, count: Value | None) -> None:
    total = e.b.fadd(load_elements(e, "f32", target, count), load_elements(e, "f32", source, count))
    _put(e, total, target, count)


def _put(e: Emitter, value: Value, target: Value, count: Value | None) -> None:
    store_elements(e, "f32", value, target, count)
