"""Tapes over a space on the CPU: `map`, and the copies of `concat`, `slice`, `pad` and `transpose`.

One kernel per expression, number of axes and kind of operand along the innermost one (contiguous or repeated);
sizes and strides are data.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from llvmlite import ir

from netdsl.backend.arguments import Block
from netdsl.backend.axes import Axis, axes_of
from netdsl.backend.elementwise import Elementwise, elementwise
from netdsl.backend.step import Slot
from netdsl.backend.tape import Tape
from netdsl.cpu.codegen.library import Kernel
from netdsl.cpu.codegen.nest import nest_arguments, nest_layout, share
from netdsl.cpu.codegen.scalar_math import ElementaryFunctions
from netdsl.cpu.step import Generated, Step
from netdsl.ir import Op
from netdsl.ir.types import ITEM_SIZE
from netdsl.native.emit import I8, I32, I64, Emitter, Value
from netdsl.native.scalar import ELEMENT, Printer
from netdsl.scalar.operators import Dtype
from netdsl.schedule import View

#: Elements of a single axis that are not cut further.
GRAIN = 64


def plan_elementwise(op: Op, operands: Sequence[View], results: Sequence[View]) -> list[Step]:
    """A step for each run."""
    return [_step(run) for run in elementwise(op, operands, results)]


def _step(run: Elementwise) -> Step:
    """The step of a run."""
    program, space, views = run.tape, run.space, run.views
    used, counters = run.used, run.counters
    every = [*(v.over(space) for v in views), *counters]
    axes = axes_of(space, every)
    if any(s not in (0, v.item) for v, s in zip(views, axes[-1].strides, strict=False)):
        axes = [*axes, Axis(1, False, (0,) * len(every))]
    reads = len(used)
    kinds = "".join("v" if s else "s" for s in axes[-1].strides[:reads])
    dtypes = [v.type.dtype for v in views]
    key = f"map-{program.key}-{len(axes)}-{kinds}-{','.join(dtypes)}"
    emit = functools.partial(_emit, program, used, len(axes), kinds, tuple(dtypes), reads)
    block = nest_arguments(Block, axes, [Slot(view, k >= reads) for k, view in enumerate(views)])
    name = f"{run.title} {'x'.join(map(str, space)) or 'scalar'}"
    return Step(name, Generated("map", key, Kernel(emit)), block, units=-(-axes[0].size // _grain(len(axes))))


def _grain(dims: int) -> int:
    return GRAIN if dims == 1 else 1


class Streams:
    """The run-time strides of a nest, read from the argument block."""

    def __init__(self, e: Emitter, header: type[Block], dims: int, tensors: int, counters: int) -> None:
        self.block = e.fields(e.args[0], nest_layout(header, dims, tensors, counters))
        count = tensors + counters
        self.sizes = list(self.block.sizes)
        self.starts = [getattr(self.block, f"start{s}") for s in range(count)]
        self.strides = [list(getattr(self.block, f"strides{s}")) for s in range(count)]


def _emit(
    program: Tape,
    used: dict[int, int],
    dims: int,
    kinds: str,
    dtypes: tuple[Dtype, ...],
    reads: int,
    e: Emitter,
) -> None:
    """The nest: outer loops move all streams, the innermost one runs over vectors."""
    counters = program.counters()
    streams = Streams(e, Block, dims, len(dtypes), len(counters))
    first, last = share(e, streams.sizes[0], _grain(dims))
    inner = _Inner(e, program, used, kinds, dtypes, reads, counters, [s[-1] for s in streams.strides])
    _outer(e, streams, 0, dims, first, last, streams.starts, inner)


def _outer(
    e: Emitter,
    streams: Streams,
    k: int,
    dims: int,
    first: Value,
    last: Value,
    at: Sequence[Value],
    inner: _Inner,
) -> None:
    if k == dims - 1:
        inner.run(at, first, last)
        return
    with e.loop(first, last) as loop:
        moved = [e.add(a, e.mul(loop.index, s[k])) for a, s in zip(at, streams.strides, strict=True)]
        _outer(e, streams, k + 1, dims, e.i64(0), streams.sizes[k + 1], moved, inner)


class _Inner:
    """The innermost loop."""

    def __init__(
        self,
        e: Emitter,
        program: Tape,
        used: dict[int, int],
        kinds: str,
        dtypes: Sequence[Dtype],
        reads: int,
        counters: Sequence[tuple[str, int]],
        steps: Sequence[Value],
    ) -> None:
        self.e, self.program, self.used, self.kinds = e, program, used, kinds
        self.dtypes, self.reads, self.counters, self.steps = dtypes, reads, counters, steps

    def run(self, at: Sequence[Value], first: Value, last: Value) -> None:
        """Elements first to last of the innermost axis; `at` are the starts of the streams."""
        e, lanes = self.e, self.e.lanes
        once = {k: splat_element(e, self.dtypes[k], at[k]) for k in range(self.reads) if self.kinds[k] == "s"}
        whole = e.add(first, e.mul(e.b.sdiv(e.sub(last, first), e.i64(lanes)), lanes))
        with e.loop(first, whole, lanes) as loop:
            self._vector(at, loop.index, once, None)
        with e.when(e.less(whole, last)):
            self._vector(at, whole, once, e.sub(last, whole))

    def _vector(self, at: Sequence[Value], index: Value, once: dict[int, Value], count: Value | None) -> None:
        e = self.e

        def leaf(kind: str, number: int) -> Value:
            if kind == "arg":
                k = self.used[number]
                if k in once:
                    return once[k]
                return load_elements(
                    e, self.dtypes[k], e.add(at[k], e.mul(index, ITEM_SIZE[self.dtypes[k]])), count
                )
            stream = len(self.dtypes) + self.counters.index((kind, number))
            step = self.steps[stream]
            return ramp(e, e.add(at[stream], e.mul(index, step)), step, wide=kind == "index")

        results = Printer(ElementaryFunctions(e), e.lanes, leaf).print(self.program)
        for k, value in enumerate(results):
            stream = self.reads + k
            dtype = self.dtypes[stream]
            store_elements(e, dtype, value, e.add(at[stream], e.mul(index, ITEM_SIZE[dtype])), count)


def splat_element(e: Emitter, dtype: Dtype, address: Value) -> Value:
    """One element in every lane."""
    value = e.load(I8 if dtype == "bool" else ELEMENT[dtype], address)
    if dtype == "bool":
        value = e.b.icmp_signed("!=", value, ir.Constant(I8, 0))
    return e.splat(value)


def load_elements(e: Emitter, dtype: Dtype, address: Value, count: Value | None) -> Value:
    """A vector of elements; with `count` only the first ones."""
    kind = ir.VectorType(I8 if dtype == "bool" else ELEMENT[dtype], e.lanes)
    value = e.load(kind, address) if count is None else e.load_part(kind, address, count)
    return e.b.icmp_signed("!=", value, ir.Constant(kind, None)) if dtype == "bool" else value


def store_elements(e: Emitter, dtype: Dtype, value: Value, address: Value, count: Value | None) -> None:
    """Store a vector of elements; with `count` only the first ones."""
    if dtype == "bool":
        value = e.b.zext(value, ir.VectorType(I8, e.lanes))
    if count is None:
        e.store(value, address)
    else:
        e.store_part(value, address, count)


def ramp(e: Emitter, start: Value, step: Value, wide: bool) -> Value:
    """`start + k * step` for lane k, as i64 or, modulo 2^32, as i32."""
    element = I64 if wide else I32
    kind = ir.VectorType(element, e.lanes)
    if not wide:
        start, step = (e.b.trunc(v, I32) for v in (start, step))
    lanes = ir.Constant(kind, [ir.Constant(element, k) for k in range(e.lanes)])
    return e.b.add(e.splat(start), e.b.mul(lanes, e.splat(step)))
