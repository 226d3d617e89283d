"""The words of drivers, which Numba compiles.

Drivers are the loops around the vector kernels: plain Python over addresses and strides, compiled by
Numba. Operations that Python does not have (reading memory at an address, calling the kernel at an address) are
the intrinsics here. They take and return int64 except where they say otherwise.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from netdsl.native.blocks import INT, address, block_at, rows_at
from netdsl.native.numba_ir import inlined

__all__ = ["address", "block_at", "call6", "call7", "call8", "inlined", "load", "load32", "rows_at", "save"]

I32, I64 = ir.IntType(32), ir.IntType(64)


def _pointer(b: Any, address: Any, offset: Any) -> Any:
    return b.inttoptr(b.add(address, offset), I64.as_pointer())


@intrinsic
def load(typing: Any, table: Any, index: Any) -> Any:
    """The int64 at position `index` from an address on."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.load(_pointer(b, args[0], b.shl(args[1], I64(3))))

    return INT(INT, INT), generate


@intrinsic
def save(typing: Any, table: Any, index: Any, value: Any) -> Any:
    """Put an int64 at position `index` from an address on."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        b.store(args[2], _pointer(b, args[0], b.shl(args[1], I64(3))))
        return context.get_dummy_value()

    return types.void(INT, INT, INT), generate


@intrinsic
def load32(typing: Any, address: Any) -> Any:
    """The 32-bit word at an address, as int64: for moving data without looking at it."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.sext(b.load(b.inttoptr(args[0], I32.as_pointer())), I64)

    return INT(INT), generate


def _caller(count: int) -> Any:
    kind = ir.FunctionType(ir.VoidType(), [I64] * count)

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        b.call(b.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[INT] * (count + 1)), generate


@intrinsic
def call6(typing: Any, kernel: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    """Call the kernel at an address with six int64s."""
    return _caller(6)


@intrinsic
def call7(typing: Any, kernel: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any) -> Any:
    """Call the kernel at an address with seven int64s."""
    return _caller(7)


@intrinsic
def call8(typing: Any, kernel: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any) -> Any:
    """Call the kernel at an address with eight int64s."""
    return _caller(8)
