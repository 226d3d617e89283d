"""From planned steps to machine code: kernels are compiled, and their addresses written into the argument blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netdsl.cpu import host
from netdsl.cpu.library import KernelLibrary
from netdsl.cpu.step import Generated, Step

#: the generated kernels of this process and the libraries that hold them: programs share what they can
_KNOWN: dict[tuple[str, int], tuple[int, KernelLibrary]] = {}


@dataclass(frozen=True)
class Linked:
    """Rows of (code, argument block) addresses, as the pool runs them, and the generated kernels, if any."""

    table: NDArray[np.int64]
    kernels: KernelLibrary | None


def link(steps: Sequence[Step]) -> Linked:
    """Compile what is not compiled yet, all of it together, and fill in the links of every step."""
    made = {s.entry.key: s.entry.kernel for s in steps if isinstance(s.entry, Generated)}
    kernels = KernelLibrary("maps", dict(sorted(made.items()))) if made else None
    missing = {key: made[key] for key in sorted(made) if _known_as(key) not in _KNOWN}
    if kernels is not None and missing:
        new = KernelLibrary("maps", missing)
        _KNOWN.update({_known_as(key): (address, new) for key, address in new.addresses.items()})
        kernels.cached = new.cached
    for step in steps:
        for word, address in step.links.items():
            step.args[word] = address()
    rows = [(_entry(step), step.args.ctypes.data) for step in steps]
    return Linked(np.array(rows, np.int64).reshape(-1, 2), kernels)


def _entry(step: Step) -> int:
    entry = step.entry
    return _KNOWN[_known_as(entry.key)][0] if isinstance(entry, Generated) else entry()


def _known_as(key: str) -> tuple[str, int]:
    return key, host.lanes()
