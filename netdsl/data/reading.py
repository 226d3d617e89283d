"""How files of the kind that a network was trained on become its samples when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from netdsl.records import Count, Finite


@dataclass(frozen=True)
class Encoded:
    """How a column becomes numbers: as it is, or by its sorted categories; `fill` is taken where it is missing."""

    name: str
    categories: tuple[str, ...] | None
    fill: Finite | None


@dataclass(frozen=True)
class TableReading:
    """The columns of a table in order, and how it is written; see `Csv`.

    names: all columns of the table. labels: those that are labels, which a table to predict from may lack.
    """

    columns: tuple[Encoded, ...]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    encode: str
    separator: str | None
    decimal: str
    encoding: str
    header: bool


@dataclass(frozen=True)
class SoundReading:
    """Samples per second, their number and the channels; `resample` and `cut` say whether other files are fitted."""

    rate: Count
    length: Count
    channels: Count
    resample: bool
    cut: bool


@dataclass(frozen=True)
class ListReading:
    """The column of paths of a list of pictures, whether these may leave its folder, and how it is written."""

    path: str
    outside: bool
    separator: str | None
    encoding: str
    header: bool


@dataclass(frozen=True)
class Reading:
    """How files are read.

    arrays: the array of a .npz file or a Zarr group that feeds each input. table, sound, listed: how tables, sounds
    and lists of pictures are read, if they are.
    """

    arrays: Mapping[str, str] = field(default_factory=dict)
    table: TableReading | None = None
    sound: SoundReading | None = None
    listed: ListReading | None = None


@runtime_checkable
class Readable(Protocol):
    """A source whose files say how others of their kind are read."""

    def reading(self, base: Path) -> Reading:
        """That, with its arrays under the names of the source; paths start from `base`. Errors: NetError."""
