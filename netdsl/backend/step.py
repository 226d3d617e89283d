"""What planners return: steps, each one launch of a kernel, whose memory is still open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from netdsl.ir import TensorType
from netdsl.schedule import View

# Numbers that stand for no buffer of the schedule: memory of the call, and the packed copy of its weights.
SCRATCH, PACKED = -1, -2


class TooLarge(LookupError):
    """A primitive over more elements than a kernel of the device takes."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A view whose address a step waits for; it may write there or only read.

    The view is an operand or a result of the primitive, or a part of one, or lies in SCRATCH or PACKED memory.
    """

    view: View
    written: bool = False


def start_of(memory: int, offset: int = 0) -> View:
    """Where memory of the call begins, or byte `offset` of it."""
    return View.dense(memory, TensorType(()), offset)


class Step(Protocol):
    """One launch; each target has steps of its own."""

    @property
    def title(self) -> str:
        """Its name in profiles ("contract output 3x3 64->128 @ 28x28")."""

    @property
    def slots(self) -> Mapping[Any, Slot]:
        """The buffers that it touches, by whatever names the target gives them."""

    @property
    def scratch(self) -> int:
        """Bytes that it needs beside them."""


S = TypeVar("S", bound=Step)


@dataclass(frozen=True)
class Plan(Generic[S]):
    """Steps that compute a primitive, and those that pack its weights, operand 1, first.

    `packed` is the bytes of the packed copy, in PACKED memory; packing is done once where weights stay as they are.
    """

    steps: tuple[S, ...]
    pack: tuple[S, ...] = ()
    packed: int = 0
