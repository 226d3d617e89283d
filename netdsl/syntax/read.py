"""A file read into a `Source`, or a diagnostic that says why not."""

from pathlib import Path

from netdsl.filetype import open_file
from netdsl.limits import MAX_SOURCE_SIZE
from netdsl.source import Diagnostic, NetError, Source, Span


def read_source(path: str | Path) -> Source:
    """Read a `.net` file: UTF-8, line ends of any system, at most `MAX_SOURCE_SIZE` bytes.

    Raises `NetError` with code `file` where it cannot be read, `limit` where it is too large and `syntax`
    where it is not UTF-8.
    """
    name = str(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_SOURCE_SIZE + 1)
    except OSError as error:
        raise NetError(Diagnostic("file", f"cannot read {name}: {error.strerror}")) from error
    except ValueError as error:  # a NUL in the path
        raise NetError(Diagnostic("file", f"cannot read {name!r}: {error}")) from error
    return _source(name, data)


def read_import(path: str | Path) -> Source:
    """Like `read_source`, for a file that a text names: an ordinary file, since nobody chose to wait for a pipe."""
    with open_file(path, "import", "a .net file") as file:
        return _source(str(path), file.read(MAX_SOURCE_SIZE + 1))


def _source(name: str, data: bytes) -> Source:
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
