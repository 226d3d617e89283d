"""Steps: functions of lanes and mask, each made of an instruction's function and the slots it reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from netdsl.cuda.emulator.errors import UninitialisedRead
from netdsl.cuda.emulator.lanes import Lanes
from netdsl.cuda.emulator.memory import POISON, Array
from netdsl.cuda.emulator.memory_effects import Effect
from netdsl.cuda.emulator.operands import DTYPES, Immediate, Instruction, Register
from netdsl.cuda.emulator.program import Step


def poison(kind: str) -> Any:
    """What a register holds before it is written."""
    dtype = DTYPES[kind]
    return (
        np.frombuffer(bytes([POISON]) * 8, f"u{dtype.itemsize}")[0] if dtype.kind != "b" else np.bool_(False)
    )


def literal(i: Instruction, operand: Immediate, kind: str) -> Any:
    """A literal as a value of a type."""
    dtype = DTYPES[kind]
    if kind == "pred":
        return np.bool_(operand.value != 0)
    if operand.width:
        exact = np.dtype(f"u{operand.width // 8}").type(operand.value).view(f"f{operand.width // 8}")
        if dtype.kind == "f":
            return exact.astype(dtype)
        if dtype.itemsize * 8 == operand.width:
            return exact.view(dtype)
        raise i.refuse(f"a literal of {operand.width} bits is no .{kind}")
    if dtype.kind == "f":
        return dtype.type(operand.value)
    bits = 8 * dtype.itemsize
    if not -(1 << bits - 1) <= operand.value < 1 << max(bits, 32):
        raise i.refuse(f"{operand.value} is no .{kind}")
    return np.dtype(f"u{dtype.itemsize}").type(operand.value % (1 << bits)).view(dtype)


def _read(registers: list[Any], slot: int, want: np.dtype[Any], cut: int) -> Array:
    value = registers[slot]
    if cut > 0:
        value = value.view(f"u{value.dtype.itemsize}").astype(f"u{cut}")
    elif cut:
        return ~value
    return value if value.dtype is want else value.view(want)


def _write(registers: list[Any], slot: int, value: Array, extended: np.dtype[Any] | None) -> None:
    if slot >= 0:
        if extended is not None:
            value = value.view(f"{extended.kind}{value.dtype.itemsize}").astype(extended)
        registers[slot] = value


_Reads = Sequence[tuple[int, np.dtype[Any], int]]
_Writes = Sequence[tuple[int, np.dtype[Any] | None]]


def pure(function: Callable[..., Any], reads: _Reads, writes: _Writes) -> Step:
    """A function of values without a guard, which computes all lanes whether active or not."""
    (target, extended), plain = writes[0], len(writes) == 1 and not any(cut for *_, cut in reads)
    if plain and extended is None and target >= 0 and len(reads) in (1, 2, 3):
        return _direct(function, [(slot, want) for slot, want, _ in reads], target)

    def step(lanes: Lanes, mask: Array | None) -> None:
        registers = lanes.registers
        result = function(*[_read(registers, *each) for each in reads])
        for (slot, wide), value in zip(writes, result if len(writes) > 1 else (result,), strict=True):
            _write(registers, slot, value, wide)

    return step


def _direct(function: Callable[..., Any], reads: Sequence[tuple[int, np.dtype[Any]]], target: int) -> Step:
    """The common case, without loops."""
    a, ta = reads[0]
    b, tb = reads[1] if len(reads) > 1 else reads[0]
    c, tc = reads[-1]
    count = len(reads)

    def step(lanes: Lanes, mask: Array | None) -> None:
        registers = lanes.registers
        x = registers[a]
        if x.dtype is not ta:
            x = x.view(ta)
        if count == 1:
            registers[target] = function(x)
            return
        y = registers[b]
        if y.dtype is not tb:
            y = y.view(tb)
        if count == 2:
            registers[target] = function(x, y)
            return
        z = registers[c]
        registers[target] = function(x, y, z if z.dtype is tc else z.view(tc))

    return step


def masked(found: Effect, guard: Register | None, reads: _Reads, writes: _Writes) -> Step:
    """A step that looks at the mask, with or without a guard."""
    function, pure = found.function, found.pure

    def step(lanes: Lanes, mask: Array | None) -> None:
        registers = lanes.registers
        chosen = None
        if guard is not None:
            chosen = ~registers[guard.index] if guard.negated else registers[guard.index]
            everyone = lanes.full(chosen) if mask is None else mask & chosen
            if not everyone.any():
                return
            mask = None if everyone.all() else everyone
        values = [_read(registers, *each) for each in reads]
        result = function(*values) if pure else function(lanes, mask, *values)
        results = result if len(writes) > 1 or isinstance(result, list) else (result,)
        for (slot, wide), value in zip(writes, results, strict=False):
            old = registers[slot]
            _write(registers, slot, value, wide)
            if chosen is not None and slot >= 0:
                new = registers[slot]
                registers[slot] = np.where(chosen, new, old.view(new.dtype))[()]

    return step


def unwritten(i: Instruction) -> Step:
    """The fault of a register that nothing has written."""

    def step(lanes: Lanes, mask: Array | None) -> None:
        active = lanes.active(mask)
        lanes.fault(UninitialisedRead, i, "a register that nothing has written", int(active[0]))

    return step
