"""The table of instructions that touch memory, move values or speak to other lanes: operands, types, function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from netdsl.cuda.emulator import accesses, warps
from netdsl.cuda.emulator.arithmetic import RULES, operation, split
from netdsl.cuda.emulator.errors import PTXError, Trap
from netdsl.cuda.emulator.lanes import Lanes
from netdsl.cuda.emulator.memory import LOCAL_WINDOW, SHARED_WINDOW, Array
from netdsl.cuda.emulator.memory_effects import (
    SPACES,
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
    Special,
    Variable,
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
    if isinstance(source, Special) and source.name.startswith(("clock", "globaltimer")):
        wide = kind.endswith("64")
        return Effect((), ((target, kind),), lambda lanes, _mask: lanes.clock(wide))
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


def _generic(i: Instruction) -> Effect:
    """`cvta`: an address in a space as a generic one, and back."""
    expect(i, 2)
    space = next((m.split("::")[0] for m in i.modifiers if m.split("::")[0] in SPACES), "")
    if i.modifiers[-1] != "u64" or not space:
        raise i.refuse(f"the emulator knows no {i.name}")
    source = i.operands[1]
    if isinstance(source, Variable) and source.space == "param":
        space = "local"
    window = np.uint64({"shared": SHARED_WINDOW, "local": LOCAL_WINDOW}.get(space, 0))
    function = (lambda x: x - window) if "to" in i.modifiers else (lambda x: x + window)
    return Effect(((source, "u64"),), ((i.operands[0], "u64"),), function, pure=True)


def _is_space(i: Instruction) -> Effect:
    expect(i, 2)
    window = {"shared": SHARED_WINDOW, "local": LOCAL_WINDOW, "global": None}.get(i.modifiers[0], 0)
    if window == 0:
        raise i.refuse(f"the emulator knows no {i.name}")

    def function(x: Array) -> Array:
        top = x >> np.uint64(44)
        if window is None:
            return (top != np.uint64(SHARED_WINDOW >> 44)) & (top != np.uint64(LOCAL_WINDOW >> 44))
        return top == np.uint64(window >> 44)

    return Effect(((i.operands[1], "u64"),), ((i.operands[0], "pred"),), function, pure=True)


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
    if (mode, kind) not in (("all", "pred"), ("any", "pred"), ("uni", "pred"), ("ballot", "b32")):
        raise i.refuse(f"the emulator knows no {i.name}")
    return _of_warp(i, warps.vote, mode, ("pred", "u32"), (kind,))


def _match(i: Instruction) -> Effect:
    expect(i, 3)
    mode, kind = i.modifiers[0], i.modifiers[-1]
    if mode not in ("any", "all") or kind not in ("b32", "b64") or len(i.modifiers) != 3:
        raise i.refuse(f"the emulator knows no {i.name}")
    return _of_warp(i, warps.match, mode, (kind, "u32"), ("b32", "pred"))


def _reduce(i: Instruction) -> Effect:
    expect(i, 3)
    mode, kind = i.modifiers[1], i.modifiers[-1]
    if mode not in ("add", "min", "max", "and", "or", "xor") or kind not in ("u32", "s32", "b32"):
        raise i.refuse(f"the emulator knows no {i.name}")
    return _of_warp(i, warps.reduce_warp, mode, (kind, "u32"), (kind,))


def _active(i: Instruction) -> Effect:
    expect(i, 1)
    return Effect((), ((i.operands[0], "b32"),), lambda lanes, mask: warps.active_mask(lanes, mask))


def _warp_barrier(i: Instruction) -> Effect:
    expect(i, 1)
    return Effect(
        ((i.operands[0], "u32"),),
        (),
        lambda lanes, mask, wanted: warps.sync_warp(lanes, i, wanted, mask),
        collective=True,
    )


def _barrier_result(i: Instruction) -> Effect:
    """What `bar.red` gives its lanes; it comes after the barrier."""
    mode = i.modifiers[i.modifiers.index("red") + 1]
    if mode not in ("and", "or", "popc"):
        raise i.refuse(f"the emulator knows no {i.name}")
    functions: dict[str, Callable[..., Any]] = {"and": np.all, "or": np.any, "popc": np.count_nonzero}

    def function(lanes: Lanes, mask: Array | None, predicate: Array) -> Array:
        rows = lanes.full(predicate).reshape(lanes.blocks, lanes.threads)
        found = np.asarray(functions[mode](rows, axis=1))
        return np.repeat(found.astype(np.uint32) if mode == "popc" else found, lanes.threads)

    kind = "u32" if mode == "popc" else "pred"
    return Effect(((i.operands[-1], "pred"),), ((i.operands[0], kind),), function)


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
    if space not in ("shared", "generic"):
        raise i.refuse("ldmatrix reads shared memory")

    def function(lanes: Lanes, mask: Array | None, address: Array) -> Any:
        place = accesses.resolve(lanes, i, space, shift(address), mask)[1]
        return warps.load_matrices(lanes, i, place, count, transposed, mask)

    return Effect((base,), tuple((t, "b32") for t in targets), function, collective=True)


#: shape and type of `mma.sync`, with the registers of both factors
_SHAPES: Final = {
    ("m16n8k16", "bf16"): (4, 2),
    ("m16n8k16", "f16"): (4, 2),
    ("m16n8k8", "bf16"): (2, 1),
    ("m16n8k8", "f16"): (2, 1),
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
    "cvta": _generic,
    "isspacep": _is_space,
    "shfl": _shuffle,
    "vote": _vote,
    "match": _match,
    "redux": _reduce,
    "activemask": _active,
    "ldmatrix": _matrices,
    "mma": _multiply,
    **dict.fromkeys(
        ("bar", "barrier"), lambda i: _warp_barrier(i) if "warp" in i.modifiers else _barrier_result(i)
    ),
    **dict.fromkeys(("membar", "fence", "nanosleep", "prefetch", "prefetchu", "griddepcontrol"), _nothing),
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
