"""The cards of this machine by number: real ones, or emulated ones where the environment says so."""

from __future__ import annotations

import functools
import os

from netdsl.cuda.card import VARIABLE, Card
from netdsl.source import Diagnostic, NetError


def emulated() -> bool:
    """Whether the environment asks for cards that are emulated; NetError for what it cannot ask for."""
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "emulated"):
        text = f"{VARIABLE} is {asked!r}, which is no kind of card"
        fix = f"{VARIABLE}=emulated executes kernels on the processor; leave it out for the GPUs of this machine"
        raise NetError(Diagnostic("device", text, fix=fix))
    return asked == "emulated"


def find_card(number: int) -> Card:
    """A card of this machine by number, or an emulated one; NetError where there is none."""
    return _card(number, emulated())


def count_cards() -> int:
    """How many cards there are, by their numbers from 0 on."""
    if emulated():
        from netdsl.cuda.emulated import CARDS

        return CARDS
    from netdsl.cuda.driver import count

    return count()


@functools.cache
def _card(number: int, checked: bool) -> Card:
    # Imported when it is asked for: one needs a driver, the other loads the emulator.
    if checked:
        from netdsl.cuda.emulated import EmulatedCard

        return EmulatedCard(number)
    from netdsl.cuda.driver import DriverCard

    return DriverCard(number)
