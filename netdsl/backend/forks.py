"""Locks that a fork waits for: a forked child inherits no half work, and no lock that nobody gives back.

They are taken in the order in which a run takes them, whichever room was imported first.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum


class Turn(IntEnum):
    """The order of locks: a thread that holds one takes only later ones."""

    MEMORY = 0
    THREADS = 1
    CODE = 2


@dataclass(frozen=True)
class _Held:
    turn: Turn
    take: Callable[[], object]
    give: Callable[[], object]
    in_child: Callable[[], object]


_held: list[_Held] = []


def hold_across_forks(
    turn: Turn,
    take: Callable[[], object],
    give: Callable[[], object],
    in_child: Callable[[], object] | None = None,
) -> None:
    """Before a fork `take` is called, behind it `give`, or in the child `in_child`."""
    _held.append(_Held(turn, take, give, in_child or give))
    _held.sort(key=lambda held: held.turn)


def _before() -> None:
    for held in _held:
        held.take()


def _in_parent() -> None:
    for held in reversed(_held):
        held.give()


def _in_child() -> None:
    for held in reversed(_held):
        held.in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
