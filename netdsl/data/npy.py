"""NumPy's .npy and .npz files, without pickled objects and with every size checked first."""

from __future__ import annotations

import contextlib
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.data.own.array_files import FileArray, is_large
from netdsl.data.stored import Values
from netdsl.data.stream import DEFLATE_RATIO, Header, Stream, open_stream, reading
from netdsl.filetype import HEAD, content, not_wanted, open_file
from netdsl.source import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")
_MAGIC = b"\x93NUMPY"
_FIELD = re.compile(r"""(['"])(\w+)\1:(True|False|\([-\dL,]*\)|'[^']*'|"[^"]*"|\[.*\])(?:,|$)""")
_SIMPLE = re.compile(r"[<>|=]?(b1|\?|[iu][1248]|f[248])")
_TEXT = re.compile(r"[<>|=]?[US][1-9]\d{0,3}")
_EITHER = re.compile(f"{_SIMPLE.pattern}|{_TEXT.pattern}")
_OTHER_ZIPS = ("a PyTorch file (.pth)", "a Keras file (.keras)")
_ZIPS = ("an archive of NumPy arrays (.npz)", "a zip archive")
_MAX_HEADER = 4096
_MAX_MEMBERS = 4096


def read_npy(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read a .npy file (gzip or not) of booleans, integers or floats, in native byte order.

    Errors: NetError when the file is missing, cut off or too long, its header is not NPY or lies, or its
    values are of another kind: pickled objects are never loaded.
    """
    with open_stream(path, "an array in .npy format") as stream:
        return _decode(stream)


def npy_header(path: str | os.PathLike[str]) -> Header:
    """The shape and the type that the header of a .npy file states; errors as in `read_npy`."""
    with open_stream(path, "an array in .npy format") as stream:
        return _header(stream)[0]


def read_npz(path: str | os.PathLike[str], key: str) -> NDArray[Any]:
    """Read the array `key` of a .npz file; errors as in `read_npy`, and when there is no such array."""
    return _from_npz(Path(path), key, _decode)


def npz_header(path: str | os.PathLike[str], key: str) -> Header:
    """The shape and the type that the array `key` of a .npz file states; errors as in `read_npz`."""
    return _from_npz(Path(path), key, lambda stream: _header(stream)[0])


def values_of_npy(path: str | os.PathLike[str]) -> Values:
    """The array of a .npy file; one of `STORED` bytes and more stays in it, unless it is packed by gzip.

    Errors as in `read_npy`.
    """
    with open_stream(path, "an array in .npy format") as stream:
        (shape, kind), fortran = _header(stream)
        if stream.exact and not fortran and is_large(shape, kind):
            return FileArray(Path(path), stream.file.tell(), shape, kind, str(path))
    return read_npy(path)


def values_of_npz(path: str | os.PathLike[str], key: str) -> Values:
    """The array `key` of a .npz file; one of `STORED` bytes and more stays in it, unless it is compressed.

    Errors as in `read_npz`.
    """
    with _archive(Path(path)) as archive:
        found = _member(archive, Path(path), key, _header)
        (shape, kind), fortran = found
        info = next(m for m in archive.infolist() if m.filename in (f"{key}.npy", key))
        if info.compress_type == zipfile.ZIP_STORED and not fortran and is_large(shape, kind):
            start = _start(Path(path), info) + info.file_size - math.prod(shape) * kind.itemsize
            return FileArray(Path(path), start, shape, kind, f"{path}[{key}]")
    return read_npz(path, key)


def _start(path: Path, info: zipfile.ZipInfo) -> int:
    """The byte of an archive at which the content of a member begins that is not compressed."""
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        lengths = file.read(4)
    return (
        info.header_offset
        + 30
        + int.from_bytes(lengths[:2], "little")
        + int.from_bytes(lengths[2:], "little")
    )


def npz_keys(path: str | os.PathLike[str], numbers: bool = False) -> list[str]:
    """The names of the arrays of a .npz file, or of those that hold no texts; errors as in `read_npz`."""
    where = Path(path)
    with _archive(where) as archive:
        keys = [member.removesuffix(".npy") for member in archive.namelist()[:_MAX_MEMBERS]]
        if not numbers:
            return keys
        return [key for key in keys if _member(archive, where, key, _kind) not in "US"]


def _kind(stream: Stream) -> str:
    return _header(stream, _EITHER)[0][1].kind


def read_names(path: str | os.PathLike[str], key: str) -> tuple[str, ...]:
    """Read the texts of the array `key` of a .npz file, [n] of NumPy's `str` or `bytes`.

    Errors as in `read_npz`, and when it holds something else.
    """
    names = _from_npz(Path(path), key, lambda stream: _decode(stream, _TEXT))
    if names.ndim != 1:
        raise data_error(f"{path}[{key}] has shape {list(names.shape)}; names are a list, [n]")
    if names.dtype.kind == "S":
        names = np.char.decode(names, "utf-8", "replace")
    return tuple(map(str, names))


def _from_npz(where: Path, key: str, decode: Callable[[Stream], T]) -> T:
    with _archive(where) as archive:
        return _member(archive, where, key, decode)


@contextlib.contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    wanted = "an archive of arrays (.npz)"
    with reading(path), open_file(path, "data", wanted) as file:
        found = content(file.peek(HEAD))
        if found in _OTHER_ZIPS or not zipfile.is_zipfile(file):
            if found in _ZIPS:
                message = (
                    f"{path} is damaged: its end, where the list of its arrays is, is cut off or was changed"
                )
                raise data_error(message, fix="take another copy of the file")
            raise not_wanted(path, "data", found, wanted)
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        # Exceptions that zipfile raises for broken archives besides its own; found by mutating archives.
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, UnicodeDecodeError) as error:
            raise data_error(f"{path} is not a readable .npz file: {error}") from error


def _member(archive: zipfile.ZipFile, path: Path, key: str, decode: Callable[[Stream], T]) -> T:
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS:
        raise data_error(f"{path} has {len(members)} arrays; the limit is {_MAX_MEMBERS}")
    found = [member for member in members if member.filename in (f"{key}.npy", key)]
    if len(found) != 1:
        names = ", ".join(member.filename.removesuffix(".npy") for member in members[:20])
        raise data_error(f"{path} has {len(found)} arrays named {key!r}; it has: {names or 'none'}")
    info = found[0]
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise data_error(
            f"{path}: array {key!r} is compressed in an unsupported way; numpy.savez_compressed deflates"
        )
    ratio = DEFLATE_RATIO if info.compress_type == zipfile.ZIP_DEFLATED else 1
    if info.compress_size > path.stat().st_size or info.file_size > info.compress_size * ratio:
        raise data_error(f"{path}: the size {info.file_size} given for array {key!r} cannot be true")
    with archive.open(info) as file:
        return decode(Stream(file, f"{path}[{key}]", info.file_size, exact=True))


def _header(stream: Stream, kinds: re.Pattern[str] = _SIMPLE) -> tuple[Header, bool]:
    """Read shape, type and whether the order is Fortran's; the stream is then at the values."""
    head = stream.peek()
    if not head.startswith(_MAGIC):
        raise not_wanted(stream.name, "data", content(head), "an array in .npy format")
    magic = stream.read(8)
    if magic[6] not in (1, 2):
        raise data_error(f"{stream.name} is of version {magic[6]} of .npy; 1 and 2 can be read")
    prefix = stream.read(2 if magic[6] == 1 else 4)
    length = int.from_bytes(prefix, "little")
    if length > _MAX_HEADER:
        raise data_error(f"{stream.name} has a header of {length} bytes; the limit is {_MAX_HEADER}")
    shape, fortran, dtype = _parsed(stream.read(length).decode("latin-1"), stream.name, kinds)
    stream.size -= len(magic) + len(prefix) + length
    stream.check_size(shape, dtype)
    return (shape, dtype), fortran


def _decode(stream: Stream, kinds: re.Pattern[str] = _SIMPLE) -> NDArray[Any]:
    (shape, dtype), fortran = _header(stream, kinds)
    values = stream.read_array(shape[::-1] if fortran else shape, dtype)
    values = values.astype(dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(values.T) if fortran else values


def _parsed(text: str, name: str, kinds: re.Pattern[str]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the order is Fortran's, and type, read from the header without evaluating it as Python."""
    fields = _fields("".join(text.split()))
    kind = fields.get("descr", "")
    numbers = fields.get("shape", "-").strip("()").replace("L", "").split(",")
    sizes = [n for n in numbers if n] if numbers != [""] else []
    if fields.keys() != {"descr", "fortran_order", "shape"} or not all(
        re.fullmatch(r"-?\d{1,19}", n) for n in sizes
    ):
        raise data_error(f"{name} has a broken .npy header: {brief(text.strip()) or 'nothing'}")
    if not kinds.fullmatch(kind.strip("'\"")):
        wanted = "texts" if kinds is _TEXT else "booleans, integers and floats"
        raise data_error(f"{name} holds {brief(kind)}: only {wanted} can be read")
    return tuple(map(int, sizes)), fields["fortran_order"] == "True", np.dtype(kind.strip("'\""))


def _fields(text: str) -> dict[str, str]:
    """The values of `{'name':value,...}` as text; nothing where it is something else, or a name comes twice."""
    inner, found, at = text[1:-1], dict[str, str](), 0
    while at < len(inner):
        m = _FIELD.match(inner, at)
        if m is None or m[2] in found:
            return {}
        found[m[2]], at = m[3], m.end()
    return found if text[:1] == "{" and text[-1:] == "}" else {}
