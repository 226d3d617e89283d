"""Prints tapes of scalar expressions as LLVM IR, for every device that LLVM has code for.

The meaning is that of `netdsl.scalar.evaluate`: literals have the types of the tree, a float operand makes
both floats, `max` and `min` give NaN when either operand is NaN, integers wrap, and an integer divided by
zero is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
from llvmlite import ir

from netdsl.backend.tape import Instruction, Tape
from netdsl.native.emit import F32, I1, I32, I64, Value
from netdsl.native.functions import Functions
from netdsl.scalar.operators import Dtype

ELEMENT: Mapping[str, ir.Type] = {"f32": F32, "i64": I64, "bool": I1}


class Printer:
    """Writes a tape into a kernel, for vectors of `width` elements, or for scalars where it is 0.

    `leaf(kind, number)` gives the values from outside: ("arg", operand), ("index", axis) as i64 and ("flat", 0) as
    the flat index modulo 2^32, an i32.
    """

    def __init__(self, functions: Functions, width: int, leaf: Callable[[str, int], Value]) -> None:
        self.math, self.e, self.b = functions, functions.e, functions.b
        self.width, self.leaf = width, leaf

    def kind(self, element: ir.Type) -> ir.Type:
        """The type of values of an element."""
        return ir.VectorType(element, self.width) if self.width else element

    def print(self, program: Tape) -> list[Value]:
        """Emit all lines; the values of the results."""
        values: list[Value] = []
        drawn: dict[tuple[int, int], tuple[Value, Value]] = {}
        for line in program.lines:
            kids = [values[k] for k in line.kids]
            types = [program.lines[k].dtype for k in line.kids]
            if line.op == "uniform":
                stream, word = int(line.detail[0]), int(line.detail[1])
                if (draw := (stream, line.kids[0])) not in drawn:
                    drawn[draw] = self._threefry(self.cast(kids[0], types[0], "i64"), stream)
                values.append(self._unit(drawn[draw][word]))
            else:
                values.append(self._line(line, kids, types))
        return [values[r] for r in program.results]

    def _line(self, line: Instruction, kids: list[Value], types: list[Dtype]) -> Value:
        match line.op, kids:
            case (("arg" | "index"), []):
                return self.leaf(line.op, int(line.detail[0]))
            case "lit", []:
                return self._literal(str(line.detail[0]), line.dtype)
            case "where", [c, a, b]:
                a, b = (self.cast(v, t, line.dtype) for v, t in ((a, types[1]), (b, types[2])))
                return self.b.select(self.cast(c, types[0], "bool"), a, b)
            case (("cast" | "float" | "int"), [x]):
                return self.cast(x, types[0], line.dtype)
            case "not", [x]:
                return self.b.not_(self.cast(x, types[0], "bool"))
            case op, [x]:
                return self._unary(op, self.cast(x, types[0], line.dtype), line.dtype)
            case op, [a, b]:
                return self._binary(op, a, b, types, line.dtype)
        raise TypeError(f"no code for {line.op} of {len(kids)} operands")

    def _literal(self, text: str, dtype: Dtype) -> Value:
        kind = self.kind(ELEMENT[dtype])
        if dtype == "f32":
            with np.errstate(over="ignore"):
                return self.e.constant(kind, float(np.float32(float(text))))
        return self.e.constant(kind, text == "True" if dtype == "bool" else int(text))

    def cast(self, x: Value, source: Dtype, target: Dtype) -> Value:
        """Another type: floats to integers towards zero, numbers to bool by `!= 0`."""
        if source == target:
            return x
        kind = self.kind(ELEMENT[target])
        match source, target:
            case "bool", "i64":
                return self.b.zext(x, kind)
            case "bool", "f32":
                return self.b.uitofp(x, kind)
            case "i64", "f32":
                return self.b.sitofp(x, kind)
            case "i64", "bool":
                return self.b.icmp_signed("!=", x, ir.Constant(x.type, None))
            case "f32", "bool":
                return self.b.fcmp_unordered("!=", x, ir.Constant(x.type, None))
        return self.math.to_i64(x, kind)

    # --- one operand -----------------------------------------------------------------------------

    def _unary(self, op: str, x: Value, dtype: Dtype) -> Value:
        if dtype == "f32":
            return self._unary_float(op, x)
        if dtype == "bool" and op in ("abs", "sign"):
            return x
        if dtype == "bool":
            raise TypeError(f"{op} of a bool means nothing")
        zero = ir.Constant(x.type, None)
        negative = self.b.icmp_signed("<", x, zero)
        if op == "neg":
            return self.b.neg(x)
        if op == "abs":
            return self.b.select(negative, self.b.neg(x), x)
        if op == "sign":
            positive = self.b.zext(self.b.icmp_signed(">", x, zero), x.type)
            return self.b.sub(positive, self.b.zext(negative, x.type))
        raise TypeError(f"no code for {op} of i64")

    def _unary_float(self, op: str, x: Value) -> Value:
        match op:
            case "neg":
                return self.math.negate(x)
            case "abs":
                return self.math.absolute(x)
            case _ if op in _FUNCTIONS:
                return cast(Callable[[Value], Value], getattr(self.math, op))(x)
        raise TypeError(f"no code for {op} of f32")

    # --- two operands ----------------------------------------------------------------------------

    def combine(self, op: str, a: Value, b: Value, dtype: Dtype) -> Value:
        """An arithmetic operator on two vectors of one type, f32 or i64."""
        return self._float_pair(op, a, b) if dtype == "f32" else self._integer_pair(op, a, b)

    def _binary(self, op: str, a: Value, b: Value, types: list[Dtype], dtype: Dtype) -> Value:
        if op in ("and", "or"):
            a, b = (self.cast(v, t, "bool") for v, t in zip((a, b), types, strict=True))
            return self.b.and_(a, b) if op == "and" else self.b.or_(a, b)
        common: Dtype = "f32" if "f32" in types or op == "div" else "i64"
        if op in _COMPARE and types == ["bool", "bool"]:
            common = "i64"
        a, b = (self.cast(v, t, common) for v, t in zip((a, b), types, strict=True))
        if op in _COMPARE:
            return self._compare(_COMPARE[op], a, b, common)
        return self.combine(op, a, b, common)

    def _compare(self, symbol: str, a: Value, b: Value, dtype: Dtype) -> Value:
        if dtype == "i64":
            return self.b.icmp_signed(symbol, a, b)
        return self.b.fcmp_unordered(symbol, a, b) if symbol == "!=" else self.b.fcmp_ordered(symbol, a, b)

    def _float_pair(self, op: str, a: Value, b: Value) -> Value:
        match op:
            case "add":
                return self.b.fadd(a, b)
            case "sub":
                return self.b.fsub(a, b)
            case "mul":
                return self.b.fmul(a, b)
            case "div":
                return self.b.fdiv(a, b)
            case "max":
                return self.math.maximum(a, b)
            case "min":
                return self.math.minimum(a, b)
            case "pow":
                return self.math.pow(a, b)
        quotient, remainder = self.math.floordiv(a, b)
        return quotient if op == "floordiv" else remainder

    def _integer_pair(self, op: str, a: Value, b: Value) -> Value:
        match op:
            case "add":
                return self.b.add(a, b)
            case "sub":
                return self.b.sub(a, b)
            case "mul":
                return self.b.mul(a, b)
            case "max":
                return self.b.select(self.b.icmp_signed("<", a, b), b, a)
            case "min":
                return self.b.select(self.b.icmp_signed("<", a, b), a, b)
            case "pow":
                return self._integer_power(a, b)
        return self._integer_division(op, a, b)

    def _integer_division(self, op: str, a: Value, b: Value) -> Value:
        """Rounded down. The processor traps on x / 0 and on the smallest / -1: divide by 1 instead."""
        zero, one = ir.Constant(a.type, None), self.e.constant(a.type, 1)
        by_zero = self.b.icmp_signed("==", b, zero)
        by_minus_one = self.b.icmp_signed("==", b, self.e.constant(a.type, -1))
        safe = self.b.select(self.b.or_(by_zero, by_minus_one), one, b)
        q = self.b.sdiv(a, safe)
        r = self.b.sub(a, self.b.mul(q, safe))
        crossed = self.b.icmp_signed("<", self.b.xor(r, safe), zero)
        wrong = self.b.and_(self.b.icmp_signed("!=", r, zero), crossed)
        if op == "mod":
            return self.b.select(wrong, self.b.add(r, safe), r)
        q = self.b.select(wrong, self.b.sub(q, one), q)
        q = self.b.select(by_minus_one, self.b.neg(a), q)
        return self.b.select(by_zero, zero, q)

    def _integer_power(self, a: Value, b: Value) -> Value:
        """Square and multiply, modulo 2^64; 0 for a negative exponent, which NumPy refuses."""
        zero, one = ir.Constant(a.type, None), self.e.constant(a.type, 1)
        with self.e.loop(0, 63, 1, (one, a, b)) as loop:
            power, square, rest = loop.carried
            odd = self.b.icmp_signed("!=", self.b.and_(rest, one), zero)
            power = self.b.select(odd, self.b.mul(power, square), power)
            loop.next(power, self.b.mul(square, square), self.b.lshr(rest, one))
        return self.b.select(self.b.icmp_signed("<", b, zero), zero, loop.results[0])

    # --- random numbers --------------------------------------------------------------------------

    def _threefry(self, key: Value, stream: int) -> tuple[Value, Value]:
        """Threefry-2x32-20 of counters (flat index, stream) under an i64 key; as in scalar/evaluate.py."""
        b, kind = self.b, self.kind(I32)
        high = b.trunc(b.lshr(key, self.e.constant(key.type, 32)), kind)
        low = b.trunc(key, kind)
        keys = [high, low, b.xor(b.xor(high, low), self.e.constant(kind, 0x1BD11BDA))]
        x0, x1 = b.add(self.leaf("flat", 0), high), b.add(self.e.constant(kind, stream), low)
        for group in range(5):
            for turn in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
                x0 = b.add(x0, x1)
                left, right = (self.e.constant(kind, n) for n in (turn, 32 - turn))
                x1 = b.xor(b.or_(b.shl(x1, left), b.lshr(x1, right)), x0)
            x0 = b.add(x0, keys[(group + 1) % 3])
            x1 = b.add(b.add(x1, keys[(group + 2) % 3]), self.e.constant(kind, group + 1))
        return x0, x1

    def _unit(self, bits: Value) -> Value:
        top = self.b.lshr(bits, self.e.constant(bits.type, 8))
        return self.b.fmul(self.e.to_float(top), self.e.constant(self.kind(F32), 2.0**-24))


#: the operators of a float that are functions of their own name
_FUNCTIONS = {"sqrt", "floor", "ceil", "round", "sign", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh"}
_FUNCTIONS |= {"sigmoid", "erf"}
_COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
