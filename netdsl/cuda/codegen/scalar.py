"""Prints tapes of scalar expressions as lines for `numba.cuda`, one element a thread.

The meaning is that of `netdsl.scalar.evaluate`, as on every device: a float operand makes both floats, `max` and
`min` give NaN when either operand is NaN, integers wrap, and an integer divided by zero is zero.  Each literal is
written with its type, since Python's numbers would make a float64 of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from netdsl.backend.tape import Instruction, Tape
from netdsl.cuda.codegen.functions import BINARY, UNARY, number
from netdsl.cuda.codegen.lines import Lines
from netdsl.scalar.operators import Dtype

TYPE: Mapping[Dtype, str] = {"f32": "float32", "i64": "int64", "bool": "boolean"}
_ARITHMETIC = {"add": "+", "sub": "-", "mul": "*"}
_COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}


class Printer:
    """Writes a tape into a kernel.

    `leaf(kind, number)` names the values from outside: ("arg", operand), ("index", axis) as an int64 and
    ("flat", 0) as the flat index modulo 2^32, a uint32.
    """

    def __init__(self, out: Lines, leaf: Callable[[str, int], str]) -> None:
        self.out, self.leaf = out, leaf

    def print(self, program: Tape) -> list[str]:
        """Write all lines; the names of the results."""
        names: list[str] = []
        drawn: dict[tuple[int, str], tuple[str, str]] = {}
        for line in program.lines:
            kids = [names[k] for k in line.kids]
            types = [program.lines[k].dtype for k in line.kids]
            if line.op == "uniform":
                stream, word = int(line.detail[0]), int(line.detail[1])
                if (draw := (stream, kids[0])) not in drawn:
                    drawn[draw] = self._threefry(self.cast(kids[0], types[0], "i64"), stream)
                names.append(self._unit(drawn[draw][word]))
            else:
                names.append(self._line(line, kids, types))
        return [names[r] for r in program.results]

    def _line(self, line: Instruction, kids: list[str], types: list[Dtype]) -> str:
        match line.op, kids:
            case (("arg" | "index"), []):
                return self.leaf(line.op, int(line.detail[0]))
            case "lit", []:
                return self.out.let(literal(str(line.detail[0]), line.dtype))
            case "where", [c, a, b]:
                a, b = (self.cast(v, t, line.dtype) for v, t in ((a, types[1]), (b, types[2])))
                return self.out.let(f"{a} if {self.cast(c, types[0], 'bool')} else {b}")
            case (("cast" | "float" | "int"), [x]):
                return self.cast(x, types[0], line.dtype)
            case "not", [x]:
                return self.out.let(f"not {self.cast(x, types[0], 'bool')}")
            case op, [x]:
                return self._unary(op, self.cast(x, types[0], line.dtype), line.dtype)
            case op, [a, b]:
                return self._binary(op, a, b, types, line.dtype)
        raise TypeError(f"no code for {line.op} of {len(kids)} operands")

    def cast(self, x: str, source: Dtype, target: Dtype) -> str:
        """Another type: floats to integers towards zero (saturated, 0 for NaN), numbers to bool by `!= 0`."""
        if source == target:
            return x
        if target == "bool":
            return self.out.let(f"{x} != {TYPE[source]}(0)")
        if source == "f32":
            return self.out.let(f"int64(0) if {x} != {x} else libdevice.float2ll_rz({x})")
        return self.out.let(f"{TYPE[target]}({x})")

    def combine(self, op: str, a: str, b: str, dtype: Dtype) -> str:
        """An arithmetic operator on two values of one type, f32 or i64."""
        return BINARY[op](self.out, a, b) if dtype == "f32" else self._integers(op, a, b)

    def _unary(self, op: str, x: str, dtype: Dtype) -> str:
        if dtype == "f32":
            return UNARY[op](self.out, x)
        if dtype == "bool" and op in ("abs", "sign"):
            return x
        if dtype == "bool":
            raise TypeError(f"{op} of a bool means nothing")
        zero = "int64(0)"
        texts = {
            "neg": f"{zero} - {x}",
            "abs": f"{zero} - {x} if {x} < {zero} else {x}",
            "sign": f"int64({x} > {zero}) - int64({x} < {zero})",
        }
        return self.out.let(texts[op])

    def _binary(self, op: str, a: str, b: str, types: list[Dtype], dtype: Dtype) -> str:
        if op in ("and", "or"):
            a, b = (self.cast(v, t, "bool") for v, t in zip((a, b), types, strict=True))
            return self.out.let(f"{a} {'&' if op == 'and' else '|'} {b}")
        common: Dtype = "f32" if "f32" in types or op == "div" else "i64"
        a, b = (self.cast(v, t, common) for v, t in zip((a, b), types, strict=True))
        if op in _COMPARE:
            return self.out.let(f"{a} {_COMPARE[op]} {b}")
        return self.combine(op, a, b, common)

    def _integers(self, op: str, a: str, b: str) -> str:
        match op:
            case "add" | "sub" | "mul":
                return self.out.let(f"{a} {_ARITHMETIC[op]} {b}")
            case "max" | "min":
                return self.out.let(f"{b} if {a} {'<' if op == 'max' else '>'} {b} else {a}")
            case "pow":
                return self._integer_power(a, b)
        return self._integer_division(op, a, b)

    def _integer_division(self, op: str, a: str, b: str) -> str:
        """Rounded down. x / 0 and the smallest / -1 mean nothing to a GPU: divide by 1 instead."""
        out, zero, one = self.out, "int64(0)", "int64(1)"
        safe = out.let(f"{one} if ({b} == {zero}) | ({b} == int64(-1)) else {b}")
        q = out.let(f"{a} // {safe}")
        if op == "mod":
            return out.let(f"{a} - {q} * {safe}")
        q = out.let(f"{zero} - {a} if {b} == int64(-1) else {q}")
        return out.let(f"{zero} if {b} == {zero} else {q}")

    def _integer_power(self, a: str, b: str) -> str:
        """Square and multiply, modulo 2^64; 0 for a negative exponent, which NumPy refuses."""
        out = self.out
        power, square, rest = out.let("int64(1)"), out.let(a), out.let(b)
        with out.block(f"while {rest} > int64(0)"):
            with out.block(f"if ({rest} & int64(1)) != int64(0)"):
                out.add(f"{power} = {power} * {square}")
            out.add(f"{square} = {square} * {square}")
            out.add(f"{rest} = {rest} >> int64(1)")
        return out.let(f"int64(0) if {b} < int64(0) else {power}")

    def _threefry(self, key: str, stream: int) -> tuple[str, str]:
        """Threefry-2x32-20 of counters (flat index, stream) under an i64 key; as in scalar/evaluate.py."""
        out = self.out
        high, low = out.let(f"uint32({key} >> int64(32))"), out.let(f"uint32({key})")
        keys = [high, low, out.let(f"uint32({high} ^ {low} ^ uint32(0x1BD11BDA))")]
        x0 = out.let(f"uint32({self.leaf('flat', 0)} + {high})")
        x1 = out.let(f"uint32(uint32({stream}) + {low})")
        for group in range(5):
            for turn in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
                x0 = out.let(f"uint32({x0} + {x1})")
                turned = f"({x1} << uint32({turn})) | ({x1} >> uint32({32 - turn}))"
                x1 = out.let(f"uint32(uint32({turned}) ^ {x0})")
            x0 = out.let(f"uint32({x0} + {keys[(group + 1) % 3]})")
            x1 = out.let(f"uint32({x1} + {keys[(group + 2) % 3]} + uint32({group + 1}))")
        return x0, x1

    def _unit(self, bits: str) -> str:
        return self.out.let(f"float32({bits} >> uint32(8)) * {number(2.0**-24)}")


def literal(text: str, dtype: Dtype) -> str:
    """A literal of a tape with its type."""
    if dtype == "f32":
        with np.errstate(over="ignore"):
            return number(float(np.float32(float(text))))
    return f"boolean({text})" if dtype == "bool" else f"int64({text})"
