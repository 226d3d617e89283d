"""`map` on the CPU: generated vector code, keyed by the expression and the kinds of its operands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from netdsl.cpu import host
from netdsl.cpu.emit import Emitter, Value
from netdsl.cpu.kernel_set import Draft, KernelSet
from netdsl.cpu.library import Kernel
from netdsl.cpu.loops import (
    OUTER,
    Nest,
    NestCode,
    Stream,
    broadcast_strides,
    dense_strides,
    most_parts,
)
from netdsl.cpu.loops_body import BodyCode, Program
from netdsl.cpu.scalar_emit import Tape, tape
from netdsl.cpu.step import Slot
from netdsl.ir import TensorType
from netdsl.primitives import Map
from netdsl.scalar import Expr

UNIT = 8192


def plan_map(
    op: Map, operands: Sequence[TensorType], results: Sequence[TensorType], kernels: KernelSet
) -> list[Draft]:
    """One step that computes all results; a result may be the very buffer of an operand of its type."""
    program = tape(op.exprs, [t.dtype for t in operands], [t.dtype for t in results])
    space = results[0].shape
    outs = [Stream(t.dtype, dense_strides(space), Slot("result", k)) for k, t in enumerate(results)]
    return plan_streams(program, space, operand_streams(operands, space), outs, kernels, "map")


def operand_streams(operands: Sequence[TensorType], space: Sequence[int]) -> list[Stream]:
    """Dense operands as they broadcast into a space."""
    return [
        Stream(t.dtype, broadcast_strides(t.shape, space), Slot("operand", k)) for k, t in enumerate(operands)
    ]


def inputs_of(
    program: Tape, space: Sequence[int], operands: Sequence[Stream]
) -> tuple[list[Stream], tuple[tuple[tuple[str, int], int], ...]]:
    """The streams that a tape reads (operands, coordinates, the flat index), and what each feeds."""
    streams: list[Stream] = []
    feeds: list[tuple[tuple[str, int], int]] = []

    def add(feed: tuple[str, int], stream: Stream) -> None:
        feeds.append((feed, len(streams)))
        streams.append(stream)

    for k in program.args():
        add(("arg", k), operands[k])
    for axis in program.axes():
        add(("index", axis), Stream("index", tuple(int(k == axis) for k in range(len(space)))))
    if program.random():
        add(("flat", 0), Stream("flat", dense_strides(space)))
    return streams, tuple(feeds)


def plan_streams(
    program: Tape,
    space: Sequence[int],
    operands: Sequence[Stream],
    results: Sequence[Stream],
    kernels: KernelSet,
    title: str,
    scratch: int = 0,
) -> list[Draft]:
    """A map between streams of any strides over a space; nothing for an empty space."""
    elements = math.prod(space)
    if elements == 0:
        return []
    streams, feeds = inputs_of(program, space, operands)
    nest = Nest(tuple(space), (*streams, *results), (False,) * len(space)).collapsed()
    wide = all(s.strides[-1] in (0, 1) for s in nest.streams)
    body = Program(program, tuple(s.code for s in nest.streams), feeds, host.lanes() if wide else 1)
    code = MapCode(body, len(results))
    key = kernels.request(f"map {body.key()}", Kernel(code.emit))
    block = _blocks(nest)
    units = -(-nest.rows(False) // block[0]) * -(-nest.columns // block[1])
    args = nest.pack(units, most_parts(elements, program.cost()), *block)
    shape = "x".join(map(str, space))
    return [Draft(f"{title} {shape}", key, args, nest.slots(), scratch)]


def _blocks(nest: Nest) -> tuple[int, int]:
    """(rows, columns) of a unit: about UNIT elements, whole rows where they are not longer."""
    columns = min(nest.columns, UNIT)
    return max(1, min(nest.rows(False), UNIT // columns)), columns


@dataclass(frozen=True)
class MapCode:
    """The code of a map: the last `results` streams are written."""

    program: Program
    results: int

    def emit(self, e: Emitter) -> None:
        """`void(args, part, parts)`: this part's share of the units."""
        nest = NestCode(e, e.args[0], len(self.program.codes))

        def unit(number: Value) -> None:
            first, rows, column, columns = nest.blocks(number)
            bases = nest.moved(nest.bases(), nest.column_strides(), column)
            self._stretch(e, nest, first, rows, columns, bases)

        nest.share(unit)

    def emit_rows(self, e: Emitter) -> None:
        """`void(args, first row, rows)`: the epilogue of a contraction."""
        block, first, rows = e.args
        nest = NestCode(e, block, len(self.program.codes))
        self._stretch(e, nest, first, rows, nest.columns, nest.bases())

    def _stretch(
        self, e: Emitter, nest: NestCode, first: Value, rows: Value, columns: Value, bases: list[Value]
    ) -> None:
        def row(addresses: list[Value], _: list[Value]) -> list[Value]:
            self._row(e, nest, addresses, columns)
            return []

        def stretch(addresses: list[Value], count: Value, _: list[Value]) -> list[Value]:
            nest.rows(OUTER, addresses, count, row)
            return []

        nest.segments(OUTER, first, rows, bases, stretch)

    def _row(self, e: Emitter, nest: NestCode, addresses: list[Value], columns: Value) -> None:
        body = BodyCode(e, self.program)
        codes = self.program.codes[-self.results :]

        def vector(column: Value, _: int, count: Value | None) -> None:
            if self.program.width == 1:
                here = nest.moved(addresses, nest.column_strides(), column)
            else:
                here = body.at_column(addresses, column)
            # All results before the first store: a result may be the buffer of an operand.
            values = body.evaluate(here, count)
            for value, code, address in zip(values, codes, here[-self.results :], strict=True):
                body.write(value, code[:-1], address, count)

        body.sweep(columns, 1, vector)


@dataclass(frozen=True)
class RowKernel:
    """An epilogue: `void(args, first row, rows)` over `[rows, F]`, called after `slots` of `args` are filled.

    Slots name operands as the contraction counts them: operand k + 1 of the epilogue is its operand k + 2.
    """

    kernel: str
    args: NDArray[np.int64]
    slots: dict[int, Slot]


def plan_rows(
    epilogue: Expr, extra: Sequence[TensorType], result: TensorType, kernels: KernelSet
) -> RowKernel:
    """The epilogue of a contraction in place on its result: `x0` is the sum, `x1`.. are the extra operands.

    Rows count over all axes but the last.  Errors: ValueError when the result is not f32.
    """
    if result.dtype != "f32":
        raise ValueError(f"the epilogue of a contraction gives {result}, which must be f32")
    program = tape([epilogue], ["f32", *(t.dtype for t in extra)], ["f32"])
    space = result.shape
    total = Stream("f32", dense_strides(space), Slot("result"))
    others = [replace(s, slot=Slot("operand", k + 2)) for k, s in enumerate(operand_streams(extra, space))]
    streams, feeds = inputs_of(program, space, [total, *others])
    nest = Nest(space, (*streams, total), (False,) * len(space)).collapsed(keep_last=True)
    body = Program(program, tuple(s.code for s in nest.streams), feeds, host.lanes())
    key = kernels.request(f"rows {body.key()}", Kernel(MapCode(body, 1).emit_rows))
    return RowKernel(key, nest.pack(1, 1, nest.rows(False), nest.columns), nest.slots())
