"""The budget of one elaboration: a short file can ask for more work than any machine can do."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from netdsl.limits import MAX_STEPS
from netdsl.source import Diagnostic, Span

#: prices in steps; one step is about a microsecond of work, or 64 bytes that stay
PER_CHARACTER_READ = 4
PER_IMPORT = 50
PER_NET = 300
PER_TURN = 2
PER_BLOCK = 80
PER_NODE = 30
PER_NAME = 4
PER_MISTAKE = 1_000
PER_CANDIDATE = 2
ITEMS_PER_STEP = 2
CHARACTERS_PER_STEP = 64


class Exhausted(Exception):
    """A limit was exceeded, and the elaboration ends."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic

    def within(self, text: str, span: Span) -> None:
        """Add the use of a block to the trail."""
        trail = (*self.diagnostic.trail, (text, span))
        self.diagnostic = replace(self.diagnostic, trail=trail)


class Budget:
    """The steps that are left.  All work and memory that can grow faster than the text spends steps."""

    def __init__(self) -> None:
        self.left = MAX_STEPS

    def spend(self, steps: int, span: Span) -> None:
        """Spend steps; raises Exhausted when none are left."""
        self.left -= steps
        if self.left < 0:
            message = f"this takes more than {MAX_STEPS:_} steps to build"
            fix = "fewer turns of loops, smaller lists, or fewer blocks within blocks"
            stop(message, span, fix)


def stop(message: str, span: Span, fix: str | None = None) -> NoReturn:
    """End the elaboration with a diagnostic."""
    raise Exhausted(Diagnostic("limit", message, span, fix=fix))
