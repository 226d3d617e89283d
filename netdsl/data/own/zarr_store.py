"""`zarr("data.zarr", x = "images", label = "labels")`: arrays of a Zarr group, read batch by batch.

The library `zarr` reads the chunks.  What an array asks it to run is looked at first: codecs are those that decode
numbers, and never Python's pickle.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.dataset import LABELS, SAMPLES, Split, from_mapping
from netdsl.data.errors import data_error
from netdsl.data.named import Names, as_names, check_name
from netdsl.data.outline import Outline, is_small, outline_of_arrays
from netdsl.data.reading import Reading
from netdsl.data.stored import Shape
from netdsl.data.stream import reading
from netdsl.extras import need
from netdsl.filetype import open_file
from netdsl.machine import machine_memory
from netdsl.source import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CODECS = {"blosc", "zlib", "gzip", "zstd", "lz4", "bz2", "lzma", "delta", "shuffle", "bitround", "packbits"}
_CODECS |= {"fixedscaleoffset", "quantize", "crc32", "crc32c", "adler32", "fletcher32"}
_CODECS |= {"bytes", "endian", "transpose", "sharding_indexed"}
_DESCRIBED = ("zarr.json", ".zarray")
_MOST_METADATA = 2**20
_MOST_CHUNK = 2**31
_IN_MEMORY = 2**28


@dataclass(frozen=True, init=False)
class Zarr:
    """`zarr("data.zarr", x = "images", label = "labels")`: arrays [n, ...] of a group, under these names.

    Without names every array of the group goes under its own. Needs the library zarr.
    """

    file: str
    names: Names

    def __init__(self, file: str, **names: str) -> None:
        object.__setattr__(self, "file", check_name("file", file, "a folder"))
        object.__setattr__(self, "names", as_names(names))

    def load(self, base: Path) -> Split:
        """Open the arrays; those that are small are read."""
        return from_mapping({name: _values(array) for name, array in self._arrays(base).items()})

    def outline(self, base: Path) -> Outline:
        """Look at the shapes, and read what is small."""
        arrays = self._arrays(base)
        kinds = {name: (a.shape, a.dtype.kind in "biu") for name, a in arrays.items()}
        small = {
            name: a.read(np.arange(len(a))) for name, a in arrays.items() if is_small((a.shape, a.dtype))
        }
        return outline_of_arrays(kinds, small)

    def reading(self, base: Path) -> Reading:
        """The names of its arrays, which those of another group or of a .npz file have too."""
        return Reading(dict(self.names))

    def _arrays(self, base: Path) -> dict[str, ZarrArray]:
        path = base / self.file
        names = dict(self.names) or {name: name for name in _members(path)}
        return {name: opened(path, array) for name, array in names.items()}


@dataclass(frozen=True, eq=False)
class ZarrArray:
    """An array [n, ...] of a group."""

    path: Path
    array: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """[n, ...]."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type, in native byte order."""
        native: np.dtype[Any] = np.dtype(self.array.dtype).newbyteorder("=")
        return native

    @cached_property
    def shapes(self) -> Mapping[Shape, str]:
        """The one shape of all."""
        return {self.shape[1:]: self.name(0)}

    def __len__(self) -> int:
        return self.shape[0]

    def name(self, index: int) -> str:
        """The name of the array, and the number."""
        return f"sample {index} of {self.path}"

    def read(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Read the chunks that hold the samples."""
        with reading(self.path):
            try:
                rows = self.array.oindex[indices]
            # Codecs raise all kinds of exceptions for damaged chunks.
            except Exception as error:
                raise data_error(f"{self.path} is damaged: {error or type(error).__name__}") from error
        return np.asarray(rows, self.dtype)


def opened(group: Path, name: str) -> ZarrArray:
    """An array of a group, by its path in it. Errors: NetError for what is none, or asks for another codec."""
    path = group / name
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise data_error(f"{name} is no array of {group}")
    described = _metadata(path)
    if described is None:
        found = ", ".join(_members(group)) or "none"
        raise data_error(f"{group} has no array {brief(name)}; it has: {found}")
    _check_codecs(described, path)
    library = need("zarr", "zarr", f"reading {path}", "data")
    try:
        array = library.open_array(str(path), mode="r")
        kind = np.dtype(array.dtype)
        chunk = math.prod(array.chunks) * kind.itemsize
    except Exception as error:
        raise data_error(f"{path} is no Zarr array that can be read: {error}") from error
    if kind.kind not in "biuf":
        raise data_error(f"{path} holds {kind}: only booleans, integers and floats can be read")
    if chunk > _MOST_CHUNK:
        raise data_error(f"{path} has chunks of {chunk:,} bytes; the limit is {_MOST_CHUNK:,}")
    return ZarrArray(path, array)


def is_store(path: Path) -> bool:
    """Whether a folder is a Zarr group, or an array."""
    described = any((path / name).is_file() for name in (*_DESCRIBED, ".zgroup"))
    return described or (path.suffix == ".zarr" and path.is_dir())


def store_arrays(path: Path) -> list[str]:
    """The arrays of a group; "" is that of a store that is one itself. Errors: NetError."""
    return _members(path) if _metadata(path) is None else [""]


def read_array(group: Path, name: str) -> NDArray[Any]:
    """The whole of an array of a group. Errors: NetError for one that cannot be read, or that memory cannot hold."""
    array = opened(group, name)
    size = math.prod(array.shape) * array.dtype.itemsize
    if size > machine_memory() // 2:
        raise data_error(f"{array.path} has {size:,} bytes, more than half of the memory of this machine")
    if not array.shape:
        raise data_error(f"{array.path} is one number, not an array of samples")
    return array.read(np.arange(len(array)))


def _values(array: ZarrArray) -> Any:
    """The array, read where it is small or has one number for a sample."""
    size = math.prod(array.shape) * array.dtype.itemsize
    return array.read(np.arange(len(array))) if size <= _IN_MEMORY or len(array.shape) < 2 else array


def _members(group: Path) -> list[str]:
    """The arrays of a group. Errors: NetError where there is none."""
    with reading(group, "folder"):
        found = sorted(p.name for p in group.iterdir() if p.is_dir() and _metadata(p) is not None)
    if not found and _metadata(group) is not None:
        raise data_error(
            f"{group} is one array; a set has a group with arrays {', '.join((SAMPLES[1], LABELS[0]))}"
        )
    return found


def _metadata(path: Path) -> Any:
    """What an array says of itself; None: there is no array. Errors: NetError for what is no JSON."""
    for name in _DESCRIBED:
        file = path / name
        if not file.is_file():
            continue
        with reading(file), open_file(file, "data", "the description of an array") as stream:
            try:
                described = json.loads(stream.read(_MOST_METADATA))
            except (ValueError, RecursionError) as error:
                raise data_error(f"{file} is no JSON: {error}") from error
        is_array = isinstance(described, dict) and described.get("node_type", "array") == "array"
        return described if is_array else None
    return None


def _check_codecs(described: Any, path: Path) -> None:
    """Check that every codec decodes numbers, those inside of others too. Errors: NetError."""
    waiting = [described.get(key) for key in ("compressor", "filters", "codecs")]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += found
        elif isinstance(found, dict):
            name = found.get("id", found.get("name"))
            plain = str(name).removeprefix("numcodecs.")
            if plain not in _CODECS:
                raise data_error(f"{path} is packed by {brief(str(name))}, which netdsl does not run")
            settings = found.get("configuration", {})
            waiting += (
                [v for k, v in settings.items() if k.endswith("codecs")] if isinstance(settings, dict) else []
            )
        elif found is not None:
            raise data_error(f"{path} describes its codecs as {brief(repr(found))}")
