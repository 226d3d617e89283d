"""The `data { }` section: from its settings to batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from netdsl import words
from netdsl.data.augment import check_augment
from netdsl.data.batches import Batches, check_batch
from netdsl.data.counter import check_seed
from netdsl.data.dataset import Split, labels_of
from netdsl.data.errors import data_error
from netdsl.data.load import check_present
from netdsl.data.normalize import Normalization, check_channels
from netdsl.data.outline import Outline
from netdsl.data.preprocess import Step, check_preprocess, shape_after
from netdsl.data.sources import (
    SETTINGS,
    DataSource,
    NamedSource,
    as_augmentations,
    as_classes,
    as_normalizer,
    as_source,
    as_steps,
)
from netdsl.data.split import split_validation, validation_count
from netdsl.data.usage import Usage
from netdsl.elaborate.values import shown
from netdsl.source import Diagnostic, Mistakes, NetError, Span, brief, counted, placed, suggest


class DataPlan:
    """What a `data { }` section asks for; settings are checked at once, data is read when first needed.

    settings: values by the names of `SETTINGS`, missing ones take their defaults. base: the folder that
    relative paths start from. seed: of the validation split, the order and the augmentation. given: what a
    checkpoint says, whose preprocessing and normalisation then hold instead of those of the settings. places:
    where settings stand in a file, for the diagnostics.

    Errors: NetError here for unknown settings and wrong values, later for data that cannot be read.
    """

    def __init__(
        self,
        settings: Mapping[str, object],
        *,
        base: Path | None = None,
        seed: int = 0,
        given: Usage | None = None,
        places: Mapping[str, Span] | None = None,
    ) -> None:
        self._places = places or {}
        _check_names(settings)
        values = {name: settings.get(name, setting.default) for name, setting in SETTINGS.items()}
        self._base = base if base is not None else Path()
        self._seed = check_seed(seed)
        self._given = given
        self._sources: dict[str, DataSource] = {}
        self._outlines: dict[str, Outline] = {}
        self._share = 0.0
        self._problems = Mistakes()
        for name in ("train", "test", "validation"):
            with self._problems.at(self.place(name)):
                self._take_source(name, values[name])
        with self._problems.at(self.place("normalize")):
            self._normalizer = as_normalizer(values["normalize"])
        self.preprocess: tuple[Step, ...] = ()
        with self._problems.at(self.place("preprocess")):
            self.preprocess = as_steps(values["preprocess"]) if given is None else given.preprocess
        self._classes: tuple[str, ...] | None = None
        with self._problems.at(self.place("classes")):
            self._classes = as_classes(values["classes"])
        with self._problems.at(self.place("augment")):
            self._augment = as_augmentations(values["augment"])
        with self._problems.at(self.place("shuffle")):
            self._shuffle = _flag(values, "shuffle")
        with self._problems.at(self.place("drop_last")):
            self._drop_last = _flag(values, "drop_last")
        self._problems.done()

    def _take_source(self, name: str, value: object) -> None:
        if name == "validation" and isinstance(value, int | float):
            self._share = _share(value)
        elif value is not None:
            self._sources[name] = as_source(value, name)

    def place(self, name: str) -> Span | None:
        """Where a setting stands in a file."""
        return self._places.get(name)

    @property
    def has_validation(self) -> bool:
        """Whether there is a validation set."""
        return self._share > 0 or "validation" in self._sources

    @property
    def has_test(self) -> bool:
        """Whether there is a test set."""
        return "test" in self._sources

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the sets there are, of `train`, `validation` and `test`."""
        return tuple(
            n
            for n in ("train", "validation", "test")
            if n in self._sources or (n == "validation" and self._share)
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sets with a source of their own."""
        return tuple(name for name in self.splits if name in self._sources)

    def outline(self, split: str) -> Outline:
        """What is known of `train`, `validation` or `test` without reading it. Errors: NetError."""
        source = "train" if split == "validation" and split not in self._sources else split
        if source not in self._outlines:
            with placed(self.place(source)):
                self._outlines[source] = self._source(source).outline(self._base)
        whole = self._outlines[source]
        with placed(self.place("preprocess")):
            check_preprocess(self.preprocess, whole.label)
            whole = replace(whole, sample=shape_after(self.preprocess, whole.sample))
        if self._classes is not None:
            with placed(self.place("classes")):
                _check_names_enough(whole, self._classes)
            whole = replace(whole, classes=len(self._classes))
        if source != split:
            return whole.less(whole.count - self._kept(whole.count))
        return whole.less(self._kept(whole.count)) if split == "train" and self._share else whole

    def check(self, batch: int) -> None:
        """Check what can be told without reading samples: that there are enough, and that they can be prepared.

        Errors: NetError with every mistake, each at the setting that has to change.
        """
        problems = Mistakes()
        for name in self.splits:
            with problems.at(self.place(name)):
                outline = self.outline(name)
                with placed(self.place("normalize")):
                    check_channels(self._normalizer, outline.sample[-1])
                if name == "train":
                    with placed(self.place("augment")):
                        check_augment(self._augment, outline)
                    check_batch(outline.count, batch, self._drop_last)
        problems.done()

    def last_batch(self, batch: int) -> int:
        """Samples in the last training batch of an epoch."""
        return batch if self._drop_last else (self.outline("train").count - 1) % batch + 1

    def doubts(self) -> tuple[Diagnostic, ...]:
        """Warnings about sets that are the same as the training set."""
        same = [name for name in ("validation", "test") if self._is_train(name)]
        message = "the {} set is the training set: its values say nothing of samples that were not trained on"
        return tuple(Diagnostic("data", message.format(n), self.place(n), severity="warning") for n in same)

    def _is_train(self, name: str) -> bool:
        return name in self._sources and self._sources[name] == self._sources.get("train")

    def missing(self) -> tuple[Diagnostic, ...]:
        """The known data sets that the section names and this machine does not have, each once."""
        problems = Mistakes()
        for source in self._sources.values():
            with problems.at():
                if isinstance(source, NamedSource):
                    check_present(source.dataset)
        return tuple(problems.found)

    def compare(self) -> None:
        """Read every set, and warn if its units differ from those of the training set. Errors: NetError."""
        for name in self.splits:
            split: Split = getattr(self, name)
            self.normalization.of(split.pixels, f"the {name} set")

    @cached_property
    def train(self) -> Split:
        """The training set, without the validation share."""
        return self._parts[0]

    @cached_property
    def validation(self) -> Split:
        """The validation set. Errors: NetError when none was asked for."""
        if "validation" in self._sources:
            return self._load("validation")
        if self._parts[1] is None:
            raise data_error("there is no validation set", fix="set data.validation, for example to 0.1")
        return self._parts[1]

    @cached_property
    def test(self) -> Split:
        """The test set. Errors: NetError when none is named."""
        return self._load("test")

    @cached_property
    def normalization(self) -> Normalization:
        """The numbers that turn pixels into inputs; keep them in the checkpoint."""
        if self._given is not None:
            return self._given.normalization
        return self._normalizer.fit(self.train, self.preprocess)

    @cached_property
    def usage(self) -> Usage:
        """What running the network later needs to know of its data; keep it in the checkpoint."""
        sample = shape_after(self.preprocess, self.train.sample_shape)
        return Usage(sample, self.preprocess, self.normalization, self.train.classes)

    def training_batches(self, batch: int, sample: tuple[int, ...] | None = None) -> Batches:
        """Batches to train on: shuffled, augmented, full ones only unless the settings say otherwise.

        sample: the network's input shape, for data that has it up to axes of size 1 or wants flattening.
        """
        return Batches(
            self.train,
            batch,
            self.normalization.of(self.train.pixels, "the training set"),
            self._augment,
            seed=self._seed,
            shuffle=self._shuffle,
            drop_last=self._drop_last,
            sample=sample,
            preprocess=self.preprocess,
        )

    def evaluation_batches(self, split: str, batch: int, sample: tuple[int, ...] | None = None) -> Batches:
        """Every sample of `train`, `validation` or `test` once, in order; the last batch is padded."""
        data: Split = {
            "train": lambda: self.train,
            "validation": lambda: self.validation,
            "test": lambda: self.test,
        }[split]()
        normalization = self.normalization.of(data.pixels, f"the {split} set")
        return Batches(data, batch, normalization, seed=self._seed, sample=sample, preprocess=self.preprocess)

    @cached_property
    def _parts(self) -> tuple[Split, Split | None]:
        whole = self._load("train")
        if self._share == 0:
            return whole, None
        with placed(self.place("validation")):
            return split_validation(whole, self._share, self._seed)

    def _source(self, name: str) -> DataSource:
        if name not in self._sources:
            fix = (
                f"add: {name} = mnist.{name}"
                if name != "validation"
                else "set data.validation, for example to 0.1"
            )
            raise data_error(f"the section data names no {name} set", fix=fix)
        return self._sources[name]

    def _load(self, name: str) -> Split:
        with placed(self.place(name)):
            split = self._source(name).load(self._base)
        with placed(self.place("classes")):
            return split if self._classes is None else split.named(self._classes)

    def _kept(self, count: int) -> int:
        """The number of samples set aside for validation."""
        with placed(self.place("validation")):
            return validation_count(count, self._share)


def _check_names_enough(outline: Outline, names: tuple[str, ...]) -> None:
    if outline.labels is not None:
        labels_of(outline.labels, names)
    elif outline.classes is not None and outline.classes > len(names):
        raise data_error(f"there is a label {outline.classes - 1} but only {counted(len(names), 'class')}")


def _check_names(settings: Mapping[str, object]) -> None:
    diagnostics: list[Diagnostic] = []
    for name in settings:
        if name not in SETTINGS:
            near = words.question(words.entry(name, SETTINGS) or suggest(name, SETTINGS))
            hint = near or f"settings: {', '.join(SETTINGS)}"
            diagnostics += data_error(f"data has no setting {name}", fix=hint).diagnostics
    if diagnostics:
        raise NetError(*diagnostics)


def _share(value: float) -> float:
    if isinstance(value, bool) or not 0 <= value < 1:
        raise data_error(f"validation is {shown(value)}; it must be a share from 0 to below 1, or a source")
    return float(value)


def _flag(values: Mapping[str, object], name: str) -> bool:
    value = values[name]
    if not isinstance(value, bool):
        raise data_error(f"{name} is {brief(shown(value))}; it must be true or false")
    return value
