"""NumPy's .npy and .npz files, without pickled objects and with every size checked first."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.data.stream import DEFLATE_RATIO, Header, Stream, open_stream, reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")
_MAX_HEADER = 4096
_MAX_MEMBERS = 4096


def read_npy(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read a .npy file (gzip or not) of booleans, integers or floats, in native byte order.

    Errors: NetError when the file is missing, cut off or too long, its header is not NPY or lies, or its
    values are of another kind: pickled objects are never loaded.
    """
    with open_stream(path) as stream:
        return _decode(stream)


def npy_header(path: str | os.PathLike[str]) -> Header:
    """The shape and the type that the header of a .npy file states; errors as in `read_npy`."""
    with open_stream(path) as stream:
        return _header(stream)[0]


def read_npz(path: str | os.PathLike[str], key: str) -> NDArray[Any]:
    """Read the array `key` of a .npz file; errors as in `read_npy`, and when there is no such array."""
    return _from_npz(Path(path), key, _decode)


def npz_header(path: str | os.PathLike[str], key: str) -> Header:
    """The shape and the type that the array `key` of a .npz file states; errors as in `read_npz`."""
    return _from_npz(Path(path), key, lambda stream: _header(stream)[0])


def _from_npz(where: Path, key: str, decode: Callable[[Stream], T]) -> T:
    with reading(where):
        try:
            with where.open("rb") as file, zipfile.ZipFile(file) as archive:
                return _member(archive, where, key, decode)
        # What a broken archive makes zipfile raise, besides its own error: checked by mutating archives.
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, UnicodeDecodeError) as error:
            raise data_error(f"{where} is not a readable .npz file: {error}") from error


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


def _header(stream: Stream) -> tuple[Header, bool]:
    """The shape and the type that come, and whether in Fortran's order; the stream then stands at the values."""
    magic = stream.read(8)
    if magic[:6] != b"\x93NUMPY" or magic[6] not in (1, 2):
        raise data_error(f"{stream.name} is not an array in .npy format, version 1 or 2")
    prefix = stream.read(2 if magic[6] == 1 else 4)
    length = int.from_bytes(prefix, "little")
    if length > _MAX_HEADER:
        raise data_error(f"{stream.name} has a header of {length} bytes; the limit is {_MAX_HEADER}")
    shape, fortran, dtype = _parsed(prefix + stream.read(length), magic[6], stream.name)
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise data_error(f"{stream.name} holds {dtype}: only booleans, integers and floats can be read")
    stream.size -= len(magic) + len(prefix) + length
    stream.check_size(shape, dtype)
    return (shape, dtype), fortran


def _decode(stream: Stream) -> NDArray[Any]:
    (shape, dtype), fortran = _header(stream)
    values = stream.read_array(shape[::-1] if fortran else shape, dtype)
    values = values.astype(dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(values.T) if fortran else values


def _parsed(text: bytes, version: int, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Let NumPy read its own header: it takes literals only, and the text is short by now."""
    from numpy.lib import format as npy_format

    read = npy_format.read_array_header_1_0 if version == 1 else npy_format.read_array_header_2_0
    try:
        shape, fortran, dtype = read(BytesIO(text))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise data_error(f"{name} has a broken .npy header: {error}") from error
    return shape, fortran, dtype
