"""What a step in the stream of one GPU waits for in the streams of others: who touched the same bytes before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Range = tuple[Any, int, int]
"""Bytes of memory: the card that has them, where they begin, how many there are."""


@dataclass(frozen=True)
class _Access:
    number: int
    stream: Any
    start: int
    end: int


class Waits:
    """Steps of one stream follow each other; only copies between GPUs touch the memory of another one.

    Found from addresses alone, so that it is right whatever the plan of the memory is: a copy waits for the last step
    that used the bytes which it overwrites, the first reader waits for the copy.
    """

    def __init__(self) -> None:
        self._all: dict[Any, list[_Access]] = {}
        self._foreign: dict[Any, list[_Access]] = {}
        self._known: dict[tuple[Any, Any], int] = {}

    def add(self, number: int, stream: Any, touched: Sequence[Range]) -> tuple[int, ...]:
        """The steps that step `number` waits for, where it runs in the stream of a card and touches these bytes.

        Numbers rise from call to call.
        """
        newest: dict[Any, int] = {}
        for card, start, size in touched:
            for other in (self._foreign if card is stream else self._all).get(card, ()):
                if other.stream is not stream and other.start < start + size and start < other.end:
                    newest[other.stream] = max(other.number, newest.get(other.stream, -1))
        after = [n for other, n in newest.items() if n > self._known.get((stream, other), -1)]
        self._known |= {(stream, other): n for other, n in newest.items() if n in after}
        for card, start, size in touched:
            access = _Access(number, stream, start, start + size)
            self._all.setdefault(card, []).append(access)
            if card is not stream:
                self._foreign.setdefault(card, []).append(access)
        return tuple(sorted(after))
