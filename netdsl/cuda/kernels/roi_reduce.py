"""`roi_reduce` on the GPU: a thread for each cell and channel, or four of these where channels are many.

Most weights are 0: a launch finds the first and the last of each line that is not, a warp for each, and the cells
look between them.  Sums run along the map in the CPU's order, fused as there: the bits are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from netdsl.backend.axes import elements
from netdsl.backend.step import Slot, TooLarge
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import MOST, THREADS, WARP, each_element, nest_parameters, space_values
from netdsl.cuda.codegen.scalar import combined
from netdsl.cuda.kernels.keys import Scratch, words
from netdsl.cuda.step import Launch, Parameter, Source
from netdsl.primitives import RoiReduce
from netdsl.schedule import View

MANY = 128
"""Channels from which a thread computes four, a quarter of all apart: its warp reads neighbours."""


@dataclass(frozen=True)
class RegionSizes:
    """P x Q cells of R regions of N maps of H x W; `c` channels of a cell, `blocks` times as many of a map."""

    n: int
    r: int
    p: int
    q: int
    c: int
    h: int
    w: int
    blocks: int

    @staticmethod
    def of(cells: View, map_: View, split: bool) -> RegionSizes:
        """That of the cells of a map."""
        n, r, p, q, c = cells.shape
        return RegionSizes(n, r, p, q, c, map_.shape[1], map_.shape[2], p * q if split else 1)

    @property
    def each(self) -> int:
        """Channels of a thread."""
        return 4 if self.c >= MANY else 1

    @property
    def step(self) -> int:
        """Channels from one of a thread's to the next."""
        return -(-self.c // self.each)

    def values(self, *space: int) -> dict[str, int]:
        """The arguments of `PARAMETERS` for threads over a space; TooLarge where these are too many."""
        if elements(space) > MOST:
            raise TooLarge(f"regions with {elements(space):_} threads; a kernel takes {MOST:_} at most")
        sizes = {"regions": self.r, "height": self.h, "width": self.w, "channels": self.c}
        return space_values(*space) | sizes | {"pixel": self.c * self.blocks}


PARAMETERS = (
    *nest_parameters(5, 0),
    *(Parameter(name, "u32") for name in ("regions", "height", "width", "channels", "pixel")),
)


def plan_region(op: RoiReduce, operands: Sequence[View], results: Sequence[View]) -> list[Launch]:
    """Two launches for the spans of weights, and one for the cells; TooLarge for more than 2^31 threads."""
    (x, rows, columns), (y,) = operands, results
    if not y.type.size:
        return []
    geometry, scratch = RegionSizes.of(y, x, op.split), Scratch()
    launches, spans = find_spans(rows, columns, scratch)
    slots = spans | {"x": Slot(x), "out": Slot(y, written=True)}
    launches.append(over_cells(op.name, _cells(op.kind, op.split, geometry.each), geometry, slots))
    title = f"{op.name} {op.kind} {'x'.join(map(str, y.shape[1:]))} @ {geometry.h}x{geometry.w}"
    return [replace(launch, title=f"{title}: {launch.title}", scratch=scratch.size) for launch in launches]


def over_cells(title: str, source: Source, g: RegionSizes, slots: dict[str, Slot]) -> Launch:
    """A launch over cells and channels."""
    values = g.values(g.n, g.r, g.p, g.q, g.step)
    return Launch(title, source, -(-values["count"] // THREADS), THREADS, values, slots)


def find_spans(rows: View, columns: View, scratch: Scratch) -> tuple[list[Launch], dict[str, Slot]]:
    """Launches that find where the weights are that are not 0, and the slots that `visit` needs."""
    launches, slots = [], {"rows": Slot(rows), "columns": Slot(columns)}
    for name, weights in tuple(slots.items()):
        lines, size = elements(weights.view.shape[:-1]), weights.view.shape[-1]
        spans = scratch.words(2 * lines)
        values = {"lines": lines, "size": size}
        found = {"weights": weights, "spans": Slot(spans, written=True)}
        launches.append(
            Launch(f"spans of {name}", _spans(), -(-lines * WARP // THREADS), THREADS, values, found)
        )
        slots[f"{name}_spans"] = Slot(spans)
    return launches, slots


def _spans() -> Source:
    """The first weight of a line that is not 0 and one past the last, a warp for each line."""
    pointers = (Parameter("weights", to="f32"), *words("spans"))
    parameters = (*pointers, Parameter("lines", "u32"), Parameter("size", "u32"))
    out = Lines()
    with out.kernel(parameters):
        out.write(f"""
            lane = uint32(cuda.threadIdx.x & {WARP - 1})
            line = uint32(cuda.blockIdx.x * {THREADS // WARP} + (cuda.threadIdx.x >> 5))
            if line < lines:
                low = size
                high = uint32(0)
                first = uint32(0)
                while first < size:
                    place = uint32(first + lane)
                    some = False
                    if place < size:
                        some = weights[int64(line) * int64(size) + int64(place)] != float32(0.0)
                    found = uint32(cuda.ballot_sync(uint32(0xFFFFFFFF), some))
                    if found != uint32(0):
                        if high == uint32(0):
                            low = uint32(first + uint32(cuda.popc(~found & uint32(found - uint32(1)))))
                        high = uint32(first + uint32(32) - uint32(cuda.clz(found)))
                    first = uint32(first + uint32({WARP}))
                if lane == uint32(0):
                    spans[int64(line) * int64(2)] = low
                    spans[int64(line) * int64(2) + int64(1)] = high
        """)
    return out.source(parameters)


VISITED = (
    *(Parameter(name, to="f32") for name in ("x", "rows", "columns")),
    *words("rows_spans", "columns_spans"),
)


@contextmanager
def visit(out: Lines, at: Sequence[str], split: bool) -> Iterator[None]:
    """The lines for each pixel `y`, `across` of a cell where neither weight `wy`, `wx` is 0; it is `x[pixel_at]`.

    `at` is the map, region, row and column of the cell, and the first channel of the thread.
    """
    n, region, p, q, channel = at
    block = f"(int64({p}) * int64(size3) + int64({q})) * int64(channels) + " if split else ""
    out.write(f"""
        region = int64({n}) * int64(regions) + int64({region})
        row = region * int64(size2) + int64({p})
        column = region * int64(size3) + int64({q})
        top = rows_spans[row * int64(2)]
        bottom = rows_spans[row * int64(2) + int64(1)]
        left = columns_spans[column * int64(2)]
        right = columns_spans[column * int64(2) + int64(1)]
        map_at = int64({n}) * int64(height) * int64(width) * int64(pixel) + {block}int64({channel})
        y = top
    """)
    with out.block("while y < bottom"):
        out.add("wy = rows[row * int64(height) + int64(y)]")
        with out.block("if wy != float32(0.0)"):
            out.write("""
                across = left
                pixel_at = map_at + (int64(y) * int64(width) + int64(left)) * int64(pixel)
            """)
            with out.block("while across < right"):
                out.add("wx = columns[column * int64(width) + int64(across)]")
                with out.block("if wx != float32(0.0)"):
                    yield
                out.write("""
                    across = uint32(across + uint32(1))
                    pixel_at = pixel_at + int64(pixel)
                """)
        out.add("y = uint32(y + uint32(1))")


def channels_of(out: Lines, each: int, channel: str) -> None:
    """`far`: how far behind its first each channel of a thread lies; the last one again for those beyond."""
    out.write(f"""
        far = cuda.local.array({each}, uint32)
        for k in range({each}):
            far[k] = min(uint32(uint32(k) * size4), uint32(channels - {channel} - uint32(1)))
    """)


def is_own(channel: str) -> str:
    """Whether channel `k` of a thread is there."""
    return f"uint32({channel} + uint32(k) * size4) < channels"


def _cells(kind: str, split: bool, each: int) -> Source:
    """The sum, or the largest, of what each cell looks at."""
    parameters = (*VISITED, Parameter("out", to="f32"), *PARAMETERS)
    out = Lines()
    with out.kernel(parameters), each_element(out, 5) as (_, at):
        channels_of(out, each, at[4])
        start = "-math.inf" if kind == "max" else "0.0"
        out.write(f"""
            totals = cuda.local.array({each}, float32)
            for k in range({each}):
                totals[k] = float32({start})
        """)
        with visit(out, at, split):
            out.add("weight = wy * wx")
            with out.block(f"for k in range({each})"):
                seen = out.let("x[pixel_at + int64(far[k])]")
                if kind == "max":
                    out.add(f"totals[k] = {combined(out, 'max', 'totals[k]', seen, 'f32')}")
                else:
                    out.add(f"totals[k] = libdevice.fmaf(weight, {seen}, totals[k])")
        value = "totals[k] if some else float32(0.0)" if kind == "max" else "totals[k]"
        out.write(f"""
            some = (top < bottom) & (left < right)
            cell = (row * int64(size3) + int64({at[3]})) * int64(channels) + int64({at[4]})
            for k in range({each}):
                if {is_own(at[4])}:
                    out[cell + int64(far[k])] = {value}
        """)
    return out.source(parameters)
