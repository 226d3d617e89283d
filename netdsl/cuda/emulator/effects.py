"""The table of instructions that touch memory, move values or speak to other lanes: operands, types, function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from netdsl.cuda.emulator import warps
from netdsl.cuda.emulator.arithmetic import RULES, operation, split
from netdsl.cuda.emulator.errors import PTXError, Trap
from netdsl.cuda.emulator.lanes import Lanes
from netdsl.cuda.emulator.memory import Array
from netdsl.cuda.emulator.memory_effects import (
    Effect,
    address,
    atomic,
    copy,
    expect,
    items,
    load,
    store,
)
from netdsl.cuda.emulator.operands import (
    DTYPES,
    Instruction,
    Name,
    Operand,
    Vector,
)
from netdsl.cuda.emulator.rules import CARRY

# -- moves --------------------------------------------------------------------------------------------------


def _move(i: Instruction) -> Effect:
    expect(i, 2)
    _, kinds = split(i)
    if len(kinds) != 1 or len(i.modifiers) != 1:
        raise i.refuse(f"the emulator knows no {i.name}")
    kind, (target, source) = kinds[0], i.operands
    if isinstance(target, Vector):
        return _unpack(i, kind, target, source)
    if isinstance(source, Vector):
        return _pack(i, kind, target, source)
    return Effect(((source, kind),), ((target, kind),), lambda x: x, pure=True)


def _unpack(i: Instruction, kind: str, target: Vector, source: Operand) -> Effect:
    part = 8 * DTYPES[kind].itemsize // len(target.items)
    if part < 8 or f"u{part}" not in DTYPES:
        raise i.refuse("a word has no such parts")
    dtype, word = DTYPES[f"u{part}"], DTYPES[kind].type

    def function(x: Array) -> Any:
        found = [(x >> word(k * part)).astype(dtype) for k in range(len(target.items))]
        return found if len(found) > 1 else found[0]

    return Effect(((source, kind),), tuple((t, f"u{part}") for t in target.items), function, pure=True)


def _pack(i: Instruction, kind: str, target: Operand, source: Vector) -> Effect:
    part = 8 * DTYPES[kind].itemsize // len(source.items)
    if part < 8 or f"u{part}" not in DTYPES:
        raise i.refuse("a word has no such parts")
    word = DTYPES[kind]

    def function(*values: Array) -> Array:
        total = values[0].astype(word)
        for k, value in enumerate(values[1:], 1):
            total = total | value.astype(word) << word.type(k * part)
        return total

    return Effect(tuple((s, f"u{part}") for s in source.items), ((target, kind),), function, pure=True)


def _to_global(i: Instruction) -> Effect:
    """`cvta.to.global`: generic addresses of global memory are those of global memory."""
    expect(i, 2)
    if i.modifiers != ("to", "global", "u64"):
        raise i.refuse(f"the emulator knows no {i.name}")
    return Effect(((i.operands[1], "u64"),), ((i.operands[0], "u64"),), lambda x: x, pure=True)


# -- warps --------------------------------------------------------------------------------------------------


def _of_warp(
    i: Instruction, function: Callable[..., Any], mode: str, reads: Sequence[str], writes: Sequence[str]
) -> Effect:
    """A function of `warps` with the types of what it reads and gives; the second result may find no taker."""
    targets = items(i.operands[0])
    if len(targets) > len(writes):
        raise i.refuse(f"{i.opcode} gives {len(writes)} results")

    def call(lanes: Lanes, mask: Array | None, *values: Array) -> Any:
        found = function(lanes, i, mode, *values, mask)
        return found if len(targets) == len(writes) else found[0]

    taken, given = zip(i.operands[1:], reads, strict=True), zip(targets, writes, strict=False)
    return Effect(tuple(taken), tuple(given), call, collective=True)


def _shuffle(i: Instruction) -> Effect:
    expect(i, 5)
    mode = next((m for m in i.modifiers if m in ("up", "down", "bfly", "idx")), "")
    if i.modifiers != ("sync", mode, "b32"):
        raise i.refuse(f"the emulator knows no {i.name}")
    return _of_warp(i, warps.shuffle, mode, ("b32", "u32", "u32", "u32"), ("b32", "pred"))


def _vote(i: Instruction) -> Effect:
    expect(i, 3)
    mode, kind = i.modifiers[1:3] if len(i.modifiers) == 3 else ("", "")
    if (mode, kind) not in (("all", "pred"), ("any", "pred"), ("ballot", "b32")):
        raise i.refuse(f"the emulator knows no {i.name}")
    return _of_warp(i, warps.vote, mode, ("pred", "u32"), (kind,))


def _match(i: Instruction) -> Effect:
    expect(i, 3)
    kind = i.modifiers[-1]
    if i.modifiers not in (("any", "sync", "b32"), ("any", "sync", "b64")):
        raise i.refuse(f"the emulator knows no {i.name}")
    return _of_warp(i, warps.match, "any", (kind, "u32"), ("b32",))


def _warp_barrier(i: Instruction) -> Effect:
    expect(i, 1)
    return Effect(
        ((i.operands[0], "u32"),),
        (),
        lambda lanes, mask, wanted: warps.sync_warp(lanes, i, wanted, mask),
        collective=True,
    )


def _matrices(i: Instruction) -> Effect:
    expect(i, 2)
    counts = [int(m[1]) for m in i.modifiers if m in ("x1", "x2", "x4")]
    known = {"sync", "aligned", "m8n8", "trans", "shared", "shared::cta", "b16", "x1", "x2", "x4"}
    targets = items(i.operands[0])
    if (
        not known.issuperset(i.modifiers)
        or len(counts) != 1
        or "m8n8" not in i.modifiers
        or len(targets) != counts[0]
    ):
        raise i.refuse(f"the emulator knows no {i.name}")
    space, base, shift = address(i, i.operands[1])
    transposed, count = "trans" in i.modifiers, counts[0]
    if space != "shared":
        raise i.refuse("ldmatrix reads shared memory")

    def function(lanes: Lanes, mask: Array | None, address: Array) -> Any:
        return warps.load_matrices(lanes, i, shift(address), count, transposed, mask)

    return Effect((base,), tuple((t, "b32") for t in targets), function, collective=True)


#: shape and type of `mma.sync`, with the registers of both factors
_SHAPES: Final = {
    ("m16n8k16", "bf16"): (4, 2),
    ("m16n8k8", "bf16"): (2, 1),
    ("m16n8k8", "tf32"): (4, 2),
    ("m16n8k4", "tf32"): (2, 1),
}


def _multiply(i: Instruction) -> Effect:
    expect(i, 4)
    modifiers = tuple(m for m in i.modifiers if m not in ("sync", "aligned"))
    kind = modifiers[4] if len(modifiers) == 7 else ""
    sizes = _SHAPES.get((modifiers[0], kind)) if modifiers else None
    groups = [items(o) for o in i.operands]
    wanted = (modifiers[0] if modifiers else "", "row", "col", "f32", kind, kind, "f32")
    if sizes is None or modifiers != wanted or [len(g) for g in groups] != [4, *sizes, 4]:
        raise i.refuse(f"the emulator knows no {i.name}")
    (a, b), reads = sizes, tuple((o, "f32" if n == 3 else "b32") for n in (1, 2, 3) for o in groups[n])

    def function(lanes: Lanes, mask: Array | None, *values: Array) -> Any:
        return warps.multiply(lanes, i, kind, values[:a], values[a : a + b], values[a + b :], mask)

    return Effect(reads, tuple((t, "f32") for t in groups[0]), function, collective=True)


# -- the rest -----------------------------------------------------------------------------------------------


def _nothing(i: Instruction) -> Effect:
    """In lock step every store is seen at once, and hints change nothing."""
    return Effect((), (), lambda _lanes, _mask: None)


def _trap(i: Instruction) -> Effect:
    return Effect(
        (), (), lambda lanes, mask: lanes.fault(Trap, i, "the kernel gave up", int(lanes.active(mask)[0]))
    )


def _arithmetic(i: Instruction) -> Effect:
    found = operation(i)
    operands = list(i.operands)
    targets = list(items(operands.pop(0))) if operands else []
    reads = [r for r in found.reads if r != CARRY]
    writes = [w for w in found.writes if w != CARRY]
    whole = len(writes) == 2 and len(targets) == 1
    if len(operands) != len(reads) or (len(targets) != len(writes) and not whole):
        raise i.refuse(f"{i.opcode} takes {len(reads)} operands here")
    if whole:
        targets.append(Name("_"))
    if CARRY in found.reads:
        operands.append(Name(CARRY))
    if CARRY in found.writes:
        targets.append(Name(CARRY))
    kinds = [["u32" if k == CARRY else k for k in each] for each in (found.reads, found.writes)]
    return Effect(
        tuple(zip(operands, kinds[0], strict=True)),
        tuple(zip(targets, kinds[1], strict=True)),
        found.function,
        pure=True,
    )


EFFECTS: Final[Mapping[str, Callable[[Instruction], Effect]]] = {
    **dict.fromkeys(RULES, _arithmetic),
    **dict.fromkeys(("ld", "ldu"), load),
    "st": store,
    **dict.fromkeys(("atom", "red"), atomic),
    "cp": copy,
    "mov": _move,
    "cvta": _to_global,
    "shfl": _shuffle,
    "vote": _vote,
    "match": _match,
    "ldmatrix": _matrices,
    "mma": _multiply,
    "bar": _warp_barrier,
    **dict.fromkeys(("membar", "fence"), _nothing),
    "trap": _trap,
}


def effect(i: Instruction) -> Effect:
    """What an instruction does; raises PTXError for those that the emulator does not know."""
    make = EFFECTS.get(i.opcode)
    if make is None:
        raise i.refuse(f"the emulator knows no {i.name}")
    try:
        return make(i)
    except (IndexError, ValueError, KeyError) as error:
        if isinstance(error, PTXError):
            raise
        raise i.refuse(f"cannot make sense of {i.name}") from error
