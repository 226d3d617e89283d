"""The `data { }` section as a whole: from its settings to batches."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from netdsl.data.batches import Batches
from netdsl.data.counter import check_seed
from netdsl.data.dataset import Split
from netdsl.data.errors import data_error
from netdsl.data.normalize import Normalization
from netdsl.data.sources import SETTINGS, as_augmentations, as_normalizer, as_source
from netdsl.data.split import split_validation
from netdsl.source import Diagnostic, NetError, suggest


class DataPlan:
    """What a `data { }` section asks for; settings are checked at once, data is read when first needed.

    settings: values by the names of `SETTINGS`, missing ones take their defaults. base: the folder that
    relative paths start from. seed: of the validation split, the order and the augmentation. normalization:
    the numbers of a checkpoint, which then hold instead of those of the training set.

    Errors: NetError here for unknown settings and wrong values, later for data that cannot be read.
    """

    def __init__(
        self,
        settings: Mapping[str, object],
        *,
        base: Path | None = None,
        seed: int = 0,
        normalization: Normalization | None = None,
    ) -> None:
        _check_names(settings)
        values = {name: settings.get(name, setting.default) for name, setting in SETTINGS.items()}
        self._base = base if base is not None else Path()
        self._seed = check_seed(seed)
        self._given = normalization
        self._sources = {
            name: as_source(values[name], name) for name in ("train", "test") if values[name] is not None
        }
        share = values["validation"]
        self._share = _share(share) if isinstance(share, int | float) else 0.0
        if not isinstance(share, int | float):
            self._sources["validation"] = as_source(share, "validation")
        self._normalizer = as_normalizer(values["normalize"])
        self._augment = as_augmentations(values["augment"])
        self._shuffle = _flag(values, "shuffle")
        self._drop_last = _flag(values, "drop_last")

    @property
    def has_validation(self) -> bool:
        """Whether there is a validation set."""
        return self._share > 0 or "validation" in self._sources

    @property
    def has_test(self) -> bool:
        """Whether there is a test set."""
        return "test" in self._sources

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
        return self._given if self._given is not None else self._normalizer.fit(self.train)

    def training_batches(self, batch: int, sample: tuple[int, ...] | None = None) -> Batches:
        """Batches to train on: shuffled, augmented, full ones only unless the settings say otherwise.

        sample: the network's input shape, for data that has it up to axes of size 1 or wants flattening.
        """
        return Batches(
            self.train,
            batch,
            self.normalization,
            self._augment,
            seed=self._seed,
            shuffle=self._shuffle,
            drop_last=self._drop_last,
            sample=sample,
        )

    def evaluation_batches(self, split: str, batch: int, sample: tuple[int, ...] | None = None) -> Batches:
        """Every sample of `train`, `validation` or `test` once, in order; the last batch is padded."""
        data: Split = {
            "train": lambda: self.train,
            "validation": lambda: self.validation,
            "test": lambda: self.test,
        }[split]()
        return Batches(data, batch, self.normalization, seed=self._seed, sample=sample)

    @cached_property
    def _parts(self) -> tuple[Split, Split | None]:
        whole = self._load("train")
        if self._share == 0:
            return whole, None
        return split_validation(whole, self._share, self._seed)

    def _load(self, name: str) -> Split:
        if name not in self._sources:
            raise data_error(f"the section data names no {name} set", fix=f"add: {name} = mnist.{name}")
        return self._sources[name].load(self._base)


def _check_names(settings: Mapping[str, object]) -> None:
    diagnostics: list[Diagnostic] = []
    for name in settings:
        if name not in SETTINGS:
            near = suggest(name, SETTINGS)
            hint = f"did you mean {near}?" if near else f"settings: {', '.join(SETTINGS)}"
            diagnostics += data_error(f"data has no setting {name!r}", fix=hint).diagnostics
    if diagnostics:
        raise NetError(*diagnostics)


def _share(value: float) -> float:
    if isinstance(value, bool) or not 0 <= value < 1:
        raise data_error(f"validation is {value!r}; it must be a share from 0 to below 1, or a source")
    return float(value)


def _flag(values: Mapping[str, object], name: str) -> bool:
    value = values[name]
    if not isinstance(value, bool):
        raise data_error(f"{name} is {value!r}; it must be true or false")
    return value
