"""`map` on the CPU, and every copy that is a map of the identity: `concat`, `slice`, `pad`, `transpose`.

One kernel per expression, number of axes and kind of operand along the innermost one (contiguous or repeated);
sizes and strides are data.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

from llvmlite import ir

from netdsl.backend.arguments import Block
from netdsl.backend.step import Slot
from netdsl.cpu.codegen.emit import I8, I32, I64, Emitter, Value
from netdsl.cpu.codegen.library import Kernel
from netdsl.cpu.codegen.nest import Axis, axes_of, elements, nest_arguments, nest_layout, share
from netdsl.cpu.codegen.scalar import ELEMENT, Printer, Tape, tape
from netdsl.cpu.step import Generated, Step
from netdsl.ir.types import ITEM_SIZE
from netdsl.primitives import Concat, Map, Pad, Slice, Transpose
from netdsl.scalar import Arg, Lit
from netdsl.scalar.operators import Dtype
from netdsl.schedule import View, dense_strides

SMALL = 16_384  # elements times work below which one thread does a map alone


class MapBlock(Block):
    """Before the nest: whether one part does it all."""

    small: bool


def plan_map(op: Map, operands: Sequence[View], results: Sequence[View]) -> list[Step]:
    """The step of a map."""
    program = tape(op.exprs, [v.type.dtype for v in operands], [v.type.dtype for v in results])
    return [plan_tape("map", program, results[0].shape, operands, results)]


def plan_concat(op: Concat, operands: Sequence[View], results: Sequence[View]) -> list[Step]:
    """One copy per operand that is not in its place."""
    (result,) = results
    steps, start, ones = [], [0] * len(result.shape), [1] * len(result.shape)
    for source in operands:
        target = result.sliced(start, ones, source.shape)
        if not source.matches(target):
            steps.append(copy("concat", source, target))
        start[op.axis] += source.shape[op.axis]
    return steps


def plan_transpose(op: Transpose, operands: Sequence[View], results: Sequence[View]) -> list[Step]:
    """A copy along the result."""
    return [copy("transpose", operands[0].transposed(op.order), results[0])]


def plan_slice(op: Slice | Pad, operands: Sequence[View], results: Sequence[View]) -> list[Step]:
    """Zeros where nothing is read, and a copy of the box that is, if it is not in its place."""
    (x,), (y,) = operands, results
    whole, part = (x, y) if isinstance(op, Slice) else (y, x)
    first, box = _box(op, whole.shape, part.shape)
    zero = tape([Lit(0)], [], [y.type.dtype])
    start = [a + i * d for a, i, d in zip(op.start, first, op.step, strict=True)]
    sides = whole.sliced(start, op.step, box), part.sliced(first, [1] * len(box), box)
    source, target = sides if isinstance(op, Slice) else reversed(sides)
    if elements(box) and source.matches(target):
        at = first if isinstance(op, Slice) else start
        return [plan_tape("zeros", zero, view.shape, [], [view]) for view in _around(y, at, box)]
    steps = []
    if elements(box) != y.type.size:
        steps.append(plan_tape("zeros", zero, y.shape, [], [y]))
    if elements(box):
        steps.append(copy(op.name, source, target))
    return steps


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


def copy(title: str, source: View, target: View) -> Step:
    """The step that copies one box of elements."""
    program = tape([Arg(0)], [source.type.dtype], [target.type.dtype])
    return plan_tape(title, program, target.shape, [source], [target])


def plan_tape(
    title: str, program: Tape, space: Sequence[int], reads: Sequence[View], writes: Sequence[View]
) -> Step:
    """The step that runs a tape over a space."""
    used = {old: new for new, old in enumerate(program.args())}
    reads = [reads[k] for k in used]
    counters = _counters(program, space)
    views = (*reads, *writes)
    every = [*(v.over(space) for v in views), *counters]
    axes = axes_of(space, every)
    if any(s not in (0, v.item) for v, s in zip(views, axes[-1].strides, strict=False)):
        axes = [*axes, Axis(1, False, (0,) * len(every))]
    kinds = "".join("v" if s else "s" for s in axes[-1].strides[: len(reads)])
    dtypes = [v.type.dtype for v in views]
    key = f"map-{program.key()}-{len(axes)}-{kinds}-{','.join(dtypes)}"
    emit = functools.partial(_emit, program, used, len(axes), kinds, tuple(dtypes), len(reads))
    block = nest_arguments(MapBlock, axes, [Slot(view, k >= len(reads)) for k, view in enumerate(views)])
    block.fill(small=elements(space) * (1 + program.work()) < SMALL)
    name = f"{title} {'x'.join(map(str, space)) or 'scalar'}"
    return Step(name, Generated("map", key, Kernel(emit)), block)


def _counters(program: Tape, space: Sequence[int]) -> list[tuple[int, ...]]:
    """What coordinates and the flat index gain along each axis."""
    counters = [tuple(int(k == axis) for k in range(len(space))) for axis in program.axes()]
    return [*counters, dense_strides(space, 1)] if program.random() else counters


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
    counters = [("index", a) for a in program.axes()] + ([("flat", 0)] if program.random() else [])
    streams = Streams(e, MapBlock, dims, len(dtypes), len(counters))
    args, part, parts, workspace = e.args
    single = streams.block.small
    e.args = (
        args,
        part,
        e.b.select(single, e.i64(1), parts),
        workspace,
    )
    with e.when(e.b.or_(e.b.not_(single), e.b.icmp_signed("==", part, e.i64(0)))):
        grain = 64 if dims == 1 else 1
        first, last = share(e, streams.sizes[0], grain)
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

        results = Printer(e, e.lanes, leaf).print(self.program)
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
