"""Read files whose headers may be wrong: sizes are compared with the file before memory is allocated."""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.filetype import HEAD, nearest_path, open_file
from netdsl.limits import MAX_ELEMENTS, MAX_RANK
from netdsl.machine import check_fits
from netdsl.source import NetError, counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Header = tuple[tuple[int, ...], np.dtype[Any]]
else:
    Header = Any

# Deflate compresses at most by this factor (258 bytes in 2 bits); a larger size in a header is wrong.
DEFLATE_RATIO = 1032
_LARGE = 2**28


@dataclass
class Stream:
    """A readable file, gzip taken off.

    `size` is the number of bytes it holds: exactly, or at most when not `exact` (compressed).
    """

    file: IO[bytes]
    name: str
    size: int
    exact: bool

    def peek(self) -> bytes:
        """The first bytes, without consuming them."""
        head: bytes = self.file.peek(HEAD)[:HEAD]  # type: ignore[attr-defined]
        return head

    def read(self, count: int) -> bytes:
        """Read exactly `count` bytes, which must be few; NetError when the file ends before."""
        data = self.file.read(count)
        if len(data) < count:
            raise data_error(
                f"{self.name} ends too early: {counted(count - len(data), 'more byte')} expected"
            )
        return data

    def read_array(self, shape: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Read the rest of the stream as one row-major array; its size must fit exactly.

        Errors: NetError for a negative dimension, too many axes or elements, a size that the file does
        not have (found before the array is allocated), or bytes left over.
        """
        size = self.check_size(shape, dtype)
        if size > _LARGE:
            check_fits(size, self.name)
        array = np.empty(tuple(shape), dtype)
        self.fill(array.reshape(-1).view(np.uint8).data)
        if self.file.read(1):
            raise data_error(f"{self.name} has more than the {counted(size, 'byte')} that its header gives")
        return array

    def check_size(self, shape: Sequence[int], dtype: np.dtype[Any]) -> int:
        """Bytes of an array of this shape, which the rest of the stream must have; errors as in `read_array`.

        A file that is as long as it says has no limit: what is too large for memory is not read into it.
        """
        plain = len(shape) <= MAX_RANK and all(n >= 0 for n in shape)
        if self.exact and plain and math.prod(shape) * dtype.itemsize == self.size:
            return self.size
        size = array_bytes(shape, dtype, self.name)
        if size != self.size if self.exact else size > self.size:
            has = f"has {counted(self.size, 'byte')}" if self.exact else f"holds at most {self.size:,} bytes"
            raise data_error(
                f"{self.name} says {list(shape)} of {dtype.name}, {counted(size, 'byte')}, but {has} after its header"
            )
        return size

    def fill(self, target: memoryview) -> None:
        """Read exactly len(target) bytes into `target`."""
        done = 0
        while done < len(target):
            count = self.file.readinto(target[done:])  # type: ignore[attr-defined]
            if not count:
                raise data_error(
                    f"{self.name} ends too early: {counted(len(target) - done, 'more byte')} expected"
                )
            done += count


def array_bytes(shape: Sequence[int], dtype: np.dtype[Any], name: str) -> int:
    """Bytes of an array of this shape, checked against the limits (NetError)."""
    if len(shape) > MAX_RANK:
        raise data_error(f"{name} has {len(shape)} axes; at most {MAX_RANK} are supported")
    if any(size < 0 for size in shape):
        raise data_error(f"{name} has a negative dimension: {list(shape)}")
    if math.prod(shape) > MAX_ELEMENTS:
        raise data_error(f"{name} has {math.prod(shape)} elements; the limit is {MAX_ELEMENTS}")
    return math.prod(shape) * dtype.itemsize


@contextlib.contextmanager
def open_stream(path: str | os.PathLike[str], wanted: str = "a data file") -> Iterator[Stream]:
    """Open a data file, compressed by gzip (told by its first bytes) or not.

    `wanted` says in messages what belongs there.  Errors: NetError when it is no ordinary file or cannot be opened
    or, in the body, when it cannot be read or decompressed.
    """
    where = Path(path)
    with reading(where), open_file(where, "data", wanted) as file:
        size = os.fstat(file.fileno()).st_size
        if file.peek(2)[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield Stream(unpacked, str(where), size * DEFLATE_RATIO, exact=False)  # type: ignore[arg-type]
        else:
            yield Stream(file, str(where), size, exact=True)


@contextlib.contextmanager
def reading(path: Path, kind: str = "file") -> Iterator[None]:
    """Turn the errors of the file system and of gzip in the body into a NetError that names `path`, a `kind`."""
    try:
        yield
    except NetError:
        raise
    except FileNotFoundError as error:
        raise data_error(f"there is no {kind} {path}", fix=nearest_path(path)) from error
    except NotADirectoryError as error:
        raise data_error(f"{path} is no {kind}") from error
    except EOFError as error:
        raise data_error(f"{path} ends too early: its compressed data is cut off") from error
    except (OSError, zlib.error) as error:
        raise data_error(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
