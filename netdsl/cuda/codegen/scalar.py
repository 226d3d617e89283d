"""Scalar expressions in kernels: a call of a function for each tape, whose code is the LLVM IR of all devices.

Python's text could say the same, but numba.cuda infers the type of each operation anew: 0.3 to 0.7 s for a kernel of
fifty, where a call costs a few ms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from llvmlite import ir

from netdsl.backend.tape import Tape, tape
from netdsl.cuda.codegen.functions import DeviceFunctions
from netdsl.cuda.codegen.lines import Lines
from netdsl.native.emit import Emitter, Value
from netdsl.native.scalar import Printer
from netdsl.scalar import Arg
from netdsl.scalar.expr import Binary
from netdsl.scalar.operators import Dtype

TYPE: Mapping[Dtype, str] = {"f32": "float32", "i64": "int64", "bool": "boolean"}
_SPECIAL = {"inf": "math.inf", "-inf": "-math.inf", "nan": "math.nan"}

Leaf = Callable[[str, int], str]
"""Names the values from outside: ("arg", operand), ("index", axis) as an int64 and ("flat", 0), a uint32."""


def evaluated(out: Lines, program: Tape, leaf: Leaf) -> list[str]:
    """Compute a tape; the names of its results."""
    return out.call(program, [leaf(kind, number) for kind, number in program.leaves()])


def combined(out: Lines, op: str, a: str, b: str, dtype: Dtype) -> str:
    """An arithmetic operator on two values of one type, f32 or i64."""
    (found,) = out.call(tape([Binary(op, Arg(0), Arg(1))], [dtype, dtype], [dtype]), [a, b])
    return found


def types_of(program: Tape) -> tuple[list[str], list[str]]:
    """The types that a tape takes and gives, as numba.cuda calls them."""
    dtypes = {int(line.detail[0]): line.dtype for line in program.lines if line.op == "arg"}
    taken = {"index": "int64", "flat": "uint32"}
    given = [taken.get(kind) or TYPE[dtypes[number]] for kind, number in program.leaves()]
    return given, [TYPE[program.lines[r].dtype] for r in program.results]


def emit(program: Tape, builder: ir.IRBuilder, values: list[Value]) -> list[Value]:
    """The code of a tape between the values that it takes and those that it gives."""
    known: dict[Any, Value] = dict(zip(program.leaves(), values, strict=True))
    functions = DeviceFunctions(Emitter(builder, values, 1))
    return Printer(functions, 0, lambda kind, number: known[kind, number]).print(program)


def number(value: float) -> str:
    """A float32 literal."""
    return f"float32({value!r})" if np.isfinite(value) else f"float32({_SPECIAL[str(value)]})"
