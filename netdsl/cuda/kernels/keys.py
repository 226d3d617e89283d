"""Keys that rows are sorted by on the GPU, in memory of the call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from netdsl.backend.step import SCRATCH, Slot, start_of
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.step import Parameter
from netdsl.schedule import View

LAST = 0xFFFFFFFF
"""The key of what is not there: no other is larger."""


class Scratch:
    """Memory of a call, handed out in pieces."""

    def __init__(self) -> None:
        self.size = 0

    def words(self, count: int) -> View:
        """Room for `count` words of 32 bits, on a multiple of 256 bytes."""
        view = start_of(SCRATCH, self.size)
        self.size += -(-4 * count // 256) * 256
        return view


@dataclass(frozen=True)
class Pairs:
    """Keys and the places in their row that they belong to, as words."""

    keys: View
    places: View

    @staticmethod
    def new(scratch: Scratch, count: int) -> Pairs:
        """Room for `count` of them."""
        return Pairs(scratch.words(count), scratch.words(count))

    def slots(self, prefix: str, written: bool = False) -> dict[str, Slot]:
        """By the names of parameters."""
        return {f"{prefix}_keys": Slot(self.keys, written), f"{prefix}_places": Slot(self.places, written)}


@dataclass(frozen=True)
class Keys:
    """How a kernel finds the key of an element: `write(out, at, place)` with its number among all and in its row.

    It returns names of the key and of the place, both uint32.
    """

    parameters: tuple[Parameter, ...]
    write: Callable[[Lines, str, str], tuple[str, str]]
    slots: Mapping[str, Slot]
    values: Mapping[str, int | float] = field(default_factory=dict)


def words(*names: str) -> tuple[Parameter, ...]:
    """Parameters that are addresses of words."""
    return tuple(Parameter(name, to="u32") for name in names)


def keys_of(pairs: Pairs) -> Keys:
    """Keys that were written before."""

    def write(out: Lines, at: str, place: str) -> tuple[str, str]:
        return out.let(f"in_keys[{at}]"), out.let(f"in_places[{at}]")

    return Keys(words("in_keys", "in_places"), write, pairs.slots("in"))


def falling(out: Lines, x: str) -> str:
    """The key of a float32 whose order is the falling one: NaN first, both zeros equal."""
    bits = out.let(f"int32(0) if {x} == float32(0.0) else libdevice.float_as_int({x})")
    key = out.let(f"uint32({bits}) if {bits} < int32(0) else uint32(int32(0x7FFFFFFF) - {bits})")
    return out.let(f"uint32(0) if {x} != {x} else {key}")
