"""Sums, maxima and minima as lines for `numba.cuda`: of the elements of a thread, of a warp and of a block."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import WARP
from netdsl.cuda.codegen.scalar import TYPE, combined, number
from netdsl.scalar.operators import Dtype


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

    def halve(self, out: Lines, values: str, count: int, left: int) -> None:
        """An array of a power of 2 of values becomes `left`, each half onto the other."""
        while count > left:
            count //= 2
            with out.block(f"for i in range({count})"):
                out.add(f"{values}[i] = {self.pair(out, f'{values}[i]', f'{values}[i + {count}]')}")

    def lanes(self, out: Lines, value: str, width: int) -> None:
        """A variable becomes the fold of `width` neighbouring lanes of a warp; all lanes of the warp take part."""
        out.add(f"distance = int32({width // 2})")
        with out.block("while distance > int32(0)"):
            other = out.let(f"cuda.shfl_xor_sync(0xFFFFFFFF, {value}, distance)")
            out.add(f"{value} = {self.pair(out, value, other)}")
            out.add("distance = int32(distance >> int32(1))")

    def warps(self, out: Lines, value: str, thread: str, count: int) -> None:
        """A variable that is the same in all lanes becomes the fold of the `count` warps, which are a block."""
        out.write(f"""
            shared = cuda.shared.array({count}, {self.type})
            if {thread} & uint32({WARP - 1}) == uint32(0):
                shared[{thread} // uint32({WARP})] = {value}
            cuda.syncthreads()
            {value} = shared[{thread} & uint32({count - 1})]
        """)
        self.lanes(out, value, count)

    def rows(self, out: Lines, values: str, count: int, thread: str, threads: int, width: int) -> None:
        """An array of values becomes their fold over the rows of a block, of `width` threads each, in the first row.

        Each half of the threads onto the other: neighbours read neighbouring words, without conflicts of banks.
        """
        out.write(f"""
            shared = cuda.shared.array({count * threads}, {self.type})
            for i in range({count}):
                shared[{thread} + uint32(i) * uint32({threads})] = {values}[i]
            half = uint32({threads // 2})
        """)
        with out.block(f"while half >= uint32({width})"):
            out.add("cuda.syncthreads()")
            with out.block(f"if {thread} < half"), out.block(f"for i in range({count})"):
                at = out.let(f"{thread} + uint32(i) * uint32({threads})")
                out.add(f"shared[{at}] = {self.pair(out, f'shared[{at}]', f'shared[{at} + half]')}")
            out.add("half = uint32(half >> uint32(1))")
        with out.block(f"for i in range({count})"):
            out.add(f"{values}[i] = shared[{thread} + uint32(i) * uint32({threads})]")
