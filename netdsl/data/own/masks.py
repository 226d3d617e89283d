"""Masks from files: pictures whose pixels are class numbers, or colours that stand for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.data.own.scan import advised
from netdsl.data.picture import read_mask
from netdsl.data.stored import Shape
from netdsl.source import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_CLASSES = 1000


@dataclass(frozen=True, eq=False)
class Values:
    """What the pixels of masks are: whether they are colours, and each different one, sorted; colours as 0xRRGGBB."""

    colours: bool
    found: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MaskFiles:
    """Masks [H, W] of files as class numbers; `table` has the value of each class, None: values are class numbers."""

    files: Sequence[Path]
    sizes: Sequence[tuple[int, int]]
    table: NDArray[np.int64] | None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Whole numbers."""
        return np.dtype(np.int64)

    @cached_property
    def shapes(self) -> Mapping[Shape, str]:
        """Every shape, and the first file that has it."""
        found: dict[Shape, str] = {}
        for number, size in enumerate(self.sizes):
            found.setdefault(size, self.name(number))
        return found

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        """The file."""
        return str(self.files[index])

    def read(self, indices: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Decode them."""
        return [self._decoded(int(index)) for index in indices]

    def _decoded(self, index: int) -> NDArray[np.int64]:
        with advised():
            mask = packed(read_mask(self.files[index]))
        if mask.shape != self.sizes[index]:
            raise data_error(f"{self.name(index)} is another mask than when training began")
        return mask if self.table is None else numbers(mask, self.table, self.name(index))


def packed(mask: NDArray[Any]) -> NDArray[np.int64]:
    """A mask [H, W], colours [H, W, 3] as 0xRRGGBB."""
    if mask.ndim == 2:
        return mask.astype(np.int64)
    return np.asarray(mask.astype(np.int64) @ np.array([2**16, 2**8, 1]))


def look_at_mask(path: Path) -> Values:
    """The different values of a mask. Errors: NetError for what is none."""
    mask = read_mask(path)
    found = np.unique(packed(mask))
    if len(found) > MOST_CLASSES:
        message = f"{path} has {len(found):,} different {'colours' if mask.ndim == 3 else 'numbers'}"
        raise data_error(f"{message}; a mask has one for each class")
    return Values(mask.ndim == 3, found)


def numbers(mask: NDArray[np.int64], table: NDArray[np.int64], name: str) -> NDArray[np.int64]:
    """The places of values in a table. Errors: NetError for one that is not there."""
    order = np.argsort(table, kind="stable")
    place = np.searchsorted(table, mask, sorter=order).clip(0, len(table) - 1)
    known = table[order[place]] == mask
    if not known.all():
        raise data_error(
            f"{name} has the colour {colour_text(int(mask[~known][0]))}, which is none of the classes"
        )
    return np.asarray(order[place], np.int64)


def colour_text(value: int) -> str:
    """A colour as #rrggbb."""
    return f"#{value:06x}"


def all_values(files: Sequence[Path], looks: Sequence[Values]) -> Values:
    """The values of all masks. Errors: NetError where some are colours and others numbers, or there are too many."""
    kinds = [look.colours for look in looks]
    if len({*kinds}) > 1:
        first, second = files[kinds.index(True)], files[kinds.index(False)]
        raise data_error(
            f"{first} is a mask of colours, {second} one of numbers; all masks of a set are of one kind"
        )
    found = np.unique(np.concatenate([look.found for look in looks]))
    if len(found) > MOST_CLASSES:
        raise data_error(f"the masks have {counted(len(found), 'class')}; the limit is {MOST_CLASSES:,}")
    return Values(kinds[0], found)
