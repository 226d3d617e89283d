"""Ctrl-C while a network is trained."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from netdsl.train.loop import Loop


@contextmanager
def interruptible(loop: Loop) -> Iterator[None]:
    """Let the first Ctrl-C end the loop after the step; a second one stops at once."""

    def handler(number: int, frame: FrameType | None) -> None:
        if loop.stopping:
            raise KeyboardInterrupt
        loop.stop()

    try:
        old: Callable[..., Any] | int | None = signal.signal(signal.SIGINT, handler)
    except ValueError:  # not the main thread, which alone may handle signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)
