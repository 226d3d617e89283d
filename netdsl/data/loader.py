"""Preparing batches in the background while the network computes."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from netdsl.arrays import np
from netdsl.data.batches import Batch, Batches
from netdsl.data.parallel import default_workers, ordered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netdsl.backend.memory import Send


class Loader:
    """Batches from (epoch, batch) on, made in the background at most `depth` batches ahead.

    One thread makes them, in order; where samples have to be read or preprocessed, `batches.workers` more threads do
    that for it (None: one for each processor), a share of a batch each, so that about two batches are being read at
    a time.
    Iterating gives the batches of epoch after epoch up to `epochs` (exclusive); `batch.last` marks the end of
    each. A loader started at (e, b) gives exactly what one started at (0, 0) gives from there on, whatever the number
    of workers. `send` starts to copy what was made to the device. What goes wrong in a thread is raised here, after
    the batches made before it. Close it, or use it in a `with`, when leaving early:

        with Loader(batches, epochs=12, start=(3, 17)) as loader:
            for batch in loader: ...
    """

    def __init__(
        self,
        batches: Batches,
        epochs: int,
        start: tuple[int, int] = (0, 0),
        depth: int = 3,
        send: Send | None = None,
    ) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, not {depth}")
        if start[0] < 0 or not 0 <= start[1] <= len(batches):
            raise ValueError(f"there is no batch {start[1]} of epoch {start[0]}; an epoch has {len(batches)}")
        self._channel = _Channel(depth)
        readers = default_workers() if batches.workers is None else batches.workers
        readers = 0 if batches.in_memory else min(batches.batch, readers)
        self._thread = threading.Thread(
            target=_produce,
            args=(batches, epochs, start, readers, self._channel, send),
            name="netdsl-loader",
            daemon=True,
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


def _produce(
    batches: Batches,
    epochs: int,
    start: tuple[int, int],
    readers: int,
    channel: _Channel,
    send: Send | None,
) -> None:
    try:
        with closing(_made(batches, epochs, start, readers)) as made:
            for batch in made:
                if not channel.put(batch if send is None else replace(batch, sent=send(batch.arrays))):
                    return
    except BaseException as error:
        channel.end(error)
    else:
        channel.end(None)


def _made(
    batches: Batches, epochs: int, start: tuple[int, int], readers: int
) -> Generator[Batch, None, None]:
    """The batches in order, their samples read by so many threads."""
    places = _places(len(batches), epochs, start)
    if readers == 0:
        yield from (batches.make(*place) for place in places)
        return
    parts = (part for epoch, number in places for part in _parts(batches, epoch, number, readers))
    rows: list[Mapping[str, NDArray[Any]]] = []
    with closing(ordered(lambda part: (part, batches.read(part.indices)), parts, readers)) as reading:
        for part, read in reading:
            rows.append(read)
            if part.last:
                yield batches.make(part.epoch, part.number, _joined(rows))
                rows = []


def _places(batches: int, epochs: int, start: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Epoch and number of every batch from `start` on."""
    first_epoch, first = start
    for epoch in range(first_epoch, epochs):
        yield from ((epoch, number) for number in range(first if epoch == first_epoch else 0, batches))


@dataclass(frozen=True, eq=False)
class _Part:
    """Samples of a batch; `last` is the last part of it."""

    epoch: int
    number: int
    indices: NDArray[np.int64]
    last: bool


def _parts(batches: Batches, epoch: int, number: int, count: int) -> Iterator[_Part]:
    """A batch in parts of about the same size, of one sample at least."""
    indices = batches.indices(epoch, number)
    count = min(count, len(indices))
    for k, part in enumerate(np.array_split(indices, count)):
        yield _Part(epoch, number, part, k == count - 1)


def _joined(rows: Sequence[Mapping[str, NDArray[Any]]]) -> Mapping[str, NDArray[Any]]:
    return rows[0] if len(rows) == 1 else {name: np.concatenate([r[name] for r in rows]) for name in rows[0]}
