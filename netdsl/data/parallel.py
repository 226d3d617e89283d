"""Work done by several threads, with the results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, TypeVar

from netdsl.machine import processors

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")

MOST = 16
"""More threads than this do not help: Python itself, which runs one at a time, is then what all wait for."""


def default_workers() -> int:
    """A thread for each processor that this process may use."""
    return min(processors(), MOST)


def ordered(
    function: Callable[[T], R], items: Iterable[T], workers: int, ahead: int | None = None
) -> Generator[R, None, None]:
    """`function` of each item in their order, computed by `workers` threads; 0: by the caller.

    At most `ahead` items, by default two for each thread, are computed or kept at a time. What an item raises is
    raised in its turn. Threads have ended when the iterator is exhausted, closed or has raised.
    """
    if workers < 1:
        yield from map(function, items)
        return
    from concurrent.futures import ThreadPoolExecutor

    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="netdsl-reader") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= (ahead or 2 * workers):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
