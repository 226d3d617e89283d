"""The names of a `data { }` section and what they stand for.

    data {
      train      = mnist.train
      test       = mnist.test
      validation = 0.1
      normalize  = standardize
      augment    = [shift(2), flip]
    }

Values are made while the file is read and hold no data; `load` reads it. A name that may go without
parentheses (`flip`, `standardize`) may be given here as its class, which is then called without settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from netdsl.data.augment import Augmentation, Flip, Shift
from netdsl.data.dataset import Split, from_arrays
from netdsl.data.errors import data_error
from netdsl.data.idx import read_idx
from netdsl.data.load import load_split
from netdsl.data.normalize import Normalizer, Raw, Scale, Standardize
from netdsl.data.npy import read_npy, read_npz
from netdsl.data.registry import DATASETS


@runtime_checkable
class Source(Protocol):
    """A value of the settings `train`, `test` and `validation`."""

    def load(self, base: Path) -> Split:
        """Read the samples; relative paths start from `base`, the `.net` file's folder. Errors: NetError."""


@dataclass(frozen=True)
class Named:
    """`mnist.train`: a split of a data set known by name."""

    dataset: str
    split: str

    def load(self, base: Path) -> Split:
        """Read it from the package or the local data folders; see `load_split`."""
        return load_split(self.dataset, self.split)


@dataclass(frozen=True)
class Idx:
    """`idx("images", "labels")`: two IDX files, gzip or not; images [n, H, W] get a channel axis."""

    images: str
    labels: str

    def load(self, base: Path) -> Split:
        """Read both files."""
        images = read_idx(base / self.images)
        return from_arrays(images[..., None] if images.ndim == 3 else images, read_idx(base / self.labels))


@dataclass(frozen=True)
class Npz:
    """`npz("file.npz", x = "x", y = "y")`: two arrays of a .npz file; samples [n, ...] stay as they are."""

    file: str
    x: str = "x"
    y: str = "y"

    def load(self, base: Path) -> Split:
        """Read both arrays."""
        path = base / self.file
        return from_arrays(read_npz(path, self.x), read_npz(path, self.y))


@dataclass(frozen=True)
class Npy:
    """`npy("x.npy", "y.npy")`: two .npy files; samples [n, ...] are taken as they are."""

    x: str
    y: str

    def load(self, base: Path) -> Split:
        """Read both files."""
        return from_arrays(read_npy(base / self.x), read_npy(base / self.y))


@dataclass(frozen=True, eq=False)
class InMemory:
    """A split made in Python with `from_arrays`."""

    data: Split

    def load(self, base: Path) -> Split:
        """Give it back."""
        return self.data


SOURCES: Mapping[str, Source | Callable[..., Source]] = {
    **{f"{name}.{split}": Named(name, split) for name, known in DATASETS.items() for split in known.sizes},
    "idx": Idx,
    "npz": Npz,
    "npy": Npy,
}
"""What `train`, `test` and `validation` may be: values, and functions of settings."""

NORMALIZERS: Mapping[str, Callable[..., Normalizer]] = {
    "raw": Raw,
    "scale": Scale,
    "standardize": Standardize,
}
"""What `normalize` may be."""

AUGMENTATIONS: Mapping[str, Callable[..., Augmentation]] = {"shift": Shift, "flip": Flip}
"""What the list `augment` may hold."""


@dataclass(frozen=True)
class Setting:
    """A setting of the section: its default (None: must be given or is left out) and what it does."""

    default: object
    text: str


SETTINGS: Mapping[str, Setting] = {
    "train": Setting(None, "the training set: a named split (mnist.train), idx(...), npz(...) or npy(...)"),
    "test": Setting(None, "the test set, looked at only when training is over"),
    "validation": Setting(
        0.0,
        "the share of the training set kept for validation, from 0 to below 1: stratified by label, drawn "
        "with the seed; or a source of its own",
    ),
    "normalize": Setting(
        Scale(), "raw, scale, scale(max), standardize or standardize(mean, std); after augmenting"
    ),
    "augment": Setting((), "a list of shift(pixels), flip and flip(p), applied in order to training samples"),
    "shuffle": Setting(True, "a new order of the training set in each epoch, drawn with the seed"),
    "drop_last": Setting(
        True,
        "leave out the last training samples of an epoch that do not fill a batch; if false, they make a "
        "batch padded with samples of weight 0, as is always done in evaluation",
    ),
}
"""The settings of `data { }`."""


def as_source(value: object, setting: str) -> Source:
    """Check a value of `train`, `test` or `validation`. Errors: NetError."""
    if isinstance(value, Split):
        return InMemory(value)
    if not isinstance(value, type) and isinstance(value, Source):
        return value
    names = ", ".join(name if isinstance(kind, Named) else f"{name}(...)" for name, kind in SOURCES.items())
    raise data_error(f"{setting} is {_shown(value)}; it must be one of {names}")


def as_normalizer(value: object) -> Normalizer:
    """Check a value of `normalize`. Errors: NetError."""
    made = value() if value in (Raw, Scale, Standardize) else value
    if isinstance(made, Raw | Scale | Standardize):
        return made
    raise data_error(f"normalize is {_shown(value)}; it must be one of {', '.join(NORMALIZERS)}")


def as_augmentations(value: object) -> tuple[Augmentation, ...]:
    """Check a value of `augment`. Errors: NetError."""
    listed = value if isinstance(value, list | tuple) else [value]
    made: list[Augmentation] = []
    for entry in (entry() if entry is Flip else entry for entry in listed):
        if not isinstance(entry, Shift | Flip):
            raise data_error(f"augment holds {_shown(entry)}; it takes a list of {', '.join(AUGMENTATIONS)}")
        made.append(entry)
    return tuple(made)


def _shown(value: object) -> str:
    return value.__name__.lower() if isinstance(value, type) else repr(value)
