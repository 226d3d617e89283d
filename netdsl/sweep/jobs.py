"""Trainings as processes, several at a time.

Each is a `netdsl train` of its own, so that none is slowed down or ended by what another does.  It writes its lines
into a pipe: when this process dies, a training cannot write the next one, and ends with a checkpoint.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import netdsl

#: the statuses of a training that Ctrl-C, SIGTERM and SIGHUP have ended, with a checkpoint
_STOPPED = {128 + number for number in (signal.SIGINT, signal.SIGTERM, 1)}


@dataclass(frozen=True)
class Told:
    """What is heard of a job: a line that it prints, or with `failure` that it has ended; "" is success.

    `stopped` is whether it ended because it was told to.
    """

    number: int
    line: str = ""
    failure: str | None = None
    stopped: bool = False


class Jobs:
    """Runs `netdsl WORDS` for each of the words, `count` at a time, in their order."""

    def __init__(self, words: Sequence[Sequence[str]], count: int) -> None:
        self._waiting = list(enumerate(words))[::-1]
        self._count = count
        self._lock = threading.Lock()
        self._at_work: set[subprocess.Popen[str]] = set()
        self._stops = 0
        self._heard: queue.SimpleQueue[Told | None] = queue.SimpleQueue()

    def run(self) -> Iterator[Told]:
        """Run them all; gives what is heard of them."""
        workers = [threading.Thread(target=self._work, daemon=True) for _ in range(self._count)]
        for worker in workers:
            worker.start()
        ended = 0
        while ended < len(workers):
            told = self._heard.get()
            if told is None:
                ended += 1
            else:
                yield told

    def stop(self) -> None:
        """Begin no more, and end those at work after their step; a second time, end them at once.

        It is for signal handlers."""
        # A handler may interrupt what holds the lock, so it takes none.
        self._stops += 1
        for process in list(self._at_work):
            if process.poll() is None:
                process.send_signal(signal.SIGINT if self._stops == 1 else signal.SIGKILL)

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stops > 0

    def _work(self) -> None:
        while (job := self._next()) is not None:
            number, words = job
            with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
                process = _start(words, errors)
                self._at_work.add(process)
                if self.stopping:
                    process.send_signal(signal.SIGINT)
                assert process.stdout is not None
                for line in process.stdout:
                    self._heard.put(Told(number, line.rstrip("\n")))
                status = process.wait()
                self._at_work.discard(process)
                errors.seek(0)
                failure = "" if status == 0 else _failure(status, errors.read())
            self._heard.put(
                Told(number, "", failure, stopped=self.stopping and status in (*_STOPPED, -9, -2))
            )
        self._heard.put(None)

    def _next(self) -> tuple[int, Sequence[str]] | None:
        with self._lock:
            return self._waiting.pop() if self._waiting and not self.stopping else None


def _start(words: Sequence[str], errors: IO[str]) -> subprocess.Popen[str]:
    """A process in a session of its own: Ctrl-C in the terminal is for us alone to pass on."""
    ours = str(Path(netdsl.__file__).parents[1])
    path = os.pathsep.join([ours, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-m", "netdsl", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )


def _failure(status: int, errors: str) -> str:
    """Why a training failed, in a line."""
    if status < 0:
        name = signal.Signals(-status).name if -status in {*signal.Signals} else str(-status)
        return f"ended by {name}"
    if status in _STOPPED:
        return "interrupted by another process"
    found = re.findall(r"^error\[\w+\]: (.+)$", errors, re.M)
    lines = [line for line in errors.splitlines() if line.strip()]
    return str(found[0] if found else lines[-1] if lines else f"exit status {status}")
