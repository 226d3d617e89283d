"""Loads, stores, atomics and asynchronous copies of all lanes at once, with the checks of what they touch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from netdsl.cuda.emulator.errors import (
    DataRace,
    KernelFault,
    Misaligned,
    OutOfBounds,
    ReadOnlyWrite,
    UnfinishedCopy,
    UninitialisedRead,
    UseAfterFree,
)
from netdsl.cuda.emulator.lanes import WARP, Lanes
from netdsl.cuda.emulator.memory import (
    ALLOCATED,
    FREED,
    FRESH,
    IN_FLIGHT,
    INITIALISED,
    WRITABLE,
    Array,
    Space,
    pattern,
)
from netdsl.cuda.emulator.operands import Instruction
from netdsl.cuda.emulator.races import ATOMIC

READ: Final = ALLOCATED | INITIALISED
WRITE: Final = ALLOCATED | WRITABLE
UPDATE: Final = READ | WRITE


def narrow(value: Array, mask: Array | None) -> Array:
    """The active lanes of a value; a value that all lanes share stays one."""
    return value if mask is None or value.ndim == 0 else value[mask]


def widen(value: Array, mask: Array | None) -> Array:
    """A value of the active lanes as one of all lanes."""
    if mask is None or value.ndim == 0:
        return value
    full = np.zeros(mask.shape[0], value.dtype)
    full[mask] = value
    return full


SPAN: Final = 64
"""Bytes from the first to the last one of an access, for each that is touched, up to which all are looked at."""


def locate(
    lanes: Lanes, i: Instruction, space: str, address: Array, width: int, need: int, active: Array
) -> tuple[Space, Array, int]:
    """Check an access of the active lanes to `width` bytes; return the memory, the offsets in it and what flags all
    of these bytes certainly have."""
    place = address.astype(np.int64)
    memory, begin, end, rows = lanes.extent(space)
    offset = place - begin if begin else place
    if rows > 1:
        offset = offset + (lanes.shared_base[active] if space == "shared" else active * end)
    low, high = int(place.min()) - begin, int(place.max()) - begin + width
    whole = width == 1 or not int(np.bitwise_or.reduce(place, axis=None)) & (width - 1)
    if whole and low >= 0 and high <= end and high - low <= SPAN * width * active.size:
        flags = memory.common(low, high, rows)
        if flags & need == need:
            return memory, offset, flags
    inside = (place >= begin) & (place <= begin + end - width)
    if not whole:
        k = _first(place & (width - 1) != 0)
        lanes.fault(
            Misaligned, i, f"{space} address {int(_at(address, k)):#x}, width {width} bytes", int(active[k])
        )
    good = inside
    if not inside.all():
        offset = np.where(inside, offset, 0)
    word = min(width, 8)
    for part in range(0, width, word):
        states = memory.states(word)[(offset + part) >> (word.bit_length() - 1)]
        good = good & (states & pattern(need, word) == pattern(need, word))
    if not good.all():
        _refuse(lanes, i, space, memory, address, offset, ~good, inside, width, need, active)
    return memory, offset, need


def _first(bad: Array) -> int:
    return int(bad.argmax()) if bad.ndim else 0


def _at(values: Array, k: int) -> Any:
    return values[k] if np.ndim(values) else values


def _refuse(
    lanes: Lanes,
    i: Instruction,
    space: str,
    memory: Space,
    address: Array,
    offset: Array,
    bad: Array,
    inside: Array,
    width: int,
    need: int,
    active: Array,
) -> None:
    k = _first(bad)
    start = int(_at(offset, k))
    states = [int(s) for s in memory.state[start : start + width]] if _at(inside, k) else [0]
    where = int(_at(address, k))
    detail = f"{width} bytes at {space} address {where:#x}"
    if len(states) < width or not all(s & ALLOCATED for s in states):
        kind: type[KernelFault] = UseAfterFree if any(s & FREED for s in states) else OutOfBounds
        detail += f": {lanes.memory.describe(where)}" if space == "global" else ""
        if space == "global" and kind is OutOfBounds and states[0] & ALLOCATED:
            detail += f", {width} bytes do not fit"
    elif need & WRITABLE and not all(s & WRITABLE for s in states):
        kind = ReadOnlyWrite
    else:
        kind = UnfinishedCopy if any(s & IN_FLIGHT for s in states) else UninitialisedRead
        detail += f": {lanes.memory.describe(where)}" if space == "global" else ""
    count = int(np.count_nonzero(bad))
    lanes.fault(kind, i, f"{detail} ({count} lanes)", int(active[k]))


def load(
    lanes: Lanes,
    i: Instruction,
    space: str,
    address: Array,
    dtype: np.dtype[Any],
    count: int,
    mask: Array | None,
) -> list[Array]:
    """Read `count` elements from each lane's address."""
    active = lanes.active(mask)
    if not active.size:
        return [dtype.type(0)] * count
    address = narrow(address, mask)
    if address.ndim == 0 and space in ("shared", "local"):
        address = np.broadcast_to(address, active.shape)
    width = dtype.itemsize * count
    memory, offset, _ = locate(lanes, i, space, address, width, READ, active)
    strong = not {"volatile", "acquire", "relaxed"}.isdisjoint(i.modifiers)
    if space == "shared" and lanes.races:
        lanes.races.read(i, offset, width, _agents(lanes.agents, ATOMIC, strong, mask))
        conflicts(lanes, offset, width, active)
    elif space == "global" and lanes.global_races:
        agents = _agents(lanes.block_agents, -1, strong, mask)
        lanes.global_races.read(i, np.broadcast_to(offset, active.shape), width, agents)
    view, index = memory.view(dtype), offset >> (dtype.itemsize.bit_length() - 1)
    return [widen(view.take(index + k if k else index), mask) for k in range(count)]


def _agents(agents: Array, atomic: int, strong: bool, mask: Array | None) -> Array:
    """Who the active lanes are in races; atomic and `volatile` accesses are all one."""
    found = narrow(agents, mask)
    return np.full_like(found, atomic) if strong else found


def store(
    lanes: Lanes, i: Instruction, space: str, address: Array, values: Sequence[Array], mask: Array | None
) -> None:
    """Write the values, one after another, to each lane's address."""
    active = lanes.active(mask)
    if not active.size:
        return
    dtype = np.dtype(f"u{values[0].dtype.itemsize}")
    width = dtype.itemsize * len(values)
    address = np.broadcast_to(narrow(address, mask), active.shape)
    memory, offset, flags = locate(lanes, i, space, address, width, WRITE, active)
    view, index = memory.view(dtype), offset >> (dtype.itemsize.bit_length() - 1)
    for k, value in enumerate(values):
        bits = narrow(value, mask).view(dtype)
        view[index + k] = bits
        if lanes.check_races and space != "local" and (bad := view[index + k] != bits).any():
            lane = int(active[_first(bad)])
            lanes.fault(DataRace, i, f"two threads store different values to one {space} element", lane)
    fresh = not flags & INITIALISED or (space == "shared" and bool(lanes.copies))
    _written(lanes, i, space, memory, offset, width, mask, fresh)


def _written(
    lanes: Lanes,
    i: Instruction,
    space: str,
    memory: Space,
    offset: Array,
    width: int,
    mask: Array | None,
    fresh: bool,
) -> None:
    """Note a write; `fresh` where the bytes may not have been written before, or a copy may be on its way."""
    word = min(width, 8)
    states = memory.states(word)
    for part in range(0, width if fresh else 0, word):
        at = (offset + part) >> (word.bit_length() - 1)
        states[at] = states[at] & ~pattern(IN_FLIGHT, word) | pattern(INITIALISED, word)
    strong = not {"volatile", "release", "relaxed"}.isdisjoint(i.modifiers)
    if space == "shared" and lanes.races:
        lanes.races.write(i, offset, width, _agents(lanes.agents, ATOMIC, strong, mask))
        conflicts(lanes, offset, width, lanes.active(mask))
    elif space == "global" and lanes.global_races:
        lanes.global_races.write(i, offset, width, _agents(lanes.block_agents, -1, strong, mask))


def conflicts(lanes: Lanes, offset: Array, width: int, active: Array) -> None:
    """Count how often a bank of shared memory gives a second word; a warp reads 128 bytes at once."""
    if not lanes.count_conflicts:
        return
    per_phase = max(1, WARP * min(4, width) // max(4, width))
    phase = lanes.warp_start[active] * WARP + lanes.warp_lane[active] // per_phase
    words = (offset[:, None] >> 2) + np.arange(max(1, width // 4))
    keys = np.unique(phase[:, None] * (1 << 32) + words)
    bank = (keys >> 32) * WARP + (keys & (WARP - 1))
    phases, counts = np.unique(bank, return_counts=True)
    _, first = np.unique(phases // WARP, return_index=True)
    worst = np.maximum.reduceat(counts, first)
    lanes.statistics.bank_conflicts += int((worst - 1).sum())


_Update = Callable[..., Any]
UPDATES: Final[Mapping[str, _Update]] = {
    "add": lambda m, v: m + v,
    "min": np.fmin,
    "max": np.fmax,
    "and": lambda m, v: m & v,
    "or": lambda m, v: m | v,
    "xor": lambda m, v: m ^ v,
    "exch": lambda _m, v: v,
    "cas": lambda m, compare, v: v if m == compare else m,
}


def atomic(
    lanes: Lanes,
    i: Instruction,
    space: str,
    update: _Update,
    address: Array,
    values: Sequence[Array],
    mask: Array | None,
) -> Array:
    """Update the elements at each lane's address, lane after lane; return what was there."""
    active, dtype = lanes.active(mask), values[0].dtype
    if not active.size:
        return dtype.type(0)
    address = np.broadcast_to(narrow(address, mask), active.shape)
    memory, offset, _ = locate(lanes, i, space, address, dtype.itemsize, UPDATE, active)
    view = memory.view(dtype)
    operands = [np.broadcast_to(narrow(v, mask), active.shape) for v in values]
    old = np.empty(active.shape, dtype)
    for k, at in enumerate(offset >> (dtype.itemsize.bit_length() - 1)):
        old[k] = view[at]
        view[at] = update(old[k], *(o[k] for o in operands))
    if space == "shared" and lanes.races:
        lanes.races.write(i, offset, dtype.itemsize, np.full(active.shape, ATOMIC))
    elif space == "global" and lanes.global_races:
        lanes.global_races.write(i, offset, dtype.itemsize, np.full(active.shape, -1))
    return widen(old, mask)


# -- asynchronous copies ------------------------------------------------------------------------------------


def copy_async(
    lanes: Lanes, i: Instruction, target: Array, source: Array, width: int, size: Array, mask: Array | None
) -> None:
    """Begin to copy `size` bytes from global to shared memory; the rest of `width` becomes zero."""
    active = lanes.active(mask)
    if not active.size:
        return
    sizes = np.broadcast_to(narrow(size, mask), active.shape).astype(np.int64)
    if (bad := sizes > width).any():
        lanes.fault(KernelFault, i, f"the source has more than {width} bytes", int(active[_first(bad)]))
    address = np.broadcast_to(narrow(target, mask), active.shape)
    memory, offset, _ = locate(lanes, i, "shared", address, width, WRITE, active)
    data = np.zeros((active.size, width // 4), np.uint32)
    for each in np.unique(sizes):
        chosen = sizes == each
        if each % 4:
            lanes.fault(
                KernelFault, i, f"the emulator copies whole words, not {each} bytes", int(active[chosen][0])
            )
        those = np.zeros(lanes.count, bool)
        those[active[chosen]] = True
        for k, words in enumerate(_words(lanes, i, source, int(each), width, those)):
            data[chosen, k] = narrow(words, those)
    if lanes.races:
        lanes.races.write(i, offset, width, lanes.agents[active])
    for part in range(0, width, 4):
        memory.states(4)[(offset + part) >> 2] = pattern(FRESH | IN_FLIGHT, 4)
    lanes.copies.append((i, active, lanes.committed[active], offset, data))


def _words(lanes: Lanes, i: Instruction, source: Array, size: int, width: int, mask: Array) -> list[Array]:
    """The words that a copy reads: all at once, or those that are not filled up with zeros."""
    word = np.dtype(np.uint32)
    if size == width:
        return load(lanes, i, "global", source, word, size // 4, mask)
    steps = [source + source.dtype.type(4 * k) for k in range(size // 4)]
    return [load(lanes, i, "global", step, word, 1, mask)[0] for step in steps]


def commit_copies(lanes: Lanes, mask: Array | None) -> None:
    """The copies begun so far are a group."""
    lanes.committed[slice(None) if mask is None else mask] += 1


def wait_copies(lanes: Lanes, pending: int | None, mask: Array | None) -> None:
    """Finish all groups but the last `pending`; None finishes also what is in no group yet."""
    left = []
    for i, active, group, offset, data in lanes.copies:
        ready = np.ones(active.shape, bool) if pending is None else group < lanes.committed[active] - pending
        if mask is not None:
            ready &= mask[active]
        if ready.any():
            words, done = lanes.shared.view(np.dtype(np.uint32)), offset[ready] >> 2
            for k in range(data.shape[1]):
                words[done + k] = data[ready, k]
                lanes.shared.states(4)[done + k] = pattern(FRESH | INITIALISED, 4)
            if lanes.races:
                lanes.races.write(i, offset[ready], 4 * data.shape[1], lanes.agents[active[ready]])
        if not ready.all():
            stay = ~ready
            left.append((i, active[stay], group[stay], offset[stay], data[stay]))
    lanes.copies = left
