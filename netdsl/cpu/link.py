"""From planned steps to machine code: kernels are compiled, and their addresses written into the argument blocks."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netdsl.cpu import host
from netdsl.cpu.library import KernelLibrary
from netdsl.cpu.step import Generated, Step

# The libraries of this process that hold generated kernels, by key and lanes: programs share what they can. A library
# goes, with its machine code, when no program uses one of its kernels any more.
_KNOWN: weakref.WeakValueDictionary[tuple[str, int], KernelLibrary] = weakref.WeakValueDictionary()


@dataclass(frozen=True)
class Linked:
    """Rows of (code, argument block) addresses, as the pool runs them, and the generated kernels, if any.

    `libraries` hold their code: the addresses are valid as long as this lives.
    """

    table: NDArray[np.int64]
    kernels: KernelLibrary | None
    libraries: tuple[KernelLibrary, ...]


def link(steps: Sequence[Step]) -> Linked:
    """Compile what is not compiled yet, all of it together, and fill in the links of every step."""
    made = {s.entry.key: s.entry.kernel for s in steps if isinstance(s.entry, Generated)}
    kernels = KernelLibrary("maps", dict(sorted(made.items()))) if made else None
    homes = {key: home for key in made if (home := _KNOWN.get((key, host.lanes()))) is not None}
    missing = {key: made[key] for key in sorted(made) if key not in homes}
    if kernels is not None and missing:
        new = KernelLibrary("maps", missing)
        new.load()
        homes |= dict.fromkeys(missing, new)
        _KNOWN.update({(key, new.lanes): new for key in missing})
        kernels.cached = new.cached
    for step in steps:
        for word, address in step.links.items():
            step.args[word] = address()
    rows = [(_entry(step, homes), step.args.ctypes.data) for step in steps]
    return Linked(np.array(rows, np.int64).reshape(-1, 2), kernels, tuple(set(homes.values())))


def _entry(step: Step, homes: Mapping[str, KernelLibrary]) -> int:
    entry = step.entry
    return homes[entry.key].address(entry.key) if isinstance(entry, Generated) else entry()
