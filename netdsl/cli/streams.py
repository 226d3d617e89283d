"""The end of a command: its exit status, also after Ctrl-C or when its output cannot be written.

Standard output may be closed from the start, lose its reader (`| head`), or be full; Ctrl-C, `kill` and the end of a
terminal session come at any moment. None of them shows a traceback, and files being written are removed.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TextIO

INTERRUPTED = 128 + signal.SIGINT
#: signals of `kill` and of a closed terminal; Windows has the first only
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))

Handler = Callable[[int, FrameType | None], Any]


def exit_status(run: Callable[[], None]) -> Any:
    """Run a command and flush what it prints; the status to leave with, which may be None for 0.

    Its own where it raises SystemExit; 0 when the reader of its output has gone, which has what it wanted; 1 with a
    sentence when output cannot be written; 128 and the number of the signal when one ended it.
    """
    _open_missing()
    status: Any = 0
    try:
        with on_signals(ENDING, _leave):
            try:
                run()
            except SystemExit as leaving:
                status = leaving.code
            sys.stdout.flush()
    except SystemExit as leaving:
        return leaving.code
    except KeyboardInterrupt:
        # The terminal has printed ^C in the current line.
        say("\ninterrupted" if columns(sys.stderr) else "interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        pass  # the reader (head, less) needs no more
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else cannot_print(error)
        say(f"netdsl: {what}")
        return 1
    finally:
        drop_output()
    return status


def cannot_print(error: OSError) -> str:
    """The message for output that cannot be written."""
    reason = "it is closed" if error.errno == errno.EBADF else error.strerror
    return f"cannot write to standard output: {reason}"


def say(text: str) -> None:
    """A line on standard error, if it can be written: there is no other place to say that it cannot."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def columns(stream: TextIO) -> int | None:
    """How many columns a terminal has; None for files and pipes, whose lines have any length."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None if stream.isatty() else None
    except (OSError, ValueError):
        return None


def has_colours(stream: TextIO) -> bool:
    """Whether colours are wanted: in a terminal that has them, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")


def is_closed() -> bool:
    """Whether standard output was closed when the command started (`>&-`)."""
    return isinstance(_raw(sys.stdout), _Closed)


@contextmanager
def on_signals(numbers: Sequence[int], handler: Handler) -> Iterator[None]:
    """Let `handler` take signals, but those that the parent process wants ignored (`nohup`)."""
    old: dict[int, Any] = {}
    try:
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                old[number] = signal.signal(number, handler)
    except ValueError:  # not the main thread, which alone may handle signals
        pass
    try:
        yield
    finally:
        for number, before in old.items():
            signal.signal(number, before)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


class _Closed(io.RawIOBase):
    """A stream that was closed before we started: writing fails, until it is dropped."""

    dropped = False

    def writable(self) -> bool:
        """Whether it is for writing."""
        return True

    def write(self, data: Any) -> int:
        """Raise the error that the system raises for a closed file."""
        if not self.dropped:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return len(data)


def _raw(stream: Any) -> Any:
    return getattr(getattr(stream, "buffer", None), "raw", None)


def _open_missing() -> None:
    """Open a substitute for closed streams, so that no other file gets their descriptors."""
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(_Closed()), encoding="utf-8")
    # If standard error is None, Python would print errors on standard output.
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for good
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - for good


def drop_output() -> None:
    """Drop output that could not be written, or the interpreter would try again at exit and report an error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            raw = _raw(stream)
            if isinstance(raw, _Closed):
                raw.dropped = True
            else:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
