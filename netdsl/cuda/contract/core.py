"""The parts of a kernel in which products of matrices differ: how a chunk lies in shared memory, and is multiplied.

There are two cores: `simt` multiplies with the arithmetic of each thread, `tensor` with the tensor cores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.contract.index import Index
from netdsl.cuda.contract.tiles import Tile
from netdsl.cuda.intrinsics import LANES
from netdsl.cuda.step import Parameter
from netdsl.primitives.precision import Precision


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


class Chunk(ABC):
    """One operand's part of a chunk in shared memory, from element `start` of a half on.

    `vector` are the neighbours, rows or terms as they lie in memory, that a thread puts there together; `step` is how
    far a row (of an operand by terms) or a term is from the next, `size` the elements of all.
    """

    vector: int
    step: int
    size: int

    def __init__(self, out: Lines, operand: Operand, extent: int, tile: Tile, start: int) -> None:
        self.out, self.operand, self.extent, self.tile, self.start = out, operand, extent, tile, start

    @abstractmethod
    def place(self, row: str, term: str) -> str:
        """The element of a row and a term."""

    def further(self, place: str, half: str, steps: int) -> str:
        """The element `steps` rows or terms behind, in a half of shared memory."""
        return f"int32({place} + {half} + {steps * self.step})"

    @abstractmethod
    def put(self, at: str, slot: int) -> None:
        """Write what the thread has read, from its element `slot` on."""


class Core(ABC):
    """Writes how a block multiplies chunks: `a` and `b` are their parts, `half` the elements of both.

    The sums of a thread are the array `sums`.  `item` are the bytes of an element in shared memory, `pitch` the sums
    from row to row where they lie in shared memory at the end.
    """

    a: Chunk
    b: Chunk
    item: int
    pitch: int

    def __init__(self, out: Lines, tile: Tile) -> None:
        self.out, self.tile = out, tile

    @property
    def half(self) -> int:
        """Elements of a chunk."""
        return self.a.size + self.b.size

    @abstractmethod
    def arrays(self) -> None:
        """Write the arrays of a thread."""

    def where(self) -> None:
        """Write where the thread is in the tile: first the row of warps."""
        self.warp_row = self.out.let(f"int32({high('warp', self.tile.warps_across)})")

    @abstractmethod
    def multiply(self, half: str) -> None:
        """Write how sums grow by a chunk, which lies from an element of shared memory on."""

    @abstractmethod
    def dump(self) -> None:
        """Write how the sums of the rows of a warp go to shared memory."""


def round_here(out: Lines, precision: Precision, name: str, first: int, count: int) -> None:
    """Write that one or four elements of an array of the thread are rounded in their place.

    Every kernel of a contraction rounds its factors, whatever multiplies them, so that no result depends on the tile.
    """
    if precision != "f32":
        out.add(f"{precision}x{count}({name}, {first})")


def low(x: str, power: int) -> str:
    """An int32 modulo a power of 2."""
    return f"({x} & {power - 1})"


def high(x: str, power: int) -> str:
    """An int32 divided by a power of 2."""
    return f"({x} >> {power.bit_length() - 1})"
