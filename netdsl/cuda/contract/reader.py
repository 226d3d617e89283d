"""How the threads of a block bring one operand's part of a chunk from global memory to shared memory."""

from __future__ import annotations

from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.contract.core import Chunk, high, low
from netdsl.cuda.contract.index import Place


class Reader:
    """Writes reads to registers, the array `a_read` or `b_read` of a thread, and stores from there.

    A thread has vectors of neighbours, as long as the chunk says, and so many rows or terms from one to the next as
    threads stand side by side.
    """

    def __init__(self, out: Lines, chunk: Chunk) -> None:
        self.out, self.chunk, self.operand = out, chunk, chunk.operand
        tile, self.by_term, self.vector = chunk.tile, self.operand.by_term, chunk.vector
        self.inner = (tile.depth if self.by_term else chunk.extent) // self.vector
        self.outer = tile.threads // self.inner
        self.vectors = chunk.extent * tile.depth // self.vector // tile.threads
        assert self.vectors and self.outer and tile.threads % self.inner == 0, (self.operand, tile)

    def array(self) -> None:
        """Write the array of a thread."""
        self.out.add(f"{self.operand.name}_read = cuda.local.array({self.vectors * self.vector}, float32)")

    def prepare(self, first: str, count: str, group: str) -> None:
        """What does not change from chunk to chunk: `first` is the tile's first row or column, of `count`."""
        out = self.out
        self.group = out.let(f"int32({group} * {self.operand.name}_group)")
        near = out.let(f"int32({low('thread', self.inner)} * {self.vector})")
        far = out.let(f"int32({high('thread', self.inner)})")
        self.row, self.term = (far, near) if self.by_term else (near, far)
        rows = self._far(self.row) if self.by_term else self._near(self.row)
        self.rows: list[Place] = []
        for row in rows:
            at = out.let(f"int32({first} + {row})")
            self.rows.append(self.operand.along.place(out, at, out.let(f"{at} < {count}")))
        self.place = self.chunk.place(self.row, self.term)

    def _far(self, first: str) -> list[str]:
        """The rows or terms of the vectors."""
        return [
            self.out.let(f"int32({first} + {k * self.outer})") if k else first for k in range(self.vectors)
        ]

    def _near(self, first: str) -> list[str]:
        """Those within a vector that are read one by one."""
        count = self.vector // self.operand.width
        return [self.out.let(f"int32({first} + {q})") if q else first for q in range(count)]

    def read(self, first: str, end: str) -> None:
        """Read a chunk from term `first` on; zero from `end` on and in the padding."""
        out = self.out
        terms = self._near(self.term) if self.by_term else self._far(self.term)
        for t, term in enumerate(terms):
            at = out.let(f"int32({first} + {term})")
            there = self.operand.term.place(out, at, f"({at} < {end})")
            for r, row in enumerate(self.rows):
                vector, lane = (r, t) if self.by_term else (t, r)
                self._read(vector * self.vector + lane, row, there)

    def _read(self, slot: int, row: Place, term: Place) -> None:
        name = self.operand.name
        pairs = zip(row.coordinates, term.coordinates, strict=True) if self.operand.bounds else ()
        bounds = [f"(uint32({p} + {q}) < bound{a})" for a, (p, q) in enumerate(pairs)]
        inside = " & ".join([row.inside, term.inside, *bounds])
        at = f"int32({self.group} + {row.offset} + {term.offset})"
        self.out.add(f"fetch{self.operand.width}({name}_read, {slot}, {name}, {at}, {inside})")

    def store(self, half: str) -> None:
        """Store what was read to a half of shared memory, given by its first element."""
        for k in range(self.vectors):
            self.chunk.put(self.chunk.further(self.place, half, k * self.outer), k * self.vector)
