"""Sums, maxima and minima as lines for `numba.cuda`: of the elements of a thread, of a warp and of a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.scalar import TYPE, combined, number
from netdsl.scalar.operators import Dtype

WARP = 32


@dataclass(frozen=True)
class Fold:
    """A reduction of values of a dtype.  A bool counts as 0 or 1 in 32 bits, which shuffles take."""

    kind: str
    dtype: Dtype

    @property
    def type(self) -> str:
        """The type of what is folded."""
        return "int32" if self.dtype == "bool" else TYPE[self.dtype]

    @property
    def neutral(self) -> str:
        """What changes nothing: 0, or the end of the type's range."""
        if self.kind == "sum":
            return f"{self.type}(0)"
        top = self.kind == "min"
        if self.dtype == "f32":
            return number(float("inf" if top else "-inf"))
        if self.dtype == "bool":
            return f"int32({int(top)})"
        return f"int64({2**63 - 1})" if top else f"(int64({-(2**63) + 1}) - int64(1))"

    def element(self, value: str) -> str:
        """A value of the dtype as it is folded."""
        return f"int32({value})" if self.dtype == "bool" else value

    def pair(self, out: Lines, a: str, b: str) -> str:
        """Two values become one."""
        if self.dtype == "bool":
            return out.let(f"{a} {'|' if self.kind == 'max' else '&'} {b}")
        op = {"sum": "add"}.get(self.kind, self.kind)
        return combined(out, op, a, b, self.dtype)

    def pairwise(self, out: Lines, values: Sequence[str], left: int = 1) -> list[str]:
        """A number of values that is a power of 2 becomes `left`, each half onto the other."""
        found = list(values)
        while len(found) > left:
            half = len(found) // 2
            found = [self.pair(out, a, b) for a, b in zip(found[:half], found[half:], strict=True)]
        return found

    def lanes(self, out: Lines, value: str, width: int) -> str:
        """The fold of `width` neighbouring lanes of a warp, in each of them; all lanes of the warp take part."""
        while width > 1:
            width //= 2
            value = self.pair(out, value, out.let(f"cuda.shfl_xor_sync(0xFFFFFFFF, {value}, {width})"))
        return value

    def warps(self, out: Lines, value: str, thread: str, count: int) -> str:
        """The fold of the values of `count` warps, which are a block, from one value a warp that all lanes hold."""
        out.add(f"shared = cuda.shared.array({count}, {self.type})")
        with out.block(f"if {thread} & uint32({WARP - 1}) == uint32(0)"):
            out.add(f"shared[{thread} // uint32({WARP})] = {value}")
        out.add("cuda.syncthreads()")
        return self.lanes(out, out.let(f"shared[{thread} & uint32({count - 1})]"), count)

    def rows(self, out: Lines, values: Sequence[str], thread: str, threads: int, width: int) -> list[str]:
        """The fold of the rows of a block, which are `width` threads each, in the threads of the first row.

        Each half of the threads onto the other: neighbours read neighbouring words, without conflicts of banks.
        """
        out.add(f"shared = cuda.shared.array({len(values) * threads}, {self.type})")
        places = [f"{thread} + uint32({k * threads})" for k in range(len(values))]
        for at, value in zip(places, values, strict=True):
            out.add(f"shared[{at}] = {value}")
        while threads > width:
            threads //= 2
            out.add("cuda.syncthreads()")
            with out.block(f"if {thread} < uint32({threads})"):
                for at in places:
                    below, above = out.let(f"shared[{at}]"), out.let(f"shared[{at} + uint32({threads})]")
                    out.add(f"shared[{at}] = {self.pair(out, below, above)}")
        return [out.let(f"shared[{at}]") for at in places]
