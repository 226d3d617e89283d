"""How many blocks a multiprocessor holds at once, by what their kernel takes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netdsl.cuda.codegen.nest import WARP

REGISTERS = 65536
"""Of a multiprocessor of any generation, 32 bits each."""
_UNIT = 256
"""Registers that a warp is given at a time."""
_QUARTERS = 4
"""Parts of a multiprocessor, each with its own registers and as many warps as the others."""


@dataclass(frozen=True)
class Multiprocessor:
    """Warps, blocks and bytes of shared memory that it holds; each block loses `reserved` bytes to the system.

    Shared memory is given in units of `step` bytes.  Source: CUDA C++ Programming Guide 13, technical specifications
    by compute capability, and the occupancy calculator.
    """

    warps: int
    blocks: int
    shared: int
    reserved: int = 1024
    step: int = 128


MULTIPROCESSORS: Mapping[tuple[int, int], Multiprocessor] = {
    (7, 5): Multiprocessor(32, 16, 64 << 10, 0, 256),
    (8, 0): Multiprocessor(64, 32, 164 << 10),
    (8, 6): Multiprocessor(48, 16, 100 << 10),
    (8, 9): Multiprocessor(48, 24, 100 << 10),
    (9, 0): Multiprocessor(64, 32, 228 << 10),
    (10, 0): Multiprocessor(64, 32, 228 << 10),
    (12, 0): Multiprocessor(48, 24, 100 << 10),
}


def resident_blocks(capability: tuple[int, int], threads: int, registers: int, shared: int) -> int:
    """Blocks of so many threads that a multiprocessor holds; 0 where not even one fits.

    `registers` are those of a thread, `shared` the bytes of a block.  Raises LookupError for a capability that is
    not in the table.
    """
    if capability not in MULTIPROCESSORS:
        known = ", ".join(f"{a}.{b}" for a, b in MULTIPROCESSORS)
        raise LookupError(
            f"what a card of compute capability {capability[0]}.{capability[1]} holds is not known; {known} are"
        )
    m = MULTIPROCESSORS[capability]
    warps = -(-threads // WARP)
    each = max(1, -(-registers * WARP // _UNIT)) * _UNIT
    room = REGISTERS // each // _QUARTERS * _QUARTERS
    taken = -(-(shared + m.reserved) // m.step) * m.step
    by_shared = m.shared // taken if taken else m.blocks
    return min(m.blocks, m.warps // warps, room // warps, by_shared)
