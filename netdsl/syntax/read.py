"""A file read into a `Source`, or a diagnostic that says why not."""

import functools
import os
import sys
import time
from pathlib import Path
from typing import TextIO

from netdsl.filetype import HEAD, content, not_wanted, open_file
from netdsl.limits import MAX_SOURCE_SIZE
from netdsl.source import Diagnostic, NetError, Source, Span

WANTED = "a .net file"


def read_source(path: str | Path) -> Source:
    """Read a `.net` file, or standard input for `-`: UTF-8, line ends of any system, at most `MAX_SOURCE_SIZE` bytes.

    Raises `NetError` with code `file` where it cannot be read, `limit` where it is too large and `syntax`
    where it is not UTF-8.
    """
    if str(path) == "-":
        return _source("<stdin>", _from_stdin(sys.stdin))
    if _is_pipe(path):
        data = _from_pipe(Path(path))
    else:
        with open_file(path, "file", WANTED) as file:
            data = file.read(MAX_SOURCE_SIZE + 1)
    return _source(str(path), data)


def read_import(path: str | Path) -> Source:
    """Like `read_source`, for a file that a text names: an ordinary file, since nobody chose to wait for a pipe."""
    with open_file(path, "import", WANTED) as file:
        return _source(str(path), file.read(MAX_SOURCE_SIZE + 1))


@functools.lru_cache(1)
def _from_stdin(stream: TextIO) -> bytes:
    """What standard input has, also for those who read the same text twice, as training does."""
    return stream.buffer.read(MAX_SOURCE_SIZE + 1)


def _is_pipe(path: str | Path) -> bool:
    try:
        return Path(path).is_fifo()
    except ValueError:  # a NUL in the path
        return False


def _from_pipe(path: Path) -> bytes:
    """What comes out of a pipe, such as that of `<(command)`; one that nobody writes to is waited for a second."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as pipe:
        for _ in range(100):
            try:
                start = os.read(descriptor, MAX_SOURCE_SIZE + 1)
            except BlockingIOError:
                start = b""
                break
            if start:
                break
            time.sleep(0.01)
        else:
            raise NetError(
                Diagnostic("file", f"{path} is a pipe that nobody writes to; {WANTED} belongs here")
            )
        os.set_blocking(descriptor, True)
        return start + pipe.read(MAX_SOURCE_SIZE + 1 - len(start))


def _source(name: str, data: bytes) -> Source:
    found = content(data[:HEAD])
    if data and not found.endswith(("text", "text (.net)")):
        raise not_wanted(name, "file", found, WANTED)
    if len(data) > MAX_SOURCE_SIZE:
        raise NetError(Diagnostic("limit", f"{name}: larger than {MAX_SOURCE_SIZE:_} bytes"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NetError(_not_utf8(name, data, error)) from error
    return Source(name, text.replace("\r\n", "\n").replace("\r", "\n"))


def _not_utf8(name: str, data: bytes, error: UnicodeDecodeError) -> Diagnostic:
    source = Source(name, data.decode("utf-8", errors="replace"))
    at = len(data[: error.start].decode("utf-8"))
    message = f"byte 0x{data[error.start]:02X} is not UTF-8"
    return Diagnostic("syntax", message, Span(source, at, at + 1), fix="save the file as UTF-8")
