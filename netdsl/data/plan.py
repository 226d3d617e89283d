"""The `data { }` section: from its settings to batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from netdsl.data import augment
from netdsl.data.advice import advice, doubts, missing
from netdsl.data.augment.shares import mixture, shared_outline, shares_of
from netdsl.data.batches import Batches, check_batch
from netdsl.data.counter import check_seed
from netdsl.data.dataset import LABELS, SAMPLES, Split
from netdsl.data.errors import data_error
from netdsl.data.feeds import Feed, Kind, fed, inputs_of, matched, own_feeds
from netdsl.data.normalize import check_channels
from netdsl.data.outline import Outline, one_shape, prepared_outline
from netdsl.data.plain import as_balanced, as_flag, as_share, as_whole, as_workers, check_names
from netdsl.data.preprocess import steps_by_input, steps_by_label
from netdsl.data.reading import Readable, Reading
from netdsl.data.sources import (
    SETTINGS,
    DataSource,
    Follower,
    as_augmentations,
    as_classes,
    as_names,
    as_normalizer,
    as_source,
    as_steps,
)
from netdsl.data.split import Shares
from netdsl.data.step import PreprocessingStep
from netdsl.data.usage import Preparation, Usage
from netdsl.source import Diagnostic, Mistakes, Span, placed


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
        self._settings = settings
        check_names(settings)
        values = {name: settings.get(name, setting.default) for name, setting in SETTINGS.items()}
        self._base = base if base is not None else Path()
        self._seed = check_seed(seed)
        self._given = given
        self._sources: dict[str, DataSource] = {}
        self._outlines: dict[str, Outline] = {}
        self._fitted: dict[tuple[Feed, ...], Mapping[str, Preparation]] = {}
        self._loaded: dict[str, Split] = {}
        self.shares = Shares()
        self._problems = Mistakes()
        for name in ("train", "test", "validation"):
            with self._problems.at(self.place(name)):
                self._take_source(name, values[name])
        self._take_shares(values)
        with self._problems.at(self.place("normalize")):
            self._normalizer = as_normalizer(values["normalize"])
        self._preprocess: tuple[PreprocessingStep, ...] = ()
        with self._problems.at(self.place("preprocess")):
            self._preprocess = as_steps(values["preprocess"])
        self._classes: tuple[str, ...] | None = None
        with self._problems.at(self.place("classes")):
            self._classes = as_classes(values["classes"])
        with self._problems.at(self.place("augment")):
            self._augment = as_augmentations(values["augment"])
        self._boxes: tuple[str, ...] = ()
        with self._problems.at(self.place("boxes")):
            self._boxes = as_names(values["boxes"], "boxes")
        with self._problems.at(self.place("shuffle")):
            self._shuffle = as_flag(values, "shuffle")
        with self._problems.at(self.place("drop_last")):
            self._drop_last = as_flag(values, "drop_last")
        with self._problems.at(self.place("workers")):
            self._workers = as_workers(values["workers"])
        self._problems.done()
        for name in ("test", "validation"):
            source = self._sources.get(name)
            if isinstance(source, Follower):
                self._sources[name] = source.follow(self._sources.get("train"))

    def _take_source(self, name: str, value: object) -> None:
        if name == "validation" and isinstance(value, int | float):
            self.shares = replace(self.shares, validation=as_share(value))
        elif value is not None:
            self._sources[name] = as_source(value, name)

    def _take_shares(self, values: Mapping[str, object]) -> None:
        with self._problems.at(self.place("subset")):
            self.shares = replace(self.shares, subset=as_whole(values, "subset", 1))
        with self._problems.at(self.place("folds")):
            self.shares = replace(self.shares, folds=as_whole(values, "folds", 2))
        with self._problems.at(self.place("fold")):
            self.shares = replace(self.shares, fold=as_whole(values, "fold", 1))
        with self._problems.at(self.place("folds")):
            if self.shares.folds is not None and (self.shares.validation or "validation" in self._sources):
                message = "each of the folds is the validation set in turn, and there is another one"
                raise data_error(message, fix="validation = none, or no folds")
        with self._problems.at(self.place("class_weights")):
            self.balanced = as_balanced(values["class_weights"])

    def in_fold(self, number: int) -> DataPlan:
        """The same plan with a fold of its data, from 1, as the validation set."""
        settings = {**self._settings, "fold": number}
        return DataPlan(settings, base=self._base, seed=self._seed, given=self._given, places=self._places)

    def place(self, name: str) -> Span | None:
        """Where a setting stands in a file."""
        return self._places.get(name)

    @property
    def has_validation(self) -> bool:
        """Whether there is a validation set."""
        return self.shares.sets_aside or "validation" in self._sources

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
            if n in self._sources or (n == "validation" and self.shares.sets_aside)
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sets with a source of their own."""
        return tuple(name for name in self.splits if name in self._sources)

    def outline(self, split: str, feeds: Sequence[Feed] = ()) -> Outline:
        """What is known of `train`, `validation` or `test` without reading it.

        With feeds, its arrays go by their names, with the shapes that they have after preprocessing, and augmentation
        in the training set; else by the names of the set, as stored. Errors: NetError.
        """
        found = self._prepared_outline(split, feeds)
        if not feeds:
            return found
        with placed(self.place("augment")):
            found = shared_outline(found, shares_of(self._augment, feeds, found.arrays))
        return self._augmented(found, split, feeds)

    def stored_outline(self, split: str, feeds: Sequence[Feed]) -> Outline:
        """The outline of what feeds take, with labels as they are stored: no mixture has made shares of them."""
        return self._augmented(self._prepared_outline(split, feeds), split, feeds)

    def _augmented(self, outline: Outline, split: str, feeds: Sequence[Feed]) -> Outline:
        """The outline of a set, which is augmented if it is the training set."""
        if split != "train" or not self._augment:
            return outline
        return augment.augmented_outline(outline, self._augment, feeds, self._boxes)

    @property
    def mixture(self) -> str | None:
        """The change that makes shares of labels, if there is one."""
        found = mixture(self._augment)
        return None if found is None else found.name

    def _prepared_outline(self, split: str, feeds: Sequence[Feed]) -> Outline:
        """The outline before augmentation."""
        source = "train" if split == "validation" and split not in self._sources else split
        if source not in self._outlines:
            with placed(self.place(source)):
                self._outlines[source] = self._source(source).outline(self._base)
        whole = self._outlines[source]
        if self._classes is not None:
            with placed(self.place("classes")):
                whole = whole.named(self._classes)
        if feeds:
            with placed(self.place(source)):
                whole = fed(whole, feeds)
            with placed(self.place("preprocess")):
                whole = self._after(whole, feeds)
        if source != "train":
            return whole
        return replace(whole, count=self._sizes(whole.count)[split != "train"])

    def _after(self, outline: Outline, feeds: Sequence[Feed]) -> Outline:
        """The outline of what feeds take, after preprocessing."""
        samples = {name: outline.arrays[name].shape for name in inputs_of(feeds)}
        labels = {f.name: outline.arrays[f.name].label for f in feeds if f.kind is not Kind.INPUT}
        steps = self._steps(samples)
        after = {**steps, **steps_by_label(steps, samples, labels)}
        return prepared_outline(outline, after, {f.name: f.shape for f in feeds if f.shape})

    def _steps(self, samples: Mapping[str, tuple[int, ...]]) -> Mapping[str, tuple[PreprocessingStep, ...]]:
        """The preprocessing of inputs, by the shapes of their samples."""
        if self._given is not None:
            return {name: self._given.preparation(name).preprocess for name in samples}
        return steps_by_input(self._preprocess, samples)

    def check(self, batch: int, feeds: Sequence[Feed] = ()) -> None:
        """Check what can be told without reading samples: that there are enough, and that they can be prepared.

        Errors: NetError with every mistake, each at the setting that has to change.
        """
        problems = Mistakes()
        for name in self.splits:
            with problems.at(self.place(name)):
                taken = feeds or own_feeds(self.outline(name).kinds)
                outline = self._prepared_outline(name, taken)
                samples = {n: outline.arrays[n].shape for n in inputs_of(taken)}
                with placed(self.place("normalize")):
                    for shape in samples.values():
                        check_channels(self._normalizer, shape[-1] if shape else 1)
                if name == "train":
                    with placed(self.place("augment")):
                        shared = shared_outline(outline, shares_of(self._augment, taken, outline.arrays))
                        if self._augment or self._boxes:
                            augment.check_augment(self._augment, taken, shared.arrays, self._boxes)
                    check_batch(outline.count, batch, self._drop_last)
        problems.done()

    def last_batch(self, batch: int) -> int:
        """Samples in the last training batch of an epoch."""
        return batch if self._drop_last else (self.outline("train").count - 1) % batch + 1

    def doubts(self, feeds: Sequence[Feed] = ()) -> tuple[Diagnostic, ...]:
        """Warnings about sets that are the same as the training set, and arrays of it that feed nothing."""
        arrays = self.outline("train").arrays if feeds and "train" in self._sources else {}
        idle = arrays.keys() - {*SAMPLES, *LABELS, *matched(feeds, arrays).values()}
        return doubts(self._sources, self.place, [name for name in arrays if name in idle])

    def missing(self) -> tuple[Diagnostic, ...]:
        """The known data sets that the section names and this machine does not have, each once."""
        return missing(self._sources.values())

    def compare(self, feeds: Sequence[Feed] = ()) -> None:
        """Read every set, and warn if its units differ from those of the training set. Errors: NetError."""
        for name in self.splits:
            self._prepared(name, feeds)

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

    def preparations(self, feeds: Sequence[Feed] = ()) -> Mapping[str, Preparation]:
        """What becomes of the samples of each input, by name; fitted to the training set. Errors: NetError."""
        if self._given is not None:
            return {name: self._given.preparation(name) for name in inputs_of(feeds)} or self._given.inputs
        taken = tuple(feeds or own_feeds(self.train.kinds))
        if taken not in self._fitted:
            arrays = matched(taken, self.train.columns)
            columns = {name: self.train.columns[arrays[name]].input for name in inputs_of(taken)}
            steps = self._steps({name: column.shape for name, column in columns.items()})
            self._fitted[taken] = {
                name: Preparation(
                    one_shape(steps[name], column.shapes),
                    steps[name],
                    self._normalizer.fit(column, steps[name]),
                )
                for name, column in columns.items()
            }
        return self._fitted[taken]

    def reading(self, feeds: Sequence[Feed]) -> Reading:
        """How files become the samples of the inputs, as those of the training set did. Errors: NetError."""
        if self._given is not None:
            return self._given.reading
        found, taken = self._reading, matched(feeds, self.train.columns)
        arrays = {name: found.arrays.get(taken[name], taken[name]) for name in inputs_of(feeds)}
        return replace(found, arrays=arrays)

    @cached_property
    def _reading(self) -> Reading:
        source = self._sources.get("train")
        return source.reading(self._base) if isinstance(source, Readable) else Reading()

    def classes(self, feeds: Sequence[Feed]) -> dict[str, tuple[str, ...]]:
        """The names of classes by the target that takes their numbers, of those that have some."""
        arrays = matched(feeds, self.train.columns)
        found = {name: self.train.columns[array].classes for name, array in arrays.items()}
        return {name: classes for name, classes in found.items() if classes is not None}

    def training_batches(self, batch: int, feeds: Sequence[Feed] = (), *, in_order: bool = False) -> Batches:
        """Batches to train on: shuffled, augmented, full ones only unless the settings say otherwise.

        feeds: what the network takes of each sample; by default every array, the first as the input.
        in_order: not shuffled, whatever the settings say, since a batch is the whole set.
        """
        return Batches(
            self.train,
            batch,
            feeds,
            self._prepared("train", feeds),
            self._augment,
            seed=self._seed,
            shuffle=self._shuffle and not in_order,
            drop_last=self._drop_last,
            workers=self._workers,
            boxes=self._boxes,
            shares=self._shares("train", feeds),
        )

    def evaluation_batches(self, split: str, batch: int, feeds: Sequence[Feed] = ()) -> Batches:
        """Every sample of `train`, `validation` or `test` once, in order; the last batch may be smaller."""
        prepared = self._prepared(split, feeds)
        shares = self._shares(split, feeds)
        given = self.split(split), batch, feeds, prepared
        return Batches(*given, seed=self._seed, workers=self._workers, shares=shares)

    def _shares(self, split: str, feeds: Sequence[Feed]) -> dict[str, int]:
        """The targets of a set whose class numbers are fed as rows of shares."""
        return shares_of(self._augment, feeds, self._prepared_outline(split, feeds).arrays) if feeds else {}

    def split(self, name: str) -> Split:
        """The training, validation or test set by its name."""
        if name == "train":
            return self.train
        return self.validation if name == "validation" else self.test

    def _prepared(self, split: str, feeds: Sequence[Feed]) -> dict[str, Preparation]:
        """The preparations for a set, which need not be in the units of the training set; warns where it is not."""
        columns, found = self.split(split).columns, {}
        taken = feeds or own_feeds(self.split(split).kinds)
        arrays, prepared = matched(taken, columns), self.preparations(taken)
        for name, own in prepared.items():
            what = f"the {split} set" if len(prepared) == 1 else f"{name} in the {split} set"
            normalization = own.normalization.of(columns[arrays[name]].pixels, what)
            found[name] = replace(own, normalization=normalization)
        return found

    @cached_property
    def _parts(self) -> tuple[Split, Split | None]:
        whole = self._load("train")
        self._sizes(len(whole))
        return self.shares.divide(whole, self._seed)

    def _source(self, name: str) -> DataSource:
        if name not in self._sources:
            raise data_error(
                f"the section data names no {name} set", fix=advice(name, self._sources, self.has_validation)
            )
        return self._sources[name]

    def _load(self, name: str) -> Split:
        with placed(self.place(name)):
            split = self._source(name).load(self._base)
        self._loaded[name] = split
        with placed(self.place("classes")):
            return split if self._classes is None else split.named(self._classes)

    @property
    def about(self) -> dict[str, str]:
        """What was found in the sets that have been read, by name, where that was not known beforehand."""
        return {name: split.about for name, split in self._loaded.items() if split.about}

    @property
    def skipped(self) -> dict[str, tuple[str, ...]]:
        """What is wrong with the samples that were left out of the sets that have been read, by name."""
        return {name: split.skipped for name, split in self._loaded.items() if split.skipped}

    def _sizes(self, count: int) -> tuple[int, int]:
        """How many samples of the training source are trained on and validated on."""
        with placed(self.place("subset")):
            sizes = replace(self.shares, validation=0.0, folds=None, fold=None).sizes(count)
        with placed(self.place("validation" if self.shares.validation else "folds")):
            return self.shares.sizes(count) if self.shares.sets_aside else sizes
