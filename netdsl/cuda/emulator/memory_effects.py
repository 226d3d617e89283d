"""Instructions that touch memory: the operands, types and function of loads, stores, atomics and copies."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any, Final

from netdsl.cuda.emulator import accesses
from netdsl.cuda.emulator.arithmetic import split
from netdsl.cuda.emulator.lanes import Lanes
from netdsl.cuda.emulator.memory import Array
from netdsl.cuda.emulator.operands import (
    DTYPES,
    HINTS,
    Address,
    Immediate,
    Instruction,
    Name,
    Operand,
    Register,
    Variable,
    Vector,
)

Typed = tuple[Operand, str]


@dataclass(frozen=True)
class Effect:
    """An instruction: operands read and written with their types, and the function between.

    A pure function takes the values read; others take the lanes and the mask before them.  It returns one value,
    or a sequence for several operands.
    """

    reads: tuple[Typed, ...]
    writes: tuple[Typed, ...]
    function: Callable[..., Any]
    pure: bool = False
    collective: bool = False


SPACES: Final = ("global", "shared", "local", "param", "const")
_ORDER: Final = frozenset(
    ["volatile", "relaxed", "acquire", "release", "acq_rel", "gpu", "cta", "sys", "cluster", "mmio"]
)
_WIDTHS: Final = {"v2": 2, "v4": 4}


def items(operand: Operand) -> tuple[Operand, ...]:
    """The operands of a vector, or the one."""
    return operand.items if isinstance(operand, Vector) else (operand,)


def expect(i: Instruction, *counts: int) -> None:
    """Refuse another number of operands."""
    if len(i.operands) not in counts:
        raise i.refuse(f"{i.opcode} takes {' or '.join(map(str, counts))} operands")


def address(
    i: Instruction, operand: Operand, among: slice = slice(None)
) -> tuple[str, Typed, Callable[[Array], Array]]:
    """The space of an address, which some of the modifiers say, its base with type, and what adds the offset."""
    if not isinstance(operand, Address):
        raise i.refuse("this takes an address")
    names = [m.split("::")[0] for m in i.modifiers[among] if m.split("::")[0] in SPACES]
    space, base, offset = names[0] if names else "", operand.base, operand.offset
    if isinstance(base, Variable) and base.space != space:
        raise i.refuse(f"{base.name} lies in .{base.space}")
    if not space:
        raise i.refuse("the emulator knows no generic addresses")
    space = "global" if space == "const" else space
    kind = base.kind if isinstance(base, Register) else "u64"
    if kind not in ("b32", "u32", "s32", "b64", "u64", "s64"):
        raise i.refuse("an address has 32 or 64 bits")
    kind = f"u{kind[1:]}"
    step = DTYPES[kind].type(offset % (1 << int(kind[1:])))
    return space, (base, kind), (lambda a: a + step) if offset else (lambda a: a)


def elements(i: Instruction, known: Set[str]) -> tuple[str, int]:
    """Type and number of the elements of a load or store; refuses modifiers that are not known."""
    modifiers, kinds = split(i)
    plain = {m.split("::")[0] if m.split("::")[0] in SPACES else m for m in modifiers}
    if unknown := sorted(plain - known - set(SPACES) - HINTS - _ORDER - _WIDTHS.keys()):
        raise i.refuse(f"the emulator knows no .{unknown[0]} of {i.opcode}")
    if len(kinds) != 1 or kinds[0] in ("pred", "tf32", "bf16", "bf16x2"):
        raise i.refuse(f"{i.opcode} takes one type")
    return kinds[0], next((_WIDTHS[m] for m in modifiers if m in _WIDTHS), 1)


def load(i: Instruction) -> Effect:
    """`ld` and `ldu`."""
    expect(i, 2)
    kind, count = elements(i, frozenset(["nc"]))
    space, base, shift = address(i, i.operands[1])
    targets, dtype = items(i.operands[0]), DTYPES[kind]
    if len(targets) != count:
        raise i.refuse(f"this loads {count} elements")

    def function(lanes: Lanes, mask: Array | None, address: Array) -> Any:
        return accesses.load(lanes, i, space, shift(address), dtype, count, mask)

    return Effect((base,), tuple((t, kind) for t in targets), function)


def store(i: Instruction) -> Effect:
    """`st`."""
    expect(i, 2)
    kind, count = elements(i, frozenset())
    space, base, shift = address(i, i.operands[0])
    values = items(i.operands[1])
    if len(values) != count:
        raise i.refuse(f"this stores {count} elements")

    def function(lanes: Lanes, mask: Array | None, address: Array, *words: Array) -> None:
        accesses.store(lanes, i, space, shift(address), words, mask)

    return Effect((base, *((v, kind) for v in values)), (), function)


def atomic(i: Instruction) -> Effect:
    """`atom` and `red`."""
    kind, _ = elements(i, accesses.UPDATES.keys())
    names = [m for m in i.modifiers if m in accesses.UPDATES]
    operands = i.operands if i.opcode == "atom" else (Name("_"), *i.operands)
    if len(names) != 1 or len(operands) != (4 if names == ["cas"] else 3):
        raise i.refuse(f"the emulator knows no {i.name}")
    space, base, shift = address(i, operands[1])
    update, kind = accesses.UPDATES[names[0]], f"u{kind[1:]}" if kind[0] == "b" else kind

    def function(lanes: Lanes, mask: Array | None, address: Array, *values: Array) -> Any:
        return accesses.atomic(lanes, i, space, update, shift(address), values, mask)

    return Effect((base, *((v, kind) for v in operands[2:])), ((operands[0], kind),), function)


def copy(i: Instruction) -> Effect:
    """`cp.async`, its groups and waits."""
    m = i.modifiers
    if m[:2] == ("async", "commit_group"):
        return Effect((), (), lambda lanes, mask: accesses.commit_copies(lanes, mask))
    if m[:2] in (("async", "wait_group"), ("async", "wait_all")):
        pending = _constant(i, 0) if m[1] == "wait_group" else None
        return Effect((), (), lambda lanes, mask: accesses.wait_copies(lanes, pending, mask))
    known = {"async", "ca", "cg", "shared", "shared::cta", "global"}
    if m[:1] != ("async",) or not known.issuperset(x for x in m if not x.startswith("L2::")):
        raise i.refuse("the emulator knows no such copy")
    expect(i, 3, 4)
    width = _constant(i, 2)
    if width not in (4, 8, 16) or ("cg" in m and width != 16):
        raise i.refuse("cp.async copies 4, 8 or 16 bytes, .cg 16")
    into = next((k for k, name in enumerate(m) if name.startswith("shared")), 0)
    _, target, first = address(i, i.operands[0], slice(into + 1))
    _, source, second = address(i, i.operands[1], slice(into + 1, None))
    size: Operand = i.operands[3] if len(i.operands) > 3 else Immediate(width)

    def function(lanes: Lanes, mask: Array | None, to: Array, at: Array, length: Array) -> None:
        accesses.copy_async(lanes, i, first(to), second(at), width, length, mask)

    return Effect((target, source, (size, "u32")), (), function)


def _constant(i: Instruction, number: int) -> int:
    found = i.operands[number] if number < len(i.operands) else None
    if not isinstance(found, Immediate):
        raise i.refuse("this takes a literal")
    return found.value
