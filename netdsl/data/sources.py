"""The names in a `data { }` section and their values.

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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from netdsl.data.augment.change import Change
from netdsl.data.augment.table import AUGMENTATIONS as AUGMENTATIONS
from netdsl.data.augment.table import CHANGES
from netdsl.data.dataset import IMAGE, LABEL, Split, check_classes, from_mapping
from netdsl.data.errors import data_error
from netdsl.data.normalize import Normalizer, Raw, Scale, Standardize
from netdsl.data.outline import ArrayOutline, Outline, outline_of
from netdsl.data.preprocess import STEPS
from netdsl.data.registry import DATASETS, known
from netdsl.data.step import INTERPOLATIONS, PreprocessingStep
from netdsl.elaborate.values import in_quotes, shown
from netdsl.lazy import Table
from netdsl.source import brief, suggest


@runtime_checkable
class DataSource(Protocol):
    """A value of the settings `train`, `test` and `validation`."""

    def load(self, base: Path) -> Split:
        """Read the samples; relative paths start from `base`, the `.net` file's folder. Errors: NetError."""

    def outline(self, base: Path) -> Outline:
        """What is known without reading the samples; errors as in `load`, where they can be found without it."""


@runtime_checkable
class Follower(Protocol):
    """A source that finds out what its classes are, and may be told those of the training set."""

    def follow(self, train: object) -> DataSource:
        """This source with the numbers that classes have in `train`, where that is one of its kind."""


@dataclass(frozen=True)
class NamedSource:
    """`mnist.train`: a split of a data set known by name."""

    dataset: str
    split: str

    def load(self, base: Path) -> Split:
        """Read it from the package or the local data folders; see `load_split`."""
        from netdsl.data.load import load_split

        return load_split(self.dataset, self.split)

    def outline(self, base: Path) -> Outline:
        """The outline in the registry."""
        found = known(self.dataset)
        arrays = {IMAGE: ArrayOutline(found.shape, True), LABEL: ArrayOutline((), True, len(found.classes))}
        return Outline(found.sizes[self.split], arrays)


@dataclass(frozen=True, eq=False)
class InMemory:
    """A split made in Python with `from_arrays` or `from_mapping`."""

    data: Split

    def load(self, base: Path) -> Split:
        """Return the split."""
        return self.data

    def outline(self, base: Path) -> Outline:
        """The outline of the split."""
        found = outline_of(self.data)
        arrays = {name: replace(array, in_python=True) for name, array in found.arrays.items()}
        return replace(found, arrays=arrays)


SOURCES: Table[DataSource | Callable[..., DataSource]] = Table(
    {
        **{
            f"{name}.{split}": NamedSource(name, split)
            for name, known in DATASETS.items()
            for split in known.sizes
        },
        "idx": "netdsl.data.pair:Idx",
        "npz": "netdsl.data.named:Npz",
        "twins": "netdsl.data.twins:Twins",
        "only": "netdsl.data.only:Only",
        "npy": "netdsl.data.pair:Npy",
        "folder": "netdsl.data.own.folder:Folder",
        "images": "netdsl.data.own.listed:Images",
        "pairs": "netdsl.data.own.pairs:Pairs",
        "csv": "netdsl.data.own.table:Csv",
        "zarr": "netdsl.data.own.zarr_store:Zarr",
        "wav": "netdsl.data.own.clips:Wav",
    }
)
"""What `train`, `test` and `validation` may be: values, and functions of settings."""

NORMALIZERS: Mapping[str, Callable[..., Normalizer]] = {
    "raw": Raw,
    "scale": Scale,
    "standardize": Standardize,
}
"""What `normalize` may be."""

PREPROCESSING: Table[Any] = STEPS | {name: name for name in (*INTERPOLATIONS, "htk", "slaney")}
"""What the list `preprocess` may hold, and the words in it."""

SOURCE_WORDS = ("refuse", "skip", "mean", "median", "one_hot", "number")
"""Texts that settings of sources take."""


@dataclass(frozen=True)
class DataSetting:
    """A setting of the section: its default (None: must be given or is left out) and what it does."""

    default: object
    text: str


SETTINGS: Mapping[str, DataSetting] = {
    "train": DataSetting(
        None, "the training set: a named split (mnist.train), idx(...), npz(...) or npy(...)"
    ),
    "test": DataSetting(None, "the test set, looked at only when training is over"),
    "validation": DataSetting(
        0.0,
        "the share of the training set kept for validation, from 0 to below 1: stratified by label, drawn "
        "with the seed; or a source of its own",
    ),
    "subset": DataSetting(
        None,
        "how many samples of the training set are taken at all, validation included: stratified by label, drawn "
        "with the seed",
    ),
    "folds": DataSetting(
        None,
        "into how many parts the training set is divided, stratified by label, for cross-validation: as many "
        "trainings, each with one of them as its validation set",
    ),
    "fold": DataSetting(None, "the number, from 1, of the only one of the folds to train for"),
    "class_weights": DataSetting(
        None,
        "balanced: in training each class weighs as much as the others, samples / (classes * samples of the class)",
    ),
    "classes": DataSetting(
        None, "the names of the classes, in the order of their numbers, where the data has none"
    ),
    "preprocess": DataSetting(
        (),
        "a list such as resize(256), center_crop(224), pad_to_square, grey, mel_spectrogram(16000)",
    ),
    "normalize": DataSetting(
        Scale(), "raw, scale, scale(max), standardize or standardize(mean, std); after augmenting"
    ),
    "augment": DataSetting(
        (), "a list of changes such as rotate(15), flip and cutout(8), made in order of training samples"
    ),
    "boxes": DataSetting((), "the arrays of boxes [..., 4], x1, y1, x2, y2 in pixels, which augment moves"),
    "shuffle": DataSetting(True, "a new order of the training set in each epoch, drawn with the seed"),
    "workers": DataSetting(
        None,
        "threads that read and preprocess samples ahead of the step, where these are not in memory; by default one "
        "for each processor; the batches are the same for any number",
    ),
    "drop_last": DataSetting(
        True,
        "leave out the last training samples of an epoch that do not fill a batch; if false, they make a "
        "smaller one, as they always do in evaluation",
    ),
}
"""The settings of `data { }`."""


def as_source(value: object, setting: str) -> DataSource:
    """Check a value of `train`, `test` or `validation`: a source, its name as text, a split or arrays by name.

    Errors: NetError.
    """
    made: object = SOURCES.get(value) if isinstance(value, str) else value
    if isinstance(made, Mapping):
        made = from_mapping(made)
    if isinstance(made, Split):
        return InMemory(made)
    if not isinstance(made, type) and isinstance(made, DataSource):
        return made
    names = ", ".join(
        name if isinstance(kind, NamedSource) else f"{name}(...)" for name, kind in SOURCES.items()
    )
    fix = meant_source(value, setting) if isinstance(value, str) else None
    raise data_error(f"{setting} is {_shown(value)}; it must be one of {names}", fix=fix)


def meant_source(name: str, setting: str) -> str | None:
    """A suggestion for an unknown data set; never a test set as training data."""
    if name in SOURCE_WORDS:
        return f'in quotes: "{name}"'
    if of_file(name):
        return of_file(name)
    dataset, _, split = name.partition(".")
    near = suggest(dataset, DATASETS)
    if near is None:
        found = suggest(name, SOURCES)
        return None if found is None else f"did you mean {found}?"
    if not split and setting == "validation":
        return (
            "validation = 0.1 keeps a tenth of the training set; a source of its own is one such as npz(...)"
        )
    meant = (suggest(split, DATASETS[near].sizes) or "train") if setting == "validation" else setting
    return f"did you mean {near}.{meant}?"


def of_file(path: str) -> str | None:
    """How to write the source of a file, by its ending; None for others."""
    ending = path.rpartition(".")[2]
    more = {"csv": ', label = "COLUMN"', "npz": "", "zarr": ""}
    if ending in ("idx", "npy"):
        more[ending] = f', "labels.{ending}"'
    return f'{ending}("{path}"{more[ending]})' if ending in more else None


def as_normalizer(value: object) -> Normalizer:
    """Check a value of `normalize`; a name may be given as text. Errors: NetError."""
    made = _called(value, NORMALIZERS)
    if isinstance(made, Raw | Scale | Standardize):
        return made
    message = f"normalize is {_shown(value)}; it must be one of {', '.join(NORMALIZERS)}"
    raise data_error(message, fix=_call(value, NORMALIZERS))


def as_steps(value: object) -> tuple[PreprocessingStep, ...]:
    """Check a value of `preprocess`. Errors: NetError."""
    listed: list[PreprocessingStep] = []
    for given in _listed(value):
        entry = _called(given, STEPS)
        if not isinstance(entry, PreprocessingStep):
            message = f"preprocess holds {_shown(entry)}; it takes a list of {', '.join(STEPS)}"
            raise data_error(message, fix=_call(entry, STEPS))
        listed.append(entry)
    return tuple(listed)


def as_classes(value: object) -> tuple[str, ...] | None:
    """Check a value of `classes`. Errors: NetError."""
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise data_error('classes is a list of names, such as ["cat", "dog"]', fix=in_quotes(value))
    return check_classes(tuple(value))


def as_augmentations(value: object) -> tuple[Change, ...]:
    """Check a value of `augment`; names may be given as text. Errors: NetError."""
    made: list[Change] = []
    for entry in _listed(value):
        change = _called(entry, CHANGES)
        if not isinstance(change, Change):
            message = f"augment holds {_shown(entry)}; it takes a list of {', '.join(CHANGES)}"
            raise data_error(message, fix=_call(entry, CHANGES))
        made.append(change)
    return tuple(made)


def as_names(value: object, setting: str) -> tuple[str, ...]:
    """Check a value that names arrays. Errors: NetError."""
    listed = _listed(value)
    if not all(isinstance(name, str) and name for name in listed):
        raise data_error(
            f'{setting} is {_shown(value)}; it takes names of arrays, as in ["boxes"]', fix=in_quotes(value)
        )
    return listed


def _listed(value: object) -> tuple[Any, ...]:
    """The entries of a list; a single value is a list of one, `none` an empty list."""
    return tuple(value) if isinstance(value, list | tuple) else () if value is None else (value,)


def _called(value: object, known: Mapping[str, Callable[..., object]]) -> object:
    """The object of a name or class called without settings; other values as they are."""
    named = known.get(value) if isinstance(value, str) else None
    kind = named or (value if isinstance(value, type) and value in known.values() else None)
    try:
        return value if kind is None else kind()
    except TypeError:  # it needs settings
        return value


def _call(value: object, known: Mapping[str, Callable[..., object]]) -> str | None:
    """How to write what is text here and has settings, or needs them."""
    name = value.strip("[ ").partition("(")[0] if isinstance(value, str) else ""
    if name not in known:
        return None
    kind = known[name].__name__
    return f"without quotes in a file; netdsl.data.{kind}(...) in Python"


def _shown(value: object) -> str:
    return brief(shown(value))
