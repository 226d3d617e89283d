"""The source of windows and of their gradients over any number of spatial axes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import divided, divisor_parameters, each_element, nest_parameters, place
from netdsl.cuda.codegen.scalar import combined, number
from netdsl.cuda.codegen.wide import load_wide
from netdsl.cuda.step import Parameter, Source


@dataclass(frozen=True)
class Windowing:
    """What kernels of windows differ in; `width` are the channels of a thread."""

    kind: str
    rank: int
    include_pad: bool
    width: int


@functools.cache
def window_source(windowing: Windowing, taps: int) -> Source:
    """A thread for each window and vector of channels; `taps` along the innermost axis are read at once."""
    return _Forward(windowing, taps).source()


@functools.cache
def gradient_source(windowing: Windowing) -> Source:
    """A thread for each cell of the input and vector of channels."""
    return _Backward(windowing).source()


class _Writer:
    """Parameters and lines that both directions share.

    `here` are the tensors whose cells are the threads, `there` those with pictures of another size.
    """

    here: tuple[str, ...]
    there: tuple[str, ...]

    def __init__(self, windowing: Windowing) -> None:
        self.w, self.out = windowing, Lines()

    def source(self) -> Source:
        """The kernel."""
        w, out = self.w, self.out
        parameters = [Parameter(name, to="f32") for name in (*self.here, *self.there)]
        parameters += nest_parameters(w.rank + 2, len(self.here))
        for t in self.there:
            parameters += [Parameter(f"{t}_{n}", "i64") for n in ("picture", "channel")]
            parameters += [Parameter(f"{t}_step{k}", "i64") for k in range(w.rank)]
        for k in range(w.rank):
            parameters += [Parameter(f"{n}{k}", "u32") for n in ("cells", "windows", "window", "lo", "hi")]
            parameters += [*divisor_parameters(f"by{k}"), *divisor_parameters(f"dilation{k}")]
        with out.kernel(parameters), each_element(out, w.rank + 2) as (_, at):
            self.starts = {
                t: out.let(f"int64({at[0]}) * {t}_picture + int64({at[-1]}) * {t}_channel")
                for t in self.there
            }
            self.body(at)
        return out.source(parameters)

    def body(self, at: Sequence[str]) -> None:
        """The lines of a thread, whose result is at these coordinates."""
        raise NotImplementedError

    def vector(self, name: str, value: str | None = None) -> None:
        """A vector of channels, in registers."""
        self.out.add(f"{name} = cuda.local.array({self.w.width}, float32)")
        if value is not None:
            with self.channels():
                self.out.add(f"{name}[v] = {value}")

    def channels(self) -> AbstractContextManager[None]:
        """The loop over a vector of channels."""
        return self.out.block(f"for v in range({self.w.width})")

    def load(self, into: str, tensor: str, index: str) -> None:
        """A vector of channels of a tensor."""
        if self.w.width == 1:
            self.out.add(f"{into}[0] = {tensor}[{index}]")
            return
        load_wide(self.out, into, tensor, index)

    def store(self, stream: int, name: str, at: Sequence[str]) -> None:
        """Write a vector of channels of a tensor that is `here`."""
        index = place(self.out, stream, at)
        if self.w.width == 1:
            self.out.add(f"{self.here[stream]}[{index}] = {name}[0]")
        else:
            values = ", ".join(f"{name}[{v}]" for v in range(4))
            self.out.add(f"store4({self.here[stream]}, {index}, {values})")

    def taps(self, k: int, length: str) -> str:
        """How many cells of a window lie in so many, an int32 that may be negative: the first and each dilation."""
        out = self.out
        some = out.let(f"uint32({length}) if {length} > int32(0) else uint32(0)")
        many, _ = divided(out, out.let(f"uint32({some} + dilation{k} - uint32(1))"), f"dilation{k}")
        return out.let(f"{many} if {many} < window{k} else window{k}")

    def corner(self, k: int, window: str) -> str:
        """The cell where a window begins, an int32: negative in the padding."""
        return self.out.let(f"int32(int32({window}) * int32(by{k}) - int32(lo{k}))")

    def inside(self, k: int, corner: str) -> tuple[str, str]:
        """The first tap of a window that is a cell, and one past the last."""
        before = self.taps(k, self.out.let(f"int32(int32(0) - {corner})"))
        return before, self.taps(k, self.out.let(f"int32(int32(cells{k}) - {corner})"))

    def cells(self, corners: Sequence[str]) -> str:
        """How many cells the average of a window is over, a float32; the overhang never counts."""
        counts = []
        for k, corner in enumerate(corners):
            if self.w.include_pad:
                end = self.out.let(f"int32(int32(cells{k}) + int32(hi{k}) - {corner})")
                counts.append(f"int32({self.taps(k, end)})")
            else:
                first, stop = self.inside(k, corner)
                counts.append(f"int32({stop} - {first})")
        return self.out.let(f"float32({' * '.join(counts)})")


class _Forward(_Writer):
    here, there = ("out",), ("x",)

    def __init__(self, windowing: Windowing, taps: int) -> None:
        super().__init__(windowing)
        self.at_once = taps

    def body(self, at: Sequence[str]) -> None:
        out, w = self.out, self.w
        corners = [self.corner(k, o) for k, o in enumerate(at[1:-1])]
        spans = [self.inside(k, c) for k, c in enumerate(corners)]
        self.vector("total", number(float("-inf")) if w.kind == "max" else "float32(0)")
        self.vector("seen")
        self._axis(0, self.starts["x"], corners, spans)
        if w.kind == "avg":
            cells = self.cells(corners)
            with self.channels():
                out.add(f"total[v] = total[v] / {cells}")
        self.store(0, "total", at)

    def _axis(self, k: int, start: str, corners: Sequence[str], spans: Sequence[tuple[str, str]]) -> None:
        """The taps along an axis; those of the innermost some at a time, without a branch between their loads."""
        out, w, (first, stop) = self.out, self.w, spans[k]
        taps = self.at_once if k == w.rank - 1 else 1
        tap = f"tap{k}"
        out.add(f"{tap} = {first}")
        with out.block(f"while {tap} < {stop}"):
            if k < w.rank - 1:
                self._axis(k + 1, self._cell(k, start, tap, corners[k]), corners, spans)
            else:
                with out.block(f"for u in range({taps})"):
                    self._tap(k, start, corners[k], tap, stop)
            out.add(f"{tap} = uint32({tap} + uint32({taps}))")

    def _cell(self, k: int, start: str, tap: str, corner: str) -> str:
        cell = self.out.let(f"int32({corner} + int32({tap}) * int32(dilation{k}))")
        return self.out.let(f"{start} + int64(int32({cell} * int32(x_step{k})))")

    def _tap(self, k: int, start: str, corner: str, tap: str, stop: str) -> None:
        """One of the taps at once; one past the end is the last one again and changes nothing."""
        out = self.out
        q = out.let(f"uint32({tap} + uint32(u))")
        within = out.let(f"{q} < {stop}")
        q = out.let(f"{q} if {within} else uint32({stop} - uint32(1))")
        self.load("seen", "x", self._cell(k, start, q, corner))
        with self.channels():
            old, new = out.let("total[v]"), out.let("seen[v]")
            if self.w.kind == "max":
                out.add(f"total[v] = {combined(out, 'max', old, new, 'f32')}")
            else:
                out.add(f"total[v] = {old} + ({new} if {within} else float32(0))")


@dataclass(frozen=True)
class _Along:
    """A window over a cell along an axis: which of its taps the cell is, and the cell where it begins."""

    tap: str
    corner: str


class _Backward(_Writer):
    def __init__(self, windowing: Windowing) -> None:
        super().__init__(windowing)
        most = windowing.kind == "max"
        self.here, self.there = (("x", "out"), ("y", "g")) if most else (("out",), ("g",))

    def body(self, at: Sequence[str]) -> None:
        self.vector("total", "float32(0)")
        self.vector("sent")
        if self.w.kind == "max":
            for name in ("own", "seen", "most"):
                self.vector(name)
            self.out.add(f"left = cuda.local.array({self.w.width}, int32)")
            self.own = place(self.out, 0, at)
            self.load("own", "x", self.own)
        self.corners: list[str] = []
        self._axis(0, at, dict(self.starts), [])
        self.store(len(self.here) - 1, "total", at)

    def _axis(self, k: int, at: Sequence[str], starts: dict[str, str], windows: list[_Along]) -> None:
        """The windows along an axis that the cell is in: where each begins, and where its tensors lie."""
        out = self.out
        if k == self.w.rank:
            (self._largest if self.w.kind == "max" else self._average)(starts, windows)
            return
        seen = out.let(f"uint32({at[k + 1]} + lo{k})")
        reach = out.let(f"uint32((window{k} - uint32(1)) * dilation{k})")
        behind = out.let(f"uint32({seen} + by{k} - uint32(1) - {reach}) if {seen} > {reach} else uint32(0)")
        window = f"o{k}"
        out.add(f"{window} = {divided(out, behind, f'by{k}')[0]}")
        last, _ = divided(out, seen, f"by{k}")
        with out.block(f"while ({window} <= {last}) & ({window} < windows{k})"):
            tap, rest = divided(out, out.let(f"uint32({seen} - {window} * by{k})"), f"dilation{k}")
            with out.block(f"if {rest} == uint32(0)"):
                moved = {
                    t: out.let(f"{start} + int64(int32(int32({window}) * int32({t}_step{k})))")
                    for t, start in starts.items()
                }
                corner = self.corner(k, window)
                self._axis(k + 1, at, moved, [*windows, _Along(tap, corner)])
            out.add(f"{window} = uint32({window} + uint32(1))")

    def _average(self, starts: dict[str, str], windows: list[_Along]) -> None:
        self.load("sent", "g", starts["g"])
        cells = self.cells([w.corner for w in windows])
        with self.channels():
            self.out.add(f"total[v] = total[v] + sent[v] / {cells}")

    def _largest(self, starts: dict[str, str], windows: list[_Along]) -> None:
        out = self.out
        self.load("most", "y", starts["y"])
        with self.channels():
            out.add("left[v] = int32(own[v] == most[v])")
        out.add(f"some = {self._any()}")
        self._earlier(0, self.own, windows, "False")
        with out.block("if some != int32(0)"):
            self.load("sent", "g", starts["g"])
            with self.channels():
                out.add("total[v] = total[v] + (sent[v] if left[v] != int32(0) else float32(0))")

    def _any(self) -> str:
        return " | ".join(f"left[{v}]" for v in range(self.w.width))

    def _earlier(self, k: int, start: str, windows: list[_Along], ahead: str) -> None:
        """Look at the cells of a window before this one, in row-major order, while channels are left.

        `ahead` says whether the place on the axes before is an earlier one; it is the same one otherwise.
        """
        out, tap, last = self.out, f"e{k}", k == self.w.rank - 1
        own = windows[k].tap
        first, stop = self.inside(k, windows[k].corner)
        here = own if last else out.let(f"uint32({own} + uint32(1))")
        end = out.let(f"{stop} if {ahead} else {here}")
        out.add(f"{tap} = {first}")
        with out.block(f"while ({tap} < {end}) & (some != int32(0))"):
            moved = out.let(f"int32((int32({tap}) - int32({own})) * int32(dilation{k}))")
            start = out.let(f"{start} + int64({moved}) * stride0_{k + 1}")
            if last:
                self.load("seen", "x", start)
                with self.channels():
                    out.add("left[v] = int32(0) if seen[v] == most[v] else left[v]")
                out.add(f"some = {self._any()}")
            else:
                self._earlier(k + 1, start, windows, out.let(f"{ahead} | ({tap} < {own})"))
            out.add(f"{tap} = uint32({tap} + uint32(1))")
