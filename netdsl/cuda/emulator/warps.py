"""Instructions of whole warps: shuffles, votes, and matrices of tensor cores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netdsl.cuda.emulator.accesses import load
from netdsl.cuda.emulator.errors import InactiveLane
from netdsl.cuda.emulator.lanes import WARP, Lanes
from netdsl.cuda.emulator.memory import Array
from netdsl.cuda.emulator.operands import Instruction
from netdsl.cuda.emulator.races import PHASE


def members(lanes: Lanes, i: Instruction, wanted: Array, mask: Array | None) -> None:
    """Raise InactiveLane unless every lane of a warp that the member mask names is here, and each names itself."""
    if mask is None and wanted.ndim == 0 and int(wanted) == 0xFFFFFFFF and lanes.threads % WARP == 0:
        return
    everyone = lanes.everyone(mask)
    wanted = lanes.full(wanted).astype(np.uint64)
    here = ballot(lanes, everyone)
    exists = ballot(lanes, np.ones(lanes.count, bool))
    bit = np.uint64(1) << lanes.warp_lane.astype(np.uint64)
    missing = everyone & ((wanted & ~here & exists != 0) | (wanted & bit == 0))
    if missing.any():
        k = int(missing.argmax())
        absent = int(wanted[k] & ~here[k])
        names = [n for n in range(WARP) if absent >> n & 1]
        why = f"the lanes {names} do not take part" if names else "a lane is not in its own member mask"
        lanes.fault(InactiveLane, i, f"member mask {int(wanted[k]):#010x}: {why}", k)


def ballot(lanes: Lanes, predicate: Array) -> Array:
    """For each lane, a bit for each lane of its warp where the predicate holds."""
    bits = np.bincount(
        lanes.warp_start, np.where(predicate, np.exp2(lanes.warp_lane), 0.0), minlength=lanes.count
    )
    found: Array = bits.astype(np.uint64)[lanes.warp_start]
    return found


def sync_warp(lanes: Lanes, i: Instruction, wanted: Array, mask: Array | None) -> None:
    """`bar.warp.sync`: what a warp's lanes did before is seen by its lanes after."""
    members(lanes, i, wanted, mask)
    lanes.agents = lanes.agents + (lanes.everyone(mask).astype(np.int64) << PHASE)
    if lanes.races:
        lanes.races.ordered = True


def shuffle(
    lanes: Lanes,
    i: Instruction,
    mode: str,
    value: Array,
    b: Array,
    c: Array,
    wanted: Array,
    mask: Array | None,
) -> tuple[Array, Array]:
    """The value of another lane of the warp, and whether that lane is in range."""
    members(lanes, i, wanted, mask)
    source, valid = _sources(lanes, mode, b, c)
    if mask is not None and (bad := mask & ~mask[source]).any():
        lanes.fault(InactiveLane, i, "the lane to read from does not take part", int(bad.argmax()))
    return (value if value.ndim == 0 else value[source]), valid


def _sources(lanes: Lanes, mode: str, b: Array, c: Array) -> tuple[Array, Array]:
    key = ("shuffle", mode, int(b), int(c)) if b.ndim == 0 and c.ndim == 0 else None
    if key in lanes.kept:
        found: tuple[Array, Array] = lanes.kept[key]
        return found
    lane, by = lanes.warp_lane, (b & b.dtype.type(31)).astype(np.int64)
    wide = c.astype(np.int64)
    clamp, segment = wide & 31, wide >> 8 & 31
    lowest = lane & segment
    highest = lowest | (clamp & ~segment)
    targets = {"up": lane - by, "down": lane + by, "bfly": lane ^ by, "idx": lowest | (by & ~segment)}
    valid = targets[mode] >= highest if mode == "up" else targets[mode] <= highest
    source = np.where(valid, targets[mode], lane) + lanes.warp_start
    beyond = source >= lanes.count
    found = np.where(beyond, lanes.all, source), lanes.full(valid) & ~beyond
    if key is not None:
        lanes.kept[key] = found
    return found


def vote(
    lanes: Lanes, i: Instruction, mode: str, predicate: Array, wanted: Array, mask: Array | None
) -> Array:
    """`all`, `any`, `uni` or `ballot` of a predicate over the members."""
    members(lanes, i, wanted, mask)
    everyone = lanes.everyone(mask)
    bits, here = ballot(lanes, lanes.full(predicate) & everyone), ballot(lanes, everyone)
    if mode == "ballot":
        return bits.astype(np.uint32)
    return bits != 0 if mode == "any" else bits == here


def match(lanes: Lanes, i: Instruction, mode: str, value: Array, wanted: Array, mask: Array | None) -> Array:
    """`match.any`: the lanes of the warp with the same value."""
    members(lanes, i, wanted, mask)
    everyone, value = lanes.everyone(mask), lanes.full(value)
    warp = np.cumsum(lanes.warp_lane == 0) - 1
    table, here = np.zeros((warp[-1] + 1, WARP), value.dtype), np.zeros((warp[-1] + 1, WARP), bool)
    table[warp, lanes.warp_lane], here[warp, lanes.warp_lane] = value, everyone
    same = (table[:, :, None] == table[:, None]) & here[:, None]
    found: Array = np.packbits(same, -1, "little").view("<u4")[warp, lanes.warp_lane, 0]
    return found


def whole_warps(lanes: Lanes, i: Instruction, mask: Array | None) -> None:
    """Raise InactiveLane unless the active lanes are whole warps."""
    everyone = lanes.everyone(mask)
    if lanes.threads % WARP:
        lanes.fault(InactiveLane, i, "this takes blocks of whole warps", int(everyone.argmax()))
    if mask is None:
        return
    bad = everyone & (ballot(lanes, everyone) != np.uint64(0xFFFFFFFF))
    if bad.any():
        lanes.fault(InactiveLane, i, "this takes all 32 lanes of a warp", int(bad.argmax()))


def load_matrices(
    lanes: Lanes, i: Instruction, address: Array, count: int, transposed: bool, mask: Array | None
) -> list[Array]:
    """`ldmatrix`: 8 x 8 matrices of 16 bits whose rows lie at the addresses of lanes 0 to 8 * count."""
    whole_warps(lanes, i, mask)
    address, rows = lanes.full(address), lanes.everyone(mask) & (lanes.warp_lane < 8 * count)
    words = np.stack(load(lanes, i, "shared", address, np.dtype(np.uint32), 4, rows), -1)
    if lanes.races:  # a row goes to other lanes than that which says where it lies
        others = lanes.agents[lanes.all ^ 1][rows]
        lanes.races.read(i, address[rows].astype(np.int64) + lanes.shared_base[rows], 16, others)
    elements = words.reshape(-1, 4, 32).view(np.uint16).reshape(-1, 4, 8, 8)
    if transposed:
        elements = np.ascontiguousarray(elements.transpose(0, 1, 3, 2))
    found = elements.view(np.uint32).reshape(-1, 4, 32)
    return [found[:, k].reshape(-1) for k in range(count)]


def _planes(registers: Sequence[Array], lanes: int, kind: str) -> Array:
    """The elements of registers as float32: register, element, lane."""
    words = np.stack(registers)
    if kind == "tf32":
        return (words & np.uint32(0xFFFFE000)).view(np.float32)[:, None]
    halves = np.empty((len(words), 2, lanes), np.uint32)
    np.left_shift(words, np.uint32(16), out=halves[:, 0])
    np.bitwise_and(words, np.uint32(0xFFFF0000), out=halves[:, 1])
    return halves.view(np.float32)


def multiply(
    lanes: Lanes,
    i: Instruction,
    kind: str,
    a: Sequence[Array],
    b: Sequence[Array],
    c: Sequence[Array],
    mask: Array | None,
) -> list[Array]:
    """`mma.sync` m16n8: products of bf16 or tf32, added up in float32 (the order within is not a GPU's)."""
    whole_warps(lanes, i, mask)
    left, right = (_planes([lanes.full(x) for x in group], lanes.count, kind) for group in (a, b))
    # Half of K, upper or lower rows, element, warp, row or column, lane; K may be in any order that both have.
    rows = left.reshape(len(b), 2, left.shape[1], -1, 8, 4).transpose(3, 1, 4, 0, 2, 5)
    columns = right.reshape(len(b), right.shape[1], -1, 8, 4).transpose(2, 0, 1, 4, 3)
    warps = len(columns)
    product = rows.reshape(warps, 16, -1) @ columns.reshape(warps, -1, 8)
    sums = product.reshape(warps, 2, 8, 4, 2).transpose(1, 4, 0, 2, 3).reshape(4, -1)
    return [total + lanes.full(start) for total, start in zip(sums, c, strict=True)]
