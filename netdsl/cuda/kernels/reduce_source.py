"""The source of reductions: threads that walk along the reduced axes, and how their values become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netdsl.backend.tape import Tape
from netdsl.cuda.codegen.fold import Fold
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import WARP, coordinates, divided, divisor_parameters, nest_parameters, place
from netdsl.cuda.codegen.scalar import evaluated
from netdsl.cuda.codegen.streams import Streams, element
from netdsl.cuda.codegen.wide import Lane, load_wide
from netdsl.cuda.intrinsics import LANES
from netdsl.cuda.step import Parameter, Source
from netdsl.scalar.operators import Dtype

THREADS = 256
#: steps whose sum joins the total at once, so that long sums lose little
BLOCK = 16


@dataclass(frozen=True)
class Tile:
    """How a block of threads is laid over results and reduced elements.

    `columns`: neighbouring threads have neighbouring results, else neighbouring elements of one result.  `team` are
    the threads of a result, a power of 2.  A thread takes `unroll` elements at once, or vectors of elements along
    the innermost axis, where `lanes` says how each operand and counter moves along them; no lanes, no vectors.
    """

    columns: bool
    team: int
    unroll: int
    lanes: tuple[Lane, ...] = ()

    @property
    def width(self) -> int:
        """Elements of a vector."""
        return LANES if self.lanes else 1

    @property
    def results(self) -> int:
        """Results, or vectors of them, of a block."""
        return THREADS // self.team

    @property
    def step(self) -> int:
        """Reduced elements, or vectors of them, that the threads of a result take at once."""
        return self.team * self.unroll


def reduce_source(
    kind: str, program: Tape, dtypes: Sequence[Dtype], kept: int, reduced: int, tile: Tile
) -> Source:
    """The kernel over so many kept and reduced axes; `dtypes` are those of the operands read and of the result."""
    return _Writer(Fold(kind, dtypes[-1]), program, dtypes, kept, reduced, tile).source()


class _Writer:
    def __init__(
        self, fold: Fold, program: Tape, dtypes: Sequence[Dtype], kept: int, reduced: int, tile: Tile
    ) -> None:
        self.fold, self.program, self.dtypes, self.tile = fold, program, dtypes, tile
        self.kept, self.reduced = kept, reduced
        self.streams = Streams(program, dtypes)
        self.result = len(dtypes) - 1
        self.out = Lines()

    def source(self) -> Source:
        """The parameters: addresses, both nests, elements and groups of results of a part, partial results."""
        numbers = [Parameter("chunk", "u32"), *divisor_parameters("groups"), Parameter("partial", "i64")]
        if self.tile.lanes:
            numbers += [Parameter(f"lane{s}", "i64") for s in range(self.streams.count)]
        nests = nest_parameters(self.kept, self.streams.count, "k")
        nests += nest_parameters(self.reduced, self.streams.count, "r")
        parameters = (*self.streams.pointers(), *numbers, *nests)
        with self.out.kernel(parameters):
            self._body()
        return self.out.source(parameters)

    def _body(self) -> None:
        """Threads beyond the last result repeat it, since all lanes take part in a shuffle, and store nothing."""
        out, tile = self.out, self.tile
        thread, block = out.let("uint32(cuda.threadIdx.x)"), out.let("uint32(cuda.blockIdx.x)")
        part, group = divided(out, block, "groups")
        low, high = (
            out.let(f"{thread} & uint32({self._fast - 1})"),
            out.let(f"{thread} // uint32({self._fast})"),
        )
        column, row = (low, high) if tile.columns else (high, low)
        k = out.let(f"uint32({group} * uint32({tile.results}) + {column})")
        inside = out.let(f"{k} < kcount")
        at = coordinates(out, out.let(f"{k} if {inside} else uint32(kcount - uint32(1))"), self.kept, "k")
        bases = [place(out, s, at, "k") for s in range(self.streams.count)]
        self._walk(part, row, bases)
        value = self._fold(thread)
        with out.block(f"if {inside} & ({row} == uint32(0))"):
            start = out.let(f"{bases[self.result]} + int64({part}) * partial")
            lane = f" + int64(v) * lane{self.result}" if tile.lanes else ""
            with out.block(f"for v in range({tile.width if tile.columns else 1})"):
                stored = f"uint8({value})" if self.dtypes[-1] == "bool" else value
                out.add(f"p{self.result}[{start}{lane}] = {stored}")

    @property
    def _fast(self) -> int:
        """Neighbouring threads that are neighbours along results or along elements."""
        return self.tile.results if self.tile.columns else self.tile.team

    # --- a thread along its elements ----------------------------------------------------------------------

    def _walk(self, part: str, row: str, bases: Sequence[str]) -> None:
        """The folds of a thread's elements, `total`, one for each element it takes at once."""
        out, tile, count = self.out, self.tile, self.tile.unroll * self.tile.width
        first = out.let(f"uint32({part} * chunk)")
        end = out.let(f"uint32({first} + chunk)")
        last = out.let(f"{end} if {end} < rcount else rcount")
        out.add(f"at = uint32({first} + {row})")
        self._fresh("total")
        for s, lane in enumerate(tile.lanes):
            if lane == "wide":
                out.add(f"wide{s} = cuda.local.array({LANES}, float32)")
        with out.block(f"while at < {last}"):
            if (self.fold.kind, self.fold.dtype) != ("sum", "f32"):
                self._step("total", last, bases)
            else:
                long = out.let(f"uint32(at + uint32({BLOCK * tile.step}))")
                stop = out.let(f"{long} if {long} < {last} else {last}")
                self._fresh("part")
                with out.block(f"while at < {stop}"):
                    self._step("part", last, bases)
                with out.block(f"for i in range({count})"):
                    out.add("total[i] = total[i] + part[i]")

    def _fresh(self, name: str) -> None:
        count = self.tile.unroll * self.tile.width
        self.out.write(f"""
            {name} = cuda.local.array({count}, {self.fold.type})
            for i in range({count}):
                {name}[i] = {self.fold.neutral}
        """)

    def _step(self, into: str, last: str, bases: Sequence[str]) -> None:
        """Elements at once are loaded without a branch between them: one past the end is the last one again."""
        out, tile = self.out, self.tile
        with out.block(f"for u in range({tile.unroll})"):
            q = out.let(f"uint32(at + uint32(u) * uint32({tile.team}))")
            within = out.let(f"{q} < {last}")
            at = coordinates(
                out, out.let(f"{q} if {within} else uint32({last} - uint32(1))"), self.reduced, "r"
            )

            def start(stream: int) -> str:
                return out.let(f"{bases[stream]} + {place(out, stream, at, 'r')}")

            if tile.lanes:
                self._vector(into, within, start)
            else:
                self._add(into, "u", within, self.streams.leaf(out, start))
        out.add(f"at = uint32(at + uint32({tile.step}))")

    def _vector(self, into: str, within: str, start: Callable[[int], str]) -> None:
        """A vector along the innermost axis; what all of its elements share is computed once."""
        out, lanes = self.out, self.tile.lanes
        places = {s: start(s) for s in range(self.streams.count) if s != self.result}
        same: dict[int, str] = {}
        for s in range(self.streams.reads):
            if lanes[s] == "wide":
                load_wide(out, f"wide{s}", f"p{s}", places[s])
            elif lanes[s] == "same":
                same[s] = element(out, f"p{s}[{places[s]}]", self.dtypes[s])
        with out.block(f"for v in range({LANES})"):

            def along(stream: int) -> str:
                return out.let(f"{places[stream]} + int64(v) * lane{stream}")

            def load(stream: int) -> str:
                if stream in same:
                    return same[stream]
                text = f"wide{stream}[v]" if lanes[stream] == "wide" else f"p{stream}[{along(stream)}]"
                return element(out, text, self.dtypes[stream])

            self._add(into, f"u * {LANES} + v", within, self.streams.leaf(out, along, load))

    def _add(self, into: str, index: str, within: str, leaf: Callable[[str, int], str]) -> None:
        out, fold = self.out, self.fold
        (value,) = evaluated(out, self.program, leaf)
        kept = out.let(f"{fold.element(value)} if {within} else {fold.neutral}")
        out.add(f"{into}[{index}] = {fold.pair(out, out.let(f'{into}[{index}]'), kept)}")

    # --- threads of a result --------------------------------------------------------------------------------

    def _fold(self, thread: str) -> str:
        """The results of a thread, where it is the first of their team; `total[v]` are those of columns."""
        out, fold, tile, count = self.out, self.fold, self.tile, self.tile.unroll * self.tile.width
        if tile.columns:
            fold.halve(out, "total", count, tile.width)
            if tile.team > 1:
                fold.rows(out, "total", tile.width, thread, THREADS, tile.results)
            return "total[v]" if tile.lanes else "total[0]"
        fold.halve(out, "total", count, 1)
        out.add("value = total[0]")
        if tile.team > 1:
            fold.lanes(out, "value", min(tile.team, WARP))
        if tile.team > WARP:
            fold.warps(out, "value", thread, tile.team // WARP)
        return "value"
