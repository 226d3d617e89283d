"""What a card must offer: memory, kernels, and a stream in which they run in order.

There are two: `driver` has the GPUs of this machine, `emulated` executes the same PTX on the processor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netdsl.backend.memory import Array
from netdsl.cuda.step import Source
from netdsl.cuda.waits import Range
from netdsl.schedule import View

VARIABLE = "NETDSL_CUDA"
"""The variable of the environment that says which cards there are: "emulated", or nothing for real ones."""


@dataclass
class BoundStep:
    """A step in the stream of a card, after those before it there and after the steps `after` of other streams.

    These are their numbers in the sequence.  `dead` are ranges of memory that nobody reads any more when it starts: a
    card that checks poisons them.
    """

    title: str
    card: Card
    after: tuple[int, ...] = field(default=(), init=False)
    dead: tuple[Range, ...] = field(default=(), init=False)


@dataclass
class BoundLaunch(BoundStep):
    """A launch whose kernel is loaded and whose arguments are bytes."""

    function: Any
    blocks: int
    threads: int
    shared: int
    arguments: bytes


@dataclass
class BoundCopy(BoundStep):
    """A copy of bytes from `source` in the card's memory to `target` in that of another one."""

    source: int
    to: Card
    target: int
    size: int


class Bound(ABC):
    """Steps that are ready to run, again and again."""

    @abstractmethod
    def run(self) -> None:
        """Start all of them, each as soon as it may, behind all that was launched."""

    @abstractmethod
    def run_one(self, number: int) -> None:
        """Run one of them, and return when it is done."""


class Card(ABC):
    """One GPU.  Its methods raise NetError where the card or its driver refuses."""

    #: compute capability, such as (9, 0)
    capability: tuple[int, int]
    #: kernels that were compiled for it, and not found in the cache
    compiled: int = 0

    @abstractmethod
    def capacity(self) -> int:
        """Bytes of memory."""

    @abstractmethod
    def available(self) -> int:
        """Bytes of memory that nobody uses now, other processes neither."""

    def taken(self, sizes: Sequence[int]) -> int:
        """Bytes of what is available that allocations of these sizes take, made in this order."""
        return sum(sizes)

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called."""

    @abstractmethod
    def allocate(self, size: int) -> int:
        """The address of zeroed memory, a multiple of 256; OutOfMemory where there is not so much."""

    @abstractmethod
    def free(self, address: int) -> None:
        """Give memory back."""

    @abstractmethod
    def write(self, address: int, array: Array) -> None:
        """Copy the elements of an array of the host, row-major, behind all that was launched."""

    @abstractmethod
    def fetch(self, host: Array, address: int, view: View) -> None:
        """Start to copy the bytes of a view, whose first element is at `address`, behind all that was launched.

        They are in `host`, from the first element to the last, when `wait` returns.
        """

    @abstractmethod
    def wait(self, what: str) -> None:
        """Return when all that was launched is done; NetError, which says `what` ran, where it failed."""

    @abstractmethod
    def copy(self, to: int, start: int, size: int) -> None:
        """Copy bytes within the card behind all that was launched."""

    @abstractmethod
    def pinned(self, size: int) -> Array:
        """Page-locked bytes of the host, from which the card copies by itself."""

    @abstractmethod
    def event(self) -> Any:
        """A moment that has passed already; `send` and `mark` give it another one."""

    @abstractmethod
    def forget_event(self, event: Any) -> None:
        """Give an event back."""

    @abstractmethod
    def send(self, address: int, host: Array, after: Any, landed: Any) -> None:
        """Start to copy page-locked bytes to the card, beside what is launched and behind the event `after`.

        `landed` becomes the event that they are there; until then nobody may write `host`.
        """

    @abstractmethod
    def follow(self, landed: Any) -> None:
        """Let all that is launched from now on run behind an event."""

    @abstractmethod
    def mark(self, event: Any) -> None:
        """Let an event be the end of all that was launched."""

    @abstractmethod
    def settle(self, event: Any) -> None:
        """Return when an event has passed."""

    @abstractmethod
    def load(self, source: Source, shared: int) -> Any:
        """The kernel of a source, for launches with so many bytes of dynamic shared memory."""

    @abstractmethod
    def bind(self, steps: Sequence[BoundStep], replayed: bool = False) -> Bound:
        """Make steps ready to run, those of other cards too.

        `replayed` may take longer, so that each run costs the host less.
        """

    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """What `netdsl doctor` says of it."""
