"""A command as a process of its own on a pseudo-terminal, and the screen that a person would see."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyte

ROOT = Path(__file__).parents[2]
NETDSL = (sys.executable, "-m", "netdsl")
#: several commands on one terminal, which pay for one start
BATCH = (sys.executable, str(Path(__file__).with_name("batch.py")))
CTRL_C = "\x03"


def environment(**changes: str | None) -> dict[str, str]:
    """Ours, as a plain terminal has it, with changes; None takes a variable away."""
    plain = {
        "TERM": "xterm-256color",
        "COLUMNS": None,
        "LINES": None,
        "NO_COLOR": None,
        "FORCE_COLOR": None,
        "PYTHONUNBUFFERED": None,
    }
    both = {**os.environ, "PYTHONPATH": str(ROOT), **plain, **changes}
    return {name: value for name, value in both.items() if value is not None}


class Terminal:
    """`netdsl WORDS` on a terminal of `columns` and `rows`; use it in a `with`, which ends the process."""

    def __init__(
        self,
        words: Sequence[str],
        columns: int = 80,
        rows: int = 24,
        folder: Path = ROOT,
        env: Mapping[str, str | None] | None = None,
        program: Sequence[str] = NETDSL,
    ) -> None:
        self._screen = pyte.HistoryScreen(columns, rows, history=5000, ratio=1)
        self._stream = pyte.ByteStream(self._screen)
        self.bytes, self._shown = b"", 0
        self._master, slave = pty.openpty()
        self._size(slave, columns, rows)
        self.process = subprocess.Popen(
            [*program, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=environment(**(env or {})),
            start_new_session=True,
            # The terminal becomes the one that sends Ctrl-C and changes of size.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._master)

    @property
    def lines(self) -> list[str]:
        """All that was printed and not overwritten, what has scrolled away included, without blanks at the ends."""
        columns = self._screen.columns
        past = ["".join(line[x].data for x in range(columns)) for line in self._screen.history.top]
        lines = [line.rstrip() for line in (*past, *self._screen.display)]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def text(self) -> str:
        """`lines` as one text."""
        return "\n".join(self.lines) + "\n"

    @property
    def cursor_is_hidden(self) -> bool:
        """Whether the terminal was left, or is, without a cursor."""
        return bool(self._screen.cursor.hidden)

    def colours(self) -> set[str]:
        """The colours and styles of what is on the screen."""
        cells = [cell for row in self._screen.buffer.values() for cell in row.values()]
        styles = {cell.fg for cell in cells} | {"bold" for cell in cells if cell.bold}
        return styles - {"default"}

    def press(self, keys: str) -> None:
        """Type on the keyboard; CTRL_C is a key."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int = 24) -> None:
        """Drag the window to another size; the process hears of it by SIGWINCH."""
        self._size(self._master, columns, rows)
        self._screen.resize(rows, columns)

    def until(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        """Wait until the screen matches, and stop there; an AssertionError shows the screen that did not."""
        end = time.monotonic() + seconds
        open_ = True
        while not (found := re.search(pattern, self.text, re.M)):
            if not self._feed():
                assert open_ and time.monotonic() < end, f"{pattern!r} did not appear:\n{self.text}"
                open_ = self._read(end - time.monotonic())
        return found

    def wait(self, seconds: float = 60) -> int:
        """Read to the end; the exit status, negative for a signal."""
        end = time.monotonic() + seconds
        while self._read(end - time.monotonic()):
            assert time.monotonic() < end, f"it did not end in {seconds} s:\n{self.text}"
        while self._feed():
            pass
        return self.process.wait(max(1, end - time.monotonic()))

    def _read(self, seconds: float) -> bool:
        """Take what has come; False when nothing more can."""
        ready, _, _ = select.select([self._master], [], [], max(0.0, min(seconds, 0.5)))
        if not ready:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux says that the other end is closed by EIO
            return False
        self.bytes += data
        return bool(data)

    def _feed(self) -> bool:
        """Show the next line, or the next state of one that is written again; False when all is shown."""
        rest = self.bytes[self._shown :]
        piece = rest[: rest.find(b"\r", 1)] if rest.find(b"\r", 1) > 0 else rest
        self._stream.feed(piece)
        self._shown += len(piece)
        return bool(piece)

    @staticmethod
    def _size(descriptor: int, columns: int, rows: int) -> None:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def show(words: Sequence[str], columns: int = 80, **options: object) -> tuple[int, Terminal]:
    """Run a command to its end; the exit status and its terminal."""
    with Terminal(words, columns, **options) as terminal:  # type: ignore[arg-type]
        return terminal.wait(), terminal
