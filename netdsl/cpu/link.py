"""From planned steps to machine code: kernels are compiled, and their addresses written into the argument blocks."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netdsl.cpu.codegen.library import KernelLibrary, leave
from netdsl.cpu.step import Generated, Step
from netdsl.cpu.threads.team_drivers import ROW_WORDS
from netdsl.native import host

# The libraries of this process that hold generated kernels, by key and lanes: programs share what they can. A library
# goes, with its machine code, when there is no table with one of its kernels any more.
_KNOWN: weakref.WeakValueDictionary[tuple[str, int], KernelLibrary] = weakref.WeakValueDictionary()


@dataclass(frozen=True)
class Linked:
    """Rows of (code, argument block, and two words for the team), and the generated kernels, if any.

    The code lives as long as `table`, or any part of it.
    """

    table: NDArray[np.int64]
    kernels: KernelLibrary | None


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
        step.args.link()
    table = np.zeros((len(steps), ROW_WORDS), np.int64)
    for row, step in zip(table, steps, strict=True):
        row[:2] = _entry(step, homes), step.args.address
    _hold(table, set(homes.values()))
    return Linked(table, kernels)


def _hold(table: NDArray[np.int64], libraries: set[KernelLibrary]) -> None:
    """Let the libraries live exactly as long as the table that names their code, and which no run is without.

    They are no attributes of a program: the garbage collector may end those while something that it ends later
    still runs the program. An array is not its business, and ends when nobody can reach it.
    """
    # At exit nothing is freed: a thread may still be running.
    weakref.finalize(table, leave, libraries).atexit = False


def _entry(step: Step, homes: Mapping[str, KernelLibrary]) -> int:
    entry = step.entry
    return homes[entry.key].address(entry.key) if isinstance(entry, Generated) else entry()
