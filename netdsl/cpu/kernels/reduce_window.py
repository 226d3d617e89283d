"""`reduce_window` and `reduce_window_grad` on the CPU, vectorised over the channels."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netdsl.backend.arguments import Address, Arguments, Block, Three
from netdsl.backend.step import Slot
from netdsl.cpu.codegen.channels import channel_blocks, load, store
from netdsl.cpu.codegen.library import Kernel
from netdsl.cpu.codegen.nest import share
from netdsl.cpu.step import Generated, Step
from netdsl.native.emit import Emitter, Value
from netdsl.primitives import ReduceWindow, ReduceWindowGrad
from netdsl.schedule import View

#: Cells of a window at most whose loops are written out.
WRITTEN_OUT = 9


class WindowBlock(Block):
    """Sizes of three spatial axes, leading ones of size 1; the pitches are the bytes from pixel to pixel.

    `whole` says that all windows lie inside of the input, `gaps` that there may be cells which are in no window.
    """

    x: Address = 0
    y: Address = 0
    g: Address = 0
    out: Address
    n: int
    c: int
    size: Three
    count: Three
    window: Three
    stride: Three
    lo: Three
    hi: Three
    dilation: Three
    whole: bool
    gaps: bool
    x_pitch: int = 0
    y_pitch: int = 0
    g_pitch: int = 0
    out_pitch: int


def plan_window(
    op: ReduceWindow | ReduceWindowGrad, operands: Sequence[View], results: Sequence[View]
) -> list[Step]:
    """One step."""
    forward = isinstance(op, ReduceWindow)
    x, y = (operands[0].shape, results[0].shape) if forward else (results[0].shape, operands[-1].shape)
    lead = 3 - len(op.size)
    ones = (1,) * lead
    pads = [(0, 0)] * lead + list(op.pad)
    block = Arguments(WindowBlock, n=x[0], c=x[-1], size=(*ones, *x[1:-1]), count=(*ones, *y[1:-1]))
    block.fill(window=(*ones, *op.size), stride=(*ones, *op.stride), dilation=(*ones, *op.dilation))
    block.fill(lo=[lo for lo, _ in pads], hi=[hi for _, hi in pads])
    slots = {name: Slot(view) for name, view in zip(_reads(op), operands, strict=True)}
    for name, slot in {**slots, "out": Slot(results[0], written=True)}.items():
        block.fill(**{name: slot, f"{name}_pitch": slot.view.pitch})
    form = _form(op)
    axes = zip(x[1:-1], y[1:-1], op.size, op.stride, op.pad, strict=True)
    gaps = any(w != s or w * count != size or any(pad) for size, count, w, s, pad in axes)
    block.fill(whole=form.window is not None, gaps=gaps)
    key = f"{op.name}-{op.kind}-{form.key}"
    kernel = Kernel(lambda e: _Emit(form, e).forward() if forward else _Emit(form, e).backward())
    title = f"{op.name} {op.kind} {'x'.join(map(str, op.size))} @ {'x'.join(map(str, y[1:]))}"
    return [Step(title, Generated(op.name, key, kernel), block)]


def _reads(op: ReduceWindow | ReduceWindowGrad) -> str:
    """The fields of the operands, a letter each."""
    if isinstance(op, ReduceWindow):
        return "x"
    return "g" if op.kind == "avg" else "xyg"


@dataclass(frozen=True)
class _Form:
    """What the code of a kernel depends on.

    `window` has the sizes of windows that are small and lie inside of the input, so that their loops are written out.
    Windows that are `apart` have no cell in common.
    """

    kind: str
    include_pad: bool
    dilated: bool
    apart: bool
    window: tuple[int, ...] | None

    @property
    def key(self) -> str:
        sizes = "x".join(map(str, self.window)) if self.window else "any"
        return f"{self.include_pad:d}-{self.dilated:d}-{self.apart:d}-{sizes}"


def _form(op: ReduceWindow | ReduceWindowGrad) -> _Form:
    include, dilated = op.include_pad or op.kind == "max", any(d != 1 for d in op.dilation)
    inside = not (dilated or any(map(any, op.pad)) or any(op.overhang))
    window = (1,) * (3 - len(op.size)) + op.size if inside and math.prod(op.size) <= WRITTEN_OUT else None
    extents = [(n - 1) * d + 1 for n, d in zip(op.size, op.dilation, strict=True)]
    apart = all(extent <= stride for extent, stride in zip(extents, op.stride, strict=True))
    return _Form(op.kind, include, dilated, apart, window)


def larger(e: Emitter, total: Value, value: Value) -> Value:
    """The larger one, and NaN once there was one."""
    found = e.b.select(e.b.fcmp_ordered(">", total, value), total, value)
    return e.b.select(e.b.fcmp_unordered("uno", total, total), total, found)


class _Emit:
    def __init__(self, form: _Form, e: Emitter) -> None:
        self.form, self.kind, self.include_pad, self.e = form, form.kind, form.include_pad, e
        dilated = form.dilated
        self.block = block = e.fields(e.args[0], WindowBlock)
        self.n, self.c = block.n, block.c
        self.size, self.count, self.window = list(block.size), list(block.count), list(block.window)
        self.stride, self.lo, self.hi = list(block.stride), list(block.lo), list(block.hi)
        self.dilated = dilated
        self.dilation = list(block.dilation) if dilated else [e.i64(1)] * 3
        # A tensor that is not there has no pitch either.
        self.x_pitch, self.y_pitch = block.x_pitch, block.y_pitch
        self.g_pitch, self.out_pitch = block.g_pitch, block.out_pitch

    def forward(self) -> None:
        """Units are rows of windows."""
        e = self.e
        rows = e.mul(e.mul(self.n, self.count[0]), self.count[1])
        first, last = share(e, rows)
        out = self.block.out
        with e.loop(first, last) as unit:
            plane = e.b.sdiv(unit.index, self.count[1])
            oh = e.sub(unit.index, e.mul(plane, self.count[1]))
            image = e.b.sdiv(plane, self.count[0])
            od = e.sub(plane, e.mul(image, self.count[0]))
            source = e.add(self.block.x, e.mul(image, self._image(self.x_pitch)))
            with e.loop(0, self.count[2]) as loop:
                spans = [self._span(k, o) for k, o in enumerate((od, oh, loop.index))]
                place = e.add(e.mul(unit.index, self.count[2]), loop.index)
                target = e.add(out, e.mul(place, self.out_pitch))
                share_ = self._share((od, oh, loop.index), spans)
                self._channels(functools.partial(self._reduce, source, target, spans, share_))

    def _image(self, pitch: Value) -> Value:
        e = self.e
        return e.mul(e.mul(e.mul(self.size[0], self.size[1]), self.size[2]), pitch)

    def _span(self, axis: int, o: Value) -> tuple[Value, Value]:
        """First and one past the last input index of window `o`, inside the input."""
        e = self.e
        start = e.sub(e.mul(o, self.stride[axis]), self.lo[axis])
        stop = e.min_int(self._stop(axis, start), self.size[axis])
        if not self.dilated:
            return e.max_int(start, 0), stop
        missed = self._steps(axis, e.max_int(e.sub(0, start), 0))
        return e.add(start, e.mul(missed, self.dilation[axis])), stop

    def _stop(self, axis: int, start: Value) -> Value:
        """One past the last index of a window that begins at `start`."""
        e = self.e
        if not self.dilated:
            return e.add(start, self.window[axis])
        return e.add(e.add(start, e.mul(e.sub(self.window[axis], 1), self.dilation[axis])), 1)

    def _steps(self, axis: int, length: Value) -> Value:
        """How many cells of a window lie in so many indices."""
        e, d = self.e, self.dilation[axis]
        return e.b.sdiv(e.add(length, e.sub(d, 1)), d) if self.dilated else length

    def _share(self, place: Sequence[Value], spans: Sequence[tuple[Value, Value]]) -> Value | None:
        """1 / the number of cells of a window, as a vector; None for max."""
        if self.kind == "max":
            return None
        e = self.e
        cells = e.i64(1)
        for axis, (o, (a, b)) in enumerate(zip(place, spans, strict=True)):
            if self.include_pad:
                start = e.sub(e.mul(o, self.stride[axis]), self.lo[axis])
                limit = e.add(self.size[axis], self.hi[axis])
                a, b = start, e.min_int(self._stop(axis, start), limit)
            cells = e.mul(cells, self._steps(axis, e.sub(b, a)))
        count = e.b.sitofp(cells, e.f32s.element)
        return e.splat(count)

    def _channels(self, body: Callable[[Value, Value | None], None]) -> None:
        """`body(byte offset, count)` for each vector of channels; count None for whole ones."""
        channel_blocks(self.e, self.c, 1, lambda at, _, count: body(at, count))

    def _reduce(
        self,
        source: Value,
        target: Value,
        spans: Sequence[tuple[Value, Value]],
        cells: Value | None,
        at: Value,
        count: Value | None,
    ) -> None:
        e = self.e
        start = e.constant(e.f32s, float("-inf") if self.kind == "max" else 0.0)

        def add(cell: Value, total: Value) -> Value:
            value = load(self.e, e.add(e.add(source, at), e.mul(cell, self.x_pitch)), count)
            return larger(e, total, value) if self.kind == "max" else e.b.fadd(total, value)

        total = self._over(spans, start, add)
        store(self.e, total if cells is None else e.b.fdiv(total, cells), e.add(target, at), count)

    def _over(
        self, spans: Sequence[tuple[Value, Value]], start: Value, body: Callable[[Value, Value], Value]
    ) -> Value:
        """Carry a value through `body(number of the cell, value)` for the cells of a window, row by row."""
        e, by = self.e, self.dilation
        (d0, d1), (h0, h1), (w0, w1) = spans
        if self.form.window is not None:
            for z, y, x in itertools.product(*map(range, self.form.window)):
                row = e.mul(e.add(e.mul(e.add(d0, z), self.size[1]), e.add(h0, y)), self.size[2])
                start = body(e.add(row, e.add(w0, x)), start)
            return start
        with e.loop(d0, d1, by[0], [start]) as depth:
            with e.loop(h0, h1, by[1], depth.carried) as height:
                row = e.mul(e.add(e.mul(depth.index, self.size[1]), height.index), self.size[2])
                with e.loop(w0, w1, by[2], height.carried) as width:
                    width.next(body(e.add(row, width.index), width.carried[0]))
                height.next(*width.results)
            depth.next(*height.results)
        return depth.results[0]

    def backward(self) -> None:
        """The gradient: units write cells of their own."""
        if self.form.apart:
            self._rows()
        else:
            self._vectors()

    def _rows(self) -> None:
        """Units are rows of windows, each with the cells up to the next one."""
        e = self.e
        first, last = share(e, e.mul(e.mul(self.n, self.count[0]), self.count[1]))
        with e.loop(first, last) as unit:
            plane = e.b.sdiv(unit.index, self.count[1])
            oh = e.sub(unit.index, e.mul(plane, self.count[1]))
            image = e.b.sdiv(plane, self.count[0])
            od = e.sub(plane, e.mul(image, self.count[0]))
            source, target = (
                e.add(start, e.mul(image, self._image(pitch)))
                for start, pitch in ((self.block.x, self.x_pitch), (self.block.out, self.out_pitch))
            )
            with e.when(self.block.gaps):
                self._clear(target, od, oh)
            with e.loop(0, self.count[2]) as ow:
                number = e.add(e.mul(unit.index, self.count[2]), ow.index)
                self._channels(functools.partial(self._window, (od, oh, ow.index), number, source, target))

    def _window(
        self,
        place: Sequence[Value],
        number: Value,
        source: Value,
        target: Value,
        at: Value,
        count: Value | None,
    ) -> None:
        e = self.e
        g, y = (
            e.add(e.add(start, e.mul(number, pitch)), at)
            for start, pitch in ((self.block.g, self.g_pitch), (self.block.y, self.y_pitch))
        )
        self._spread(place, e.add(source, at), e.add(target, at), g, y, count)

    def _clear(self, target: Value, od: Value, oh: Value) -> None:
        """Zeros in the rows of an image that belong to a row of windows."""
        e = self.e
        (d0, d1), (h0, h1) = self._owned(0, od), self._owned(1, oh)
        zero = e.constant(e.f32s, 0.0)
        with e.loop(d0, d1) as depth, e.loop(h0, h1) as height, e.loop(0, self.size[2]) as width:
            row = e.mul(e.add(e.mul(depth.index, self.size[1]), height.index), self.size[2])
            cell = e.add(target, e.mul(e.add(row, width.index), self.out_pitch))
            self._channels(lambda at, count: store(self.e, zero, e.add(cell, at), count))

    def _owned(self, axis: int, o: Value) -> tuple[Value, Value]:
        """The indices of window `o` of an axis: up to the next one, those of the first and the last to the ends."""
        e = self.e
        start = e.sub(e.mul(o, self.stride[axis]), self.lo[axis])
        stop = e.min_int(e.add(start, self.stride[axis]), self.size[axis])
        is_first = e.b.icmp_signed("==", o, e.i64(0))
        is_last = e.b.icmp_signed("==", o, e.sub(self.count[axis], 1))
        return (
            e.b.select(is_first, e.i64(0), e.max_int(start, 0)),
            e.b.select(is_last, self.size[axis], stop),
        )

    def _vectors(self) -> None:
        """Units are vectors of channels of an image, so that windows may overlap."""
        e = self.e
        vectors = e.b.sdiv(e.add(self.c, e.lanes - 1), e.i64(e.lanes))
        first, last = share(e, e.mul(self.n, vectors))
        with e.loop(first, last) as unit:
            image = e.b.sdiv(unit.index, vectors)
            channel = e.mul(e.sub(unit.index, e.mul(image, vectors)), e.lanes)
            at, rest = e.mul(channel, 4), e.sub(self.c, channel)
            whole = e.b.icmp_signed(">=", rest, e.i64(e.lanes))
            with e.b.if_else(whole) as (yes, no):
                with yes:
                    self._scatter(image, at, None)
                with no:
                    self._scatter(image, at, rest)

    def _scatter(self, image: Value, at: Value, count: Value | None) -> None:
        e, block = self.e, self.block
        source, target = (
            e.add(e.add(start, e.mul(image, self._image(pitch))), at)
            for start, pitch in ((block.x, self.x_pitch), (block.out, self.out_pitch))
        )
        cells = e.mul(e.mul(self.size[0], self.size[1]), self.size[2])
        zero = e.constant(e.f32s, 0.0)
        with e.loop(0, cells) as loop:
            store(self.e, zero, e.add(target, e.mul(loop.index, self.out_pitch)), count)
        windows = e.mul(e.mul(self.count[0], self.count[1]), self.count[2])
        before = e.mul(image, windows)
        with e.loop(0, self.count[0]) as od, e.loop(0, self.count[1]) as oh, e.loop(0, self.count[2]) as ow:
            place = (od.index, oh.index, ow.index)
            number = e.add(e.mul(e.add(e.mul(od.index, self.count[1]), oh.index), self.count[2]), ow.index)
            cell = e.add(before, number)
            g, y = (
                e.add(e.add(start, e.mul(cell, pitch)), at)
                for start, pitch in ((block.g, self.g_pitch), (block.y, self.y_pitch))
            )
            self._spread(place, source, target, g, y, count)

    def _spread(
        self,
        place: Sequence[Value],
        source: Value,
        target: Value,
        g_at: Value,
        y_at: Value,
        count: Value | None,
    ) -> None:
        """Add one window's gradient to its cells; all but the place are addresses of vectors of channels."""
        e = self.e
        spans = [self._span(k, o) for k, o in enumerate(place)]
        g = load(self.e, g_at, count)
        share_ = self._share(place, spans)
        if share_ is not None:
            g = e.b.fdiv(g, share_)
        y = load(self.e, y_at, count) if self.kind == "max" else g
        zero = e.constant(e.f32s, 0.0)

        def give(number: Value, left: Value) -> Value:
            add = g
            if self.kind == "max":
                seen = load(self.e, e.add(source, e.mul(number, self.x_pitch)), count)
                hit = e.b.fcmp_ordered("==", seen, y)
                add, left = e.b.select(hit, left, zero), e.b.select(hit, zero, left)
            cell = e.add(target, e.mul(number, self.out_pitch))
            store(self.e, add if self.form.apart else e.b.fadd(load(self.e, cell, count), add), cell, count)
            return left

        self._over(spans, g, give)
