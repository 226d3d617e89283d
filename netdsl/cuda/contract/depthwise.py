"""Depthwise convolutions: every channel is a group of its own, so that there is nothing to multiply as matrices.

Roles "forward" and "backward_data" are a thread for each pixel and one or four channels.  Role "backward_weights" is
a thread for each tap and one or four channels: each warp of a block sums over pixels that follow each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netdsl.backend.step import Slot
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import WARP, divided, divisor_parameters, divisor_values
from netdsl.cuda.codegen.wide import in_fours
from netdsl.cuda.contract.call import Call
from netdsl.cuda.contract.core import round_here
from netdsl.cuda.contract.finish import Ending, Finish
from netdsl.cuda.contract.geometry import Axis
from netdsl.cuda.contract.index import Index, Place
from netdsl.cuda.contract.maps import Maps
from netdsl.cuda.contract.sums import part_sums, partial
from netdsl.cuda.step import Launch, Parameter, Source
from netdsl.primitives.precision import Precision

THREADS = 256
WARPS = THREADS // WARP
BLOCKS = 1056
"""That fill a card: eight for each of 132 processors."""
LEAST_PIXELS = 8
"""That a warp sums at least."""
MOST_PARTS = 128


@dataclass(frozen=True)
class _Factors:
    """The arrays x and y of a thread: so many channels, and the precision in which they are multiplied."""

    width: int
    precision: Precision

    def fetch(self, out: Lines, name: str, pointer: str, place: str, inside: str = "True") -> None:
        """Read one of them, zeros unless it is inside."""
        out.add(f"fetch{self.width}({name}, 0, {pointer}, {place}, {inside})")

    def multiply(self, out: Lines) -> None:
        """Add the products to the totals."""
        for name in ("x", "y"):
            round_here(out, self.precision, name, 0, self.width)
        with out.block(f"for q in range({self.width})"):
            out.add("total[q] += x[q] * y[q]")


def is_depthwise(call: Call) -> bool:
    """Whether every channel is a group of its own, with one feature."""
    _, kernel, _ = call.tensors
    return call.op.groups > 1 and kernel.shape[-2:] == (1, call.op.groups)


def plan_depthwise(call: Call) -> list[Launch]:
    """The launches of a depthwise convolution."""
    channels = call.op.groups
    other = call.operands[1]
    wide = in_fours(call.source, channels) and in_fours(other, channels)
    found: list[Launch] = []
    for axes in call.correlations():
        end = call.ending(axes, channels if wide else 1)
        maps = Maps(axes, call.source, channels, flat=False)
        if call.op.role == "backward_weights":
            found += _gradient(call, maps, axes, end)
        else:
            found.append(_pixels(call, maps, end))
    return found


def _pixels(call: Call, maps: Maps, end: Ending) -> Launch:
    """A thread for each pixel and vector of channels."""
    _, kernel, _ = call.tensors
    row, tap = maps.pixels_at("a_row"), maps.taps_at("a_term")
    place = maps.kernel_at("b_term", kernel)
    vectors = maps.channels // end.finish.width
    count = maps.pixels * vectors
    values = {**maps.values, **end.values, "vectors": count, **divisor_values("lanes", vectors)}
    values |= {f"tap_count{k}": a.taps for k, a in enumerate(maps.axes)}
    slots = {**end.slots, "a": Slot(call.source), "b": Slot(kernel)}
    source = _pixel_source(row, tap, place, end.finish, call.op.precision)
    return Launch(call.title, source, -(-count // THREADS), THREADS, values, slots)


def _pixel_source(row: Index, tap: Index, kernel: Index, finish: Finish, precision: Precision) -> Source:
    width, axes, factors = finish.width, row.axes, _Factors(finish.width, precision)
    found = [Parameter("a", to="f32"), Parameter("b", to="f32"), Parameter("vectors", "i32")]
    found += [
        p for a in range(axes) for p in (Parameter(f"bound{a}", "u32"), Parameter(f"tap_count{a}", "i32"))
    ]
    found += [*divisor_parameters("lanes"), *row.parameters(), *tap.parameters(), *kernel.parameters()]
    parameters = tuple(dict.fromkeys([*found, *finish.parameters()]))
    out = Lines()
    with out.kernel(parameters):
        _declare(out, finish)
        vector = out.let(f"int32(cuda.blockIdx.x * {THREADS} + cuda.threadIdx.x)")
        with out.block(f"if {vector} < vectors"):
            pixel, lane = divided(out, out.let(f"uint32({vector})"), "lanes")
            channel = out.let(f"int32({lane} * {width})")
            place = row.place(out, pixel, "True")
            first = [f"{place.offset} + {channel} + a_term_start", f"{channel} + b_term_start"]
            _taps(out, 0, place.coordinates, [out.let(f"int32({x})") for x in first], factors)
            finish.emit(out, [f"total[{q}]" for q in range(width)], pixel, out.let(f"uint32({channel})"))
    return out.source(parameters, (THREADS, 4))


def _declare(out: Lines, finish: Finish) -> None:
    for name in ("x", "y", "total"):
        out.add(f"{name} = cuda.local.array({finish.width}, float32)")
    finish.declare(out)
    with out.block(f"for q in range({finish.width})"):
        out.add("total[q] = float32(0.0)")


def _taps(out: Lines, axis: int, at: Sequence[str], places: Sequence[str], factors: _Factors) -> None:
    """The loop over the taps along an axis and those after it, of source and kernel at `places` so far."""
    if axis == len(at):
        for name, pointer, place in zip("xy", "ab", places, strict=True):
            factors.fetch(out, name, pointer, place)
        factors.multiply(out)
        return
    out.add(f"j{axis} = int32(0)")
    with out.block(f"while j{axis} < tap_count{axis}"):
        with out.block(f"if uint32({at[axis]} + j{axis} * taps_step{axis}) < bound{axis}"):
            steps = (f"{p} + j{axis} * {s}_term_stride{axis}" for p, s in zip(places, "ab", strict=True))
            _taps(out, axis + 1, at, [out.let(f"int32({s})") for s in steps], factors)
        out.add(f"j{axis} = int32(j{axis} + 1)")


def _gradient(call: Call, maps: Maps, axes: Sequence[Axis], end: Ending) -> list[Launch]:
    """A thread for each tap and vector of channels, over the pixels of a warp, in parts."""
    channels, taps = maps.channels, maps.taps
    vectors = taps * channels // end.finish.width
    across = -(-vectors // WARP)
    parts = max(1, min(BLOCKS // across, maps.pixels // (WARPS * LEAST_PIXELS), MOST_PARTS))
    if parts == 1:
        return [_gradient_launch(call, maps, end, 1)]
    columns = channels if end.finish.width > 1 else 1
    first = _gradient_launch(call, maps, partial(call.title, taps, channels, columns, parts), parts)
    return [first, part_sums(call.title, end, taps, channels, parts)]


def _gradient_launch(call: Call, maps: Maps, end: Ending, parts: int) -> Launch:
    _, _, y = call.tensors
    tap, pixel, term = (
        maps.taps_at("a_row"),
        maps.pixels_at("a_term"),
        maps.linear("b_term", y.pitch // y.item),
    )
    vectors = maps.taps * maps.channels // end.finish.width
    across = -(-vectors // WARP)
    step = maps.taps * maps.channels if parts > 1 else 0
    values = {**maps.values, **end.values, "vectors": vectors, **divisor_values("across", across)}
    values |= {"pixels": maps.pixels, "share": -(-maps.pixels // (parts * WARPS)), "part_step": step}
    slots = {**end.slots, "a": Slot(call.source), "b": Slot(y)}
    source = _gradient_source(tap, pixel, term, end.finish, call.op.precision)
    return Launch(call.title, source, across * parts, THREADS, values, slots, 4 * parts * step)


def _gradient_source(tap: Index, pixel: Index, term: Index, finish: Finish, precision: Precision) -> Source:
    width, factors = finish.width, _Factors(finish.width, precision)
    found = [Parameter("a", to="f32"), Parameter("b", to="f32")]
    found += [Parameter(name, "i32") for name in ("vectors", "pixels", "share")] + [
        Parameter("part_step", "i64")
    ]
    found += [*divisor_parameters("across"), *(Parameter(f"bound{a}", "u32") for a in range(tap.axes))]
    found += [*tap.parameters(), *pixel.parameters(), *term.parameters(), *finish.parameters()]
    parameters = tuple(dict.fromkeys(found))
    out = Lines()
    with out.kernel(parameters):
        out.add(f"shared = cuda.shared.array({THREADS * width}, float32, 16)")
        _declare(out, finish)
        out.add("thread = int32(cuda.threadIdx.x)")
        lane, warp = (
            out.let(f"int32(thread & {WARP - 1})"),
            out.let(f"int32(thread >> {WARP.bit_length() - 1})"),
        )
        part, block = divided(out, out.let("uint32(cuda.blockIdx.x)"), "across")
        vector = out.let(f"int32({block} * {WARP} + {lane})")
        element = out.let(f"int32({vector} * {width})")
        row, channel = divided(out, out.let(f"uint32({element})"), "channels")
        with out.block(f"if {vector} < vectors"):
            _pixel_sums(
                out,
                tap.place(out, element, "True"),
                pixel,
                term,
                channel,
                f"{part} * {WARPS} + {warp}",
                factors,
            )
        with out.block(f"for q in range({width})"):
            out.add(f"shared[q * {THREADS} + thread] = total[q]")
        out.add("cuda.syncthreads()")
        with out.block(f"if ({warp} == 0) & ({vector} < vectors)"):
            with out.block(f"for q in range({width})"), out.block(f"for w in range(1, {WARPS})"):
                out.add(f"total[q] += shared[q * {THREADS} + w * {WARP} + thread]")
            shift = out.let(f"int64({part}) * part_step")
            finish.emit(out, [f"total[{q}]" for q in range(width)], row, channel, f" + {shift}")
    return out.source(parameters, (THREADS, 4))


def _pixel_sums(
    out: Lines, tap: Place, pixel: Index, term: Index, channel: str, share: str, factors: _Factors
) -> None:
    """The sum of a thread over the share of pixels of its warp."""
    out.add(f"at = int32(({share}) * share)")
    end = out.let("int32(min(pixels, int32(at + share)))")
    with out.block(f"while at < {end}"):
        there = pixel.place(out, "at", "True")
        pairs = enumerate(zip(tap.coordinates, there.coordinates, strict=True))
        inside = " & ".join(f"(uint32({p} + {q}) < bound{a})" for a, (p, q) in pairs)
        factors.fetch(out, "x", "a", f"int32({tap.offset} + {there.offset})", inside)
        other = term.place(out, "at", "True")
        factors.fetch(out, "y", "b", f"int32({other.offset} + {channel})")
        factors.multiply(out)
        out.add("at = int32(at + 1)")
