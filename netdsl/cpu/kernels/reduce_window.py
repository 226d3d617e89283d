"""`reduce_window` and `reduce_window_grad` on the CPU, vectorised over the channels."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from netdsl.backend.arguments import Address, Arguments, Block, Three
from netdsl.backend.step import Slot
from netdsl.cpu.codegen.library import Kernel
from netdsl.cpu.codegen.nest import share
from netdsl.cpu.step import Generated, Step
from netdsl.native.emit import Emitter, Value
from netdsl.primitives import ReduceWindow, ReduceWindowGrad
from netdsl.schedule import View


class WindowBlock(Block):
    """Sizes of three spatial axes, leading ones of size 1; the pitches are the bytes from pixel to pixel."""

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
    include = op.include_pad or op.kind == "max"
    dilated = any(d != 1 for d in op.dilation)
    key = f"{op.name}-{op.kind}-{int(include)}-{int(dilated)}"
    emit = functools.partial(_Emit, op.kind, include, dilated)
    kernel = Kernel(lambda e: emit(e).forward() if forward else emit(e).backward())
    title = f"{op.name} {op.kind} {'x'.join(map(str, op.size))} @ {'x'.join(map(str, y[1:]))}"
    return [Step(title, Generated(op.name, key, kernel), block)]


def _reads(op: ReduceWindow | ReduceWindowGrad) -> str:
    """The fields of the operands, a letter each."""
    if isinstance(op, ReduceWindow):
        return "x"
    return "g" if op.kind == "avg" else "xyg"


def larger(e: Emitter, total: Value, value: Value) -> Value:
    """The larger one, and NaN once there was one."""
    found = e.b.select(e.b.fcmp_ordered(">", total, value), total, value)
    return e.b.select(e.b.fcmp_unordered("uno", total, total), total, found)


class _Emit:
    def __init__(self, kind: str, include_pad: bool, dilated: bool, e: Emitter) -> None:
        self.kind, self.include_pad, self.e = kind, include_pad, e

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
        e = self.e
        whole = e.mul(e.b.sdiv(self.c, e.i64(e.lanes)), e.lanes)
        with e.loop(0, whole, e.lanes) as loop:
            body(e.mul(loop.index, 4), None)
        with e.when(e.less(whole, self.c)):
            body(e.mul(whole, 4), e.sub(self.c, whole))

    def _load(self, address: Value, count: Value | None) -> Value:
        return (
            self.e.load(self.e.f32s, address)
            if count is None
            else self.e.load_part(self.e.f32s, address, count)
        )

    def _store(self, value: Value, address: Value, count: Value | None) -> None:
        if count is None:
            self.e.store(value, address)
        else:
            self.e.store_part(value, address, count)

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
        (d0, d1), (h0, h1), (w0, w1) = spans
        by = self.dilation
        with e.loop(d0, d1, by[0], [start]) as depth:
            with e.loop(h0, h1, by[1], depth.carried) as height:
                row = e.mul(e.add(e.mul(depth.index, self.size[1]), height.index), self.size[2])
                with e.loop(w0, w1, by[2], height.carried) as width:
                    place = e.add(e.add(source, at), e.mul(e.add(row, width.index), self.x_pitch))
                    value = self._load(place, count)
                    total = width.carried[0]
                    width.next(larger(e, total, value) if self.kind == "max" else e.b.fadd(total, value))
                height.next(*width.results)
            depth.next(*height.results)
        result = depth.results[0] if cells is None else e.b.fdiv(depth.results[0], cells)
        self._store(result, e.add(target, at), count)

    def backward(self) -> None:
        """Units are vectors of channels of an image: each writes its own cells, so windows may overlap."""
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
            self._store(zero, e.add(target, e.mul(loop.index, self.out_pitch)), count)
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
        (d0, d1), (h0, h1), (w0, w1) = spans
        g = self._load(g_at, count)
        share_ = self._share(place, spans)
        if share_ is not None:
            g = e.b.fdiv(g, share_)
        y = self._load(y_at, count) if self.kind == "max" else g
        zero = e.constant(e.f32s, 0.0)
        by = self.dilation
        with e.loop(d0, d1, by[0], [g]) as depth:
            with e.loop(h0, h1, by[1], depth.carried) as height:
                row = e.mul(e.add(e.mul(depth.index, self.size[1]), height.index), self.size[2])
                with e.loop(w0, w1, by[2], height.carried) as width:
                    number = e.add(row, width.index)
                    left, add = width.carried[0], g
                    if self.kind == "max":
                        seen = self._load(e.add(source, e.mul(number, self.x_pitch)), count)
                        hit = e.b.fcmp_ordered("==", seen, y)
                        add, left = e.b.select(hit, left, zero), e.b.select(hit, zero, left)
                    cell = e.add(target, e.mul(number, self.out_pitch))
                    self._store(e.b.fadd(self._load(cell, count), add), cell, count)
                    width.next(left)
                height.next(*width.results)
            depth.next(*height.results)
