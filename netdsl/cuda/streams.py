"""Steps of several real cards: in a stream for each, which wait for each other by events, and in one recording."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from netdsl.cuda.card import Bound, BoundCopy, BoundStep

if TYPE_CHECKING:
    from netdsl.cuda.driver import DriverCard


class SeveralCards(Bound):
    """Steps that start behind all that is in the streams of their cards, and end before what comes next in any."""

    def __init__(self, home: DriverCard, steps: Sequence[BoundStep]) -> None:
        cards = dict.fromkeys(cast("DriverCard", step.card) for step in steps)
        self.home, self.others = home, [card for card in cards if card is not home]
        self._steps, self._awaited = steps, {number for step in steps for number in step.after}
        self._parts = [None if isinstance(s, BoundCopy) else s.card.bind([s]) for s in steps]

    def run(self) -> None:
        """Start all of them."""
        self._meet()
        self.start()
        self._meet()

    def run_one(self, number: int) -> None:
        """Run one."""
        self._meet()
        self._start(number)
        self._meet()
        self.home.wait(self._steps[number].title)

    def start(self) -> None:
        """Put the steps into the streams, between two points of that of `home`, as a recording needs it."""
        events: dict[int, tuple[DriverCard, Any]] = {}
        self._pass([self.home], self.others)
        for number, step in enumerate(self._steps):
            card = cast("DriverCard", step.card)
            for other in step.after:
                if other in events:  # else it is no part of these steps, and done
                    card.follow(events[other][1])
            self._start(number)
            if number in self._awaited:
                events[number] = card, self._end(card)
        self._pass(self.others, [self.home])
        for card, event in events.values():
            card.forget_event(event)

    def _start(self, number: int) -> None:
        step, part = self._steps[number], self._parts[number]
        if part is not None:
            part.run()
        elif isinstance(step, BoundCopy):
            cast("DriverCard", step.card).copy_over(step.target, step.source, step.size)

    def _meet(self) -> None:
        """No stream goes on before all are here."""
        self._pass(self.others, [self.home])
        self._pass([self.home], self.others)

    def _pass(self, before: Sequence[DriverCard], after: Sequence[DriverCard]) -> None:
        """Let what comes next in the streams of some cards wait for what is in those of others."""
        for card in before:
            event = self._end(card)
            for other in after:
                other.follow(event)
            card.forget_event(event)

    @staticmethod
    def _end(card: DriverCard) -> Any:
        """The end of what is in the stream of a card."""
        event = card.event()
        card.mark(event)
        return event


class RecordedCards(SeveralCards):
    """The same as one CUDA graph, which costs the host one call."""

    def __init__(self, home: DriverCard, steps: Sequence[BoundStep]) -> None:
        super().__init__(home, steps)
        self._graph = home.capture(super().start)
        weakref.finalize(self, home.forget, self._graph).atexit = False

    def start(self) -> None:
        """Start the recording."""
        self.home.replay(self._graph)


def bind_streams(home: DriverCard, steps: Sequence[BoundStep], replayed: bool) -> Bound:
    """The steps of several cards, recorded where these reach each other's memory.

    Cards that do not copy through the host, which no graph holds: then each step is a call.
    """
    pairs = {(step.card, step.to) for step in steps if isinstance(step, BoundCopy)}
    reach = [cast("DriverCard", a).reaches(cast("DriverCard", b)) for a, b in pairs]
    return RecordedCards(home, steps) if replayed and all(reach) else SeveralCards(home, steps)
