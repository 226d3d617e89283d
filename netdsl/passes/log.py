"""The log of the passes: what each rewrote, what it refused and why.  `netdsl compile --explain` prints it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from netdsl.ir import Node
from netdsl.source import Span


@dataclass(frozen=True, slots=True)
class Event:
    """One rewrite that a pass made or refused.

    `nodes` are ids in the graph before the rewrite, `spans` the places of the source they came from.  The
    memory traffic saved is per run of the program, an estimate.
    """

    by: str
    action: Literal["rewrote", "refused"]
    nodes: tuple[str, ...]
    reason: str
    spans: tuple[Span, ...] = ()
    bytes_saved: int = 0

    def __str__(self) -> str:
        saved = f" [{self.bytes_saved} bytes]" if self.bytes_saved else ""
        return f"{self.by} {self.action} {', '.join(self.nodes)}: {self.reason}{saved}"


@dataclass(frozen=True, slots=True)
class Timing:
    """One run of a pass: seconds, and how many nodes there were before and after."""

    by: str
    seconds: float
    before: int
    after: int


@dataclass
class Log:
    """Collects events; a pass that runs again replaces its earlier refusals."""

    events: list[Event] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)

    def begin(self, by: str) -> None:
        """Remove the refusals of the pass `by`, which runs again."""
        self.events = [e for e in self.events if e.by != by or e.action != "refused"]

    def rewrote(self, by: str, nodes: Iterable[Node], reason: str, bytes_saved: int = 0) -> None:
        """Note a rewrite."""
        found = tuple(nodes)
        self.events.append(Event(by, "rewrote", _ids(found), reason, spans_of(found), bytes_saved))

    def refused(self, by: str, nodes: Iterable[Node], reason: str) -> None:
        """Note a refusal and its reason."""
        found = tuple(nodes)
        self.events.append(Event(by, "refused", _ids(found), reason, spans_of(found)))

    @property
    def bytes_saved(self) -> int:
        """Memory traffic that all rewrites save per run, in bytes."""
        return sum(e.bytes_saved for e in self.events)


def _ids(nodes: tuple[Node, ...]) -> tuple[str, ...]:
    return tuple(n.id for n in nodes)


def spans_of(nodes: Iterable[Node]) -> tuple[Span, ...]:
    """The places of nodes, each once."""
    return tuple(dict.fromkeys(n.span for n in nodes if n.span is not None))
