"""Pictures from files as the samples of a data set, decoded when a batch needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.column import Column
from netdsl.data.errors import data_error
from netdsl.data.own.scan import Scanned, advised, scan
from netdsl.data.picture import PictureHeader, picture_header, read_picture
from netdsl.data.pixels import Pixels
from netdsl.data.stored import Shape
from netdsl.elaborate.values import shown
from netdsl.source import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

BYTES = Pixels("uint8", 0, 255, 255.0, sure=True)
DEEP = Pixels("uint16", 0, 65535, 65535.0, sure=True)


@dataclass(frozen=True, eq=False)
class PictureFiles:
    """Pictures [H, W, C] of files: uint8, or float32 from 0 to 65535 for those of 16 bits."""

    files: Sequence[Path]
    sizes: Sequence[tuple[int, int]]
    channels: int
    deep: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        """Bytes, or floats for more bits."""
        return np.dtype(np.float32 if self.deep else np.uint8)

    @cached_property
    def shapes(self) -> Mapping[Shape, str]:
        """Every shape, and the first file that has it."""
        found: dict[Shape, str] = {}
        for number, size in enumerate(self.sizes):
            found.setdefault((*size, self.channels), self.name(number))
        return found

    @property
    def pixels(self) -> Pixels:
        """What the numbers mean: a format says what is white."""
        return DEEP if self.deep else BYTES

    @property
    def column(self) -> Column:
        """The pictures as an array of a data set."""
        return Column(self, self.pixels)

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        """The file."""
        return str(self.files[index])

    def read(self, indices: NDArray[np.int64]) -> list[NDArray[Any]]:
        """Decode them."""
        return [self._decoded(int(index)) for index in indices]

    def _decoded(self, index: int) -> NDArray[Any]:
        with advised():
            array = read_picture(self.files[index], self.channels).array
        if array.shape[:2] != self.sizes[index] or array.dtype != self.dtype:
            raise data_error(f"{self.name(index)} is another picture than when training began")
        return array

    def __str__(self) -> str:
        kind = {1: "grey", 2: "grey with transparency", 3: "colours", 4: "colours with transparency"}
        sizes = sorted(self.sizes)
        size = " x ".join(map(str, sizes[0]))
        if sizes[-1] != sizes[0]:
            size += f" to {' x '.join(map(str, sizes[-1]))}"
        return f"{size}, {kind[self.channels]}{', 16 bits' if self.deep else ''}"


def look_at_pictures(
    files: Sequence[Path], channels: int | None, broken: str, where: str, decode: bool
) -> tuple[PictureFiles, Scanned[PictureHeader]]:
    """The pictures of files that can be read, by their headers; with `decode` and `skip` all of them are decoded.

    So broken ones are known before training begins: the others are in the order, and an epoch has as many, as if the
    broken ones were not there. `channels` None: colours, unless all are grey.
    """
    whole = decode and broken == "skip"
    found = scan(files, decodes if whole else header_of, broken, where, "picture")
    return pictures_of(found.of(files), found.headers, channels), found


def pictures_of(
    files: Sequence[Path], headers: Sequence[PictureHeader], channels: int | None
) -> PictureFiles:
    """The pictures of files with these headers. Errors: NetError that names two where their bits differ."""
    wanted = channels or (1 if all(h.channels <= 2 for h in headers) else 3)
    deep = [h.deep for h in headers]
    if len({*deep}) > 1:
        two = f"{files[deep.index(True)]} has 16 bits, {files[deep.index(False)]} 8 bits"
        raise data_error(f"{two}; all pictures of a set have as many")
    return PictureFiles(files, [(h.height, h.width) for h in headers], wanted, deep[0])


def check_channels_wanted(value: object) -> None:
    """Check a value of the setting `channels`. Errors: NetError."""
    if value is not None and (isinstance(value, bool) or value not in (1, 3, 4)):
        raise data_error(
            f"channels is 1 (grey), 3 (colours) or 4 (with transparency), not {brief(shown(value))}"
        )


def header_of(path: Path) -> PictureHeader:
    """The header of a picture; a file that is the same as before is not opened again."""
    try:
        status = path.stat()
    except OSError:
        return picture_header(path)
    return _kept_header(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=2**17)
def _kept_header(path: Path, size: int, changed: int) -> PictureHeader:
    return picture_header(path)


def decodes(path: Path) -> PictureHeader:
    """The header of a picture that can be decoded."""
    header = header_of(path)
    read_picture(path, header.channels)
    return header
