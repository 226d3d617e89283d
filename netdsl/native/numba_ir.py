"""Numba as a compiler of kernels: LLVM IR of Python functions of int64s, and the numbers at addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import llvmlite.binding as llvm
from llvmlite import ir
from numba import cfunc, config, njit, types
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic

from netdsl.native.blocks import signature_of

F = TypeVar("F", bound=Callable[..., Any])

#: a product and the sum it is added to are one operation, where the processor has that
TOGETHER = {"contract"}


def compiled_ir(function: Callable[..., None], arguments: int, symbol: str) -> str:
    """Return LLVM IR that defines `void symbol(int64 * arguments)` from a Python function; all else is internal."""
    # The library optimises all of its code itself, so Numba need not; the lock keeps others from seeing the change.
    with global_compiler_lock:
        level, config.OPT = config.OPT, type(config.OPT)(0)
        try:
            make = cfunc(
                signature_of(function, arguments), error_model="numpy", _nrt=False, fastmath=TOGETHER
            )
            compiled: Any = make(function)
        finally:
            config.OPT = level
    module = llvm.parse_assembly(compiled.inspect_llvm())
    for each in module.functions:
        if each.name == compiled._wrapper_name:
            each.name = symbol
        elif not each.is_declaration:
            each.linkage = "internal"
    for variable in module.global_variables:
        if not variable.is_declaration:
            variable.linkage = "internal"
    return str(module)


def inlined(function: F) -> F:
    """A part of a kernel: a function that kernels call."""
    return cast(F, njit(error_model="numpy", _nrt=False, fastmath=TOGETHER)(function))


def summed(function: F) -> F:
    """A part of a kernel that adds numbers in any order: LLVM keeps several sums, one in each lane of a vector."""
    return cast(F, njit(error_model="numpy", _nrt=False, fastmath=TOGETHER | {"reassoc", "nsz"})(function))


def _pointer_to(kind: Any) -> Any:
    """A word of kernels: `word(address)` points to numbers of this type, which are read and written as `x[i]`."""

    @intrinsic
    def at(typing: Any, address: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            return b.inttoptr(args[0], context.get_data_type(kind).as_pointer())

        return types.CPointer(kind)(types.int64), generate

    return at


floats, doubles = _pointer_to(types.float32), _pointer_to(types.float64)
octets, words = _pointer_to(types.uint8), _pointer_to(types.uint32)
counts, integers = _pointer_to(types.int32), _pointer_to(types.int64)


@intrinsic
def copy_pair(typing: Any, out: Any, to: Any, x: Any, at: Any) -> Any:
    """A word of kernels: copy two neighbouring float32 at once, which are looked up in half the time."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        pair = ir.IntType(64)
        target, source = (b.bitcast(b.gep(args[k], [args[k + 1]]), pair.as_pointer()) for k in (0, 2))
        b.store(b.load(source, align=4), target, align=4)
        return context.get_dummy_value()

    numbers = types.CPointer(types.float32)
    return types.void(numbers, types.int64, numbers, types.int64), generate


def _same_bits(before: Any, after: Any) -> Any:
    """A word of kernels: the bits of a number of one type as a number of another."""

    @intrinsic
    def bits(typing: Any, x: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            return b.bitcast(args[0], context.get_value_type(after))

        return after(before), generate

    return bits


bits_of, float_of = _same_bits(types.float32, types.int32), _same_bits(types.int32, types.float32)
