"""The kernel of a product of matrices, tile by tile, for all roles of a contraction: implicit GEMM.

    total[row, column] = sum over terms of a[row, term] * b[term, column]

A block sums one tile over some of the terms, chunk by chunk: while a chunk in shared memory is multiplied, the next
one is on its way from global memory to registers, from where it goes to the other half of shared memory, the terms
outermost.  At the end the sums go to shared memory, some rows at a time, so that the result is stored row by row.
"""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import WARP, divided, divisor_parameters
from netdsl.cuda.contract.finish import Finish
from netdsl.cuda.contract.index import Index, Place
from netdsl.cuda.contract.tiles import WARP_COLUMNS, Tile
from netdsl.cuda.intrinsics import LANES
from netdsl.cuda.step import Parameter, Source

GAP = 4
"""Floats between rows of shared memory: those that store along the terms meet different banks."""


@dataclass(frozen=True)
class Operand:
    """One factor in a source: `along` is its row (of a) or column (of b), `term` the term of the sum.

    `wide` says that it is read four elements at a time.
    """

    name: str
    along: Index
    term: Index
    wide: bool

    @property
    def width(self) -> int:
        """Elements of a read."""
        return LANES if self.wide else 1

    @property
    def by_term(self) -> bool:
        """Whether the terms are neighbours in memory, not the rows or columns."""
        return self.term.contiguous and not self.along.contiguous

    @property
    def bounds(self) -> int:
        """Axes along which a pixel may lie outside of the source."""
        return self.term.axes if self.term.bounded else 0

    def parameters(self) -> list[Parameter]:
        """The pointer, the step from group to group, sizes and strides."""
        sizes = [Parameter(f"bound{a}", "u32") for a in range(self.bounds)]
        pointer = [Parameter(self.name, to="f32"), Parameter(f"{self.name}_group", "i32")]
        return [*pointer, *sizes, *self.along.parameters(), *self.term.parameters()]


@dataclass(frozen=True)
class Product:
    """What the source of a product of matrices depends on."""

    a: Operand
    b: Operand
    tile: Tile
    finish: Finish

    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters, each once."""
        found = [*self.a.parameters(), *self.b.parameters(), *self.finish.parameters()]
        found += [Parameter(name, "i32") for name in ("rows", "columns", "terms", "part_terms")]
        found += [p for name in ("row_tiles", "column_tiles", "groups") for p in divisor_parameters(name)]
        found += [Parameter("part_step", "i64")]
        return tuple(dict.fromkeys(found))

    def source(self) -> Source:
        """The kernel."""
        return _Writer(self).source()


class _Reader:
    """Writes how the threads of a block bring one operand's part of a chunk to shared memory."""

    def __init__(self, out: Lines, operand: Operand, extent: int, tile: Tile, start: int) -> None:
        self.out, self.operand, self.extent = out, operand, extent
        self.start, self.pitch = start, extent + GAP
        self.by_term, self.width = operand.by_term, operand.width
        inner = (tile.depth if self.by_term else extent) // self.width
        self.inner, self.outer = inner, tile.threads // inner
        self.reads = extent * tile.depth // self.width // tile.threads
        assert self.reads and self.outer and tile.threads % inner == 0, (operand, tile)

    def prepare(self, first: str, count: str, group: str) -> None:
        """What does not change from chunk to chunk: `first` is the tile's first row or column, of `count`."""
        out = self.out
        self.group = out.let(f"int32({group} * {self.operand.name}_group)")
        near = out.let(f"int32({low('thread', self.inner)} * {self.width})")
        far = out.let(f"int32({high('thread', self.inner)})")
        self.row, self.term = (far, near) if self.by_term else (near, far)
        rows = self._steps(self.row, self.by_term)
        self.rows: list[Place] = []
        for row in rows:
            at = out.let(f"int32({first} + {row})")
            self.rows.append(self.operand.along.place(out, at, out.let(f"{at} < {count}")))
        self.place = out.let(f"int32({self.row} + {self.term} * {self.pitch} + {self.start})")

    def _steps(self, first: str, several: bool) -> list[str]:
        count = self.reads if several else 1
        return [self.out.let(f"int32({first} + {k * self.outer})") if k else first for k in range(count)]

    def read(self, first: str, end: str) -> None:
        """Read a chunk from term `first` on; zero from `end` on and in the padding."""
        out, slot = self.out, 0
        for term in self._steps(self.term, not self.by_term):
            at = out.let(f"int32({first} + {term})")
            there = self.operand.term.place(out, at, f"({at} < {end})")
            for row in self.rows:
                self._read(slot, row, there)
                slot += self.width

    def _read(self, slot: int, row: Place, term: Place) -> None:
        name = self.operand.name
        pairs = zip(row.coordinates, term.coordinates, strict=True) if self.operand.bounds else ()
        bounds = [f"(uint32({p} + {q}) < bound{a})" for a, (p, q) in enumerate(pairs)]
        inside = " & ".join([row.inside, term.inside, *bounds])
        at = f"int32({self.group} + {row.offset} + {term.offset})"
        self.out.add(f"fetch{self.width}({name}_read, {slot}, {name}, {at}, {inside})")

    def store(self, half: str) -> None:
        """Store what was read to a half of shared memory, given by its first float."""
        step = self.outer * (1 if self.by_term else self.pitch)
        name = f"{self.operand.name}_read"
        for k in range(self.reads):
            at, slot = f"int32({self.place} + {half} + {k * step})", k * self.width
            if self.width == 1:
                self.out.add(f"shared[{at}] = {name}[{slot}]")
            elif self.by_term:
                self.out.add(f"spread4(shared, {at}, {self.pitch}, {name}, {slot})")
            else:
                self.out.add(f"put4(shared, {at}, {name}, {slot})")


class _Writer:
    def __init__(self, product: Product) -> None:
        self.product, self.tile, self.out = product, product.tile, Lines()
        tile = self.tile
        self.a = _Reader(self.out, product.a, tile.rows, tile, 0)
        self.b = _Reader(self.out, product.b, tile.columns, tile, tile.depth * self.a.pitch)
        self.half = tile.depth * (self.a.pitch + self.b.pitch)

    def source(self) -> Source:
        """The kernel."""
        out, tile = self.out, self.tile
        with out.kernel(self.product.parameters()):
            size = max(2 * self.half, tile.warp_rows * tile.columns)
            out.add(f"shared = cuda.shared.array({size}, float32, 16)")
            sizes = {"sums": tile.high * tile.wide, "left": tile.high, "right": tile.wide}
            sizes |= {f"{r.operand.name}_read": r.reads * r.width for r in (self.a, self.b)}
            for name, count in sizes.items():
                out.add(f"{name} = cuda.local.array({count}, float32)")
            self.product.finish.declare(out)
            self._where()
            self.a.prepare(self.first_row, "rows", self.group)
            self.b.prepare(self.first_column, "columns", self.group)
            self._chunks()
            self._store()
        blocks = tile.blocks if self.product.a.wide else tile.narrow_blocks
        return out.source(self.product.parameters(), (tile.threads, blocks))

    def _where(self) -> None:
        """The tile, the group and the part of the terms of this block, and where the thread is in the tile."""
        out, tile = self.out, self.tile
        out.add("thread = int32(cuda.threadIdx.x)")
        out.add(f"lane, warp = int32({low('thread', WARP)}), int32({high('thread', WARP)})")
        rest, column = divided(out, "uint32(cuda.blockIdx.x)", "column_tiles")
        rest, row = divided(out, rest, "row_tiles")
        part, group = divided(out, rest, "groups")
        self.first_row = out.let(f"int32({row} * {tile.rows})")
        self.first_column = out.let(f"int32({column} * {tile.columns})")
        self.group = out.let(f"int32({group})")
        self.part = part
        self.warp_row = out.let(f"int32({high('warp', tile.warps_across)})")
        self.lane_row = out.let(f"int32({high('lane', WARP_COLUMNS)} * {tile.high})")
        across = f"{low('warp', tile.warps_across)} * {WARP_COLUMNS * tile.wide}"
        self.lane_column = out.let(f"int32({across} + {low('lane', WARP_COLUMNS)} * {LANES})")

    def _chunks(self) -> None:
        out, tile = self.out, self.tile
        with out.block(f"for i in range({tile.high * tile.wide})"):
            out.add("sums[i] = float32(0.0)")
        start = out.let(f"int32({self.part} * part_terms)")
        end = out.let(f"int32(min(terms, int32({start} + part_terms)))")
        chunks = out.let(f"int32({high(f'({end} - {start} + {tile.depth - 1})', tile.depth)})")
        out.add("step = int32(0)")
        with out.block(f"while step <= {chunks}"):
            first = out.let(f"int32({start} + step * {tile.depth})")
            half = out.let(f"int32((step & 1) * {self.half})")
            self.a.read(first, end)
            self.b.read(first, end)
            with out.block("if step > 0"):
                self._multiply(out.let(f"int32({self.half} - {half})"))
            self.a.store(half)
            self.b.store(half)
            out.add("cuda.syncthreads()")
            out.add("step = int32(step + 1)")

    def _multiply(self, half: str) -> None:
        """A chunk: the sums of a thread grow by the products of its rows and columns, term by term."""
        out, tile = self.out, self.tile
        warp = out.let(f"int32({self.warp_row} * {tile.warp_rows} + {self.lane_row})")
        a = out.let(f"int32({half} + {warp})")
        b = out.let(f"int32({half} + {self.b.start} + {self.lane_column})")
        for k in range(tile.depth):
            self._fragment("left", tile.high, a, k * self.a.pitch, LANES)
            self._fragment("right", tile.wide, b, k * self.b.pitch, LANES * WARP_COLUMNS)
            out.add(f"outer{tile.high}x{tile.wide}(sums, left, right)")

    def _fragment(self, name: str, count: int, start: str, row: int, apart: int) -> None:
        for k in range(0, count, LANES):
            self.out.add(f"take4({name}, {k}, shared, {start}, {row + k // LANES * apart})")

    def _store(self) -> None:
        """Warps side by side put their rows into shared memory, all threads store them."""
        out, tile, finish = self.out, self.tile, self.product.finish
        shift = out.let(f"int64({self.part}) * part_step")
        with out.block(f"for warps in range({tile.rows // tile.warp_rows})"):
            out.add("cuda.syncthreads()")
            with out.block(f"if {self.warp_row} == warps"):
                self._dump()
            out.add("cuda.syncthreads()")
            out.add(f"at = int32(thread * {finish.width})")
            with out.block(f"while at < {tile.warp_rows * tile.columns}"):
                inner = high("at", tile.columns)
                row = out.let(f"int32({self.first_row} + warps * {tile.warp_rows} + {inner})")
                column = out.let(f"int32({self.first_column} + {low('at', tile.columns)})")
                with out.block(f"if ({row} < rows) & ({column} < columns)"):
                    totals = self._totals(finish.width)
                    channel = out.let(f"uint32({self.group} * columns + {column})")
                    finish.emit(out, totals, out.let(f"uint32({row})"), channel, f" + {shift}")
                out.add(f"at = int32(at + {tile.threads * finish.width})")

    def _totals(self, width: int) -> list[str]:
        """The sums that a thread stores together."""
        if width == 1:
            return [self.out.let("shared[at]")]
        names = [self.out.fresh() for _ in range(width)]
        self.out.add(f"{', '.join(names)} = load4(shared, at)")
        return names

    def _dump(self) -> None:
        out, tile = self.out, self.tile
        with out.block(f"for i in range({tile.high})"):
            for j in range(0, tile.wide, LANES):
                row = f"({self.lane_row} + i) * {tile.columns}"
                at = f"int32({row} + {self.lane_column} + {j * WARP_COLUMNS})"
                out.add(f"put4(shared, {at}, sums, i * {tile.wide} + {j})")


def low(x: str, power: int) -> str:
    """An int32 modulo a power of 2."""
    return f"({x} & {power - 1})"


def high(x: str, power: int) -> str:
    """An int32 divided by a power of 2."""
    return f"({x} >> {power.bit_length() - 1})"
