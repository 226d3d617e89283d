"""The kernel of a product of matrices, tile by tile, for all roles of a contraction: implicit GEMM.

    total[row, column] = sum over terms of a[row, term] * b[term, column]

A block sums one tile over some of the terms, chunk by chunk: while a chunk in shared memory is multiplied, the next
one is on its way from global memory to registers, from where it goes to the other half of shared memory.  At the end
the sums go to shared memory, some rows at a time, so that the result is stored row by row.
"""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import WARP, divided, divisor_parameters
from netdsl.cuda.contract.core import Core, Operand, high, low
from netdsl.cuda.contract.finish import Finish
from netdsl.cuda.contract.reader import Reader
from netdsl.cuda.contract.simt import Simt
from netdsl.cuda.contract.tensor import Tensor
from netdsl.cuda.contract.tiles import Tile
from netdsl.cuda.step import Parameter, Source
from netdsl.primitives.precision import Precision


@dataclass(frozen=True)
class Product:
    """What the source of a product of matrices depends on."""

    a: Operand
    b: Operand
    tile: Tile
    finish: Finish
    precision: Precision = "f32"

    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters, each once."""
        found = [*self.a.parameters(), *self.b.parameters(), *self.finish.parameters()]
        found += [Parameter(name, "i32") for name in ("rows", "columns", "terms", "part_terms")]
        found += [p for name in ("row_tiles", "column_tiles", "groups") for p in divisor_parameters(name)]
        found += [Parameter("part_step", "i64")]
        return tuple(dict.fromkeys(found))

    def core(self, out: Lines) -> Core:
        """What multiplies."""
        return (Tensor if self.tile.tensor else Simt)(out, self.a, self.b, self.tile, self.precision)

    def source(self) -> Source:
        """The kernel."""
        return _Writer(self).source()


class _Writer:
    def __init__(self, product: Product) -> None:
        self.product, self.tile, self.out = product, product.tile, Lines()
        self.core = product.core(self.out)
        self.a, self.b = Reader(self.out, self.core.a), Reader(self.out, self.core.b)

    def source(self) -> Source:
        """The kernel."""
        out, tile, core = self.out, self.tile, self.core
        with out.kernel(self.product.parameters()):
            size = max(2 * core.half * core.item // 4, tile.warp_rows * core.pitch)
            out.add(f"shared = cuda.shared.array({size}, float32, 16)")
            core.arrays()
            self.a.array()
            self.b.array()
            self.product.finish.declare(out)
            self._where("int32(cuda.threadIdx.x)")
            self._block()
            self.a.prepare(self.first_row, "rows", self.group)
            self.b.prepare(self.first_column, "columns", self.group)
            self._chunks()
            self._store()
        blocks = tile.blocks if self.product.a.wide else tile.narrow_blocks
        return out.source(self.product.parameters(), (tile.threads, blocks))

    def _where(self, thread: str) -> None:
        """Where a thread is in the tile."""
        self.out.add(f"thread = {thread}")
        self.out.add(f"lane, warp = int32({low('thread', WARP)}), int32({high('thread', WARP)})")
        self.core.where()

    def _block(self) -> None:
        """The tile, the group and the part of the terms of this block."""
        out, tile = self.out, self.tile
        rest, column = divided(out, "uint32(cuda.blockIdx.x)", "column_tiles")
        rest, row = divided(out, rest, "row_tiles")
        part, group = divided(out, rest, "groups")
        self.first_row = out.let(f"int32({row} * {tile.rows})")
        self.first_column = out.let(f"int32({column} * {tile.columns})")
        self.group = out.let(f"int32({group})")
        self.part = part

    def _chunks(self) -> None:
        out, tile, core = self.out, self.tile, self.core
        with out.block(f"for i in range({tile.high * tile.wide})"):
            out.add("sums[i] = float32(0.0)")
        out.add(f"first = int32({self.part} * part_terms)")
        end = out.let("int32(min(terms, int32(first + part_terms)))")
        out.add("half = int32(0)")
        self._read(end)
        self._put()
        with out.block(f"while first < {end}"):
            out.add(f"first = int32(first + {tile.depth})")
            self._read(end)
            core.multiply("half")
            out.add(f"half = int32({core.half} - half)")
            self._put()

    def _read(self, end: str) -> None:
        """A chunk is on its way; of none there is nothing read."""
        self.a.read("first", end)
        self.b.read("first", end)

    def _put(self) -> None:
        """What was read goes to the half of shared memory that nobody reads."""
        self.a.store("half")
        self.b.store("half")
        self.out.add("cuda.syncthreads()")

    def _store(self) -> None:
        """Warps side by side put their rows into shared memory, all threads store them."""
        out, tile, finish = self.out, self.tile, self.product.finish
        shift = out.let(f"int64({self.part}) * part_step")
        self._where("thread_again()")  # what would take registers from the sums while these are computed
        with out.block(f"for warps in range({tile.rows // tile.warp_rows})"):
            out.add("cuda.syncthreads()")
            with out.block(f"if {self.core.warp_row} == warps"):
                self.core.dump()
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
        gap = self.core.pitch - self.tile.columns
        at = f"int32(at + {high('at', self.tile.columns)} * {gap})" if gap else "at"
        if width == 1:
            return [self.out.let(f"shared[{at}]")]
        names = [self.out.fresh() for _ in range(width)]
        self.out.add(f"{', '.join(names)} = load4(shared, {at})")
        return names
