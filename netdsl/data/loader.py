"""Preparing batches in the background while the network computes."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from netdsl.data.batches import Batch, Batches


class Loader:
    """Batches from (epoch, batch) on, made by one thread that stays at most `depth` batches ahead.

    Iterating gives the batches of epoch after epoch up to `epochs` (exclusive); `batch.last` marks the end of
    each. A loader started at (e, b) gives exactly what one started at (0, 0) gives from there on. What goes
    wrong in the thread is raised here, after the batches made before it. Close it, or use it in a `with`,
    when leaving early:

        with Loader(batches, epochs=12, start=(3, 17)) as loader:
            for batch in loader: ...
    """

    def __init__(
        self, batches: Batches, epochs: int, start: tuple[int, int] = (0, 0), depth: int = 3
    ) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, not {depth}")
        if start[0] < 0 or not 0 <= start[1] <= len(batches):
            raise ValueError(f"there is no batch {start[1]} of epoch {start[0]}; an epoch has {len(batches)}")
        self._channel = _Channel(depth)
        self._thread = threading.Thread(
            target=_produce, args=(batches, epochs, start, self._channel), name="netdsl-loader", daemon=True
        )
        # The thread has no reference to the loader, so a loader that is dropped is collected and its thread ends.
        self._finalizer = weakref.finalize(self, self._channel.stop)
        self._thread.start()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        return self._channel.take()

    def close(self) -> None:
        """Stop the thread and wait until it has ended; iterating then ends too. May be called again."""
        self._finalizer()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Channel:
    """A bounded queue between two threads that can end in three ways: finished, failed, stopped."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._queue: deque[Batch] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._stopped = False
        self._error: BaseException | None = None

    def put(self, batch: Batch) -> bool:
        """Add a batch as soon as there is room; False when nobody wants more."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._queue) < self._depth)
            if not self._stopped:
                self._queue.append(batch)
                self._changed.notify_all()
            return not self._stopped

    def end(self, error: BaseException | None) -> None:
        """Say that no more batches come, because of `error` if there is one."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        """Say that no more batches are wanted."""
        with self._changed:
            self._stopped = True
            self._queue.clear()
            self._changed.notify_all()

    def take(self) -> Batch:
        """The next batch; StopIteration after the last or after `stop`, the error after a failure."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._ended or self._stopped)
            if self._queue:
                self._changed.notify_all()
                return self._queue.popleft()
            if self._error is not None and not self._stopped:
                raise self._error
            raise StopIteration


def _produce(batches: Batches, epochs: int, start: tuple[int, int], channel: _Channel) -> None:
    first_epoch, first = start
    try:
        for epoch in range(first_epoch, epochs):
            for number in range(first, len(batches)):
                if not channel.put(batches.make(epoch, number)):
                    return
            first = 0
    except BaseException as error:
        channel.end(error)
    else:
        channel.end(None)
