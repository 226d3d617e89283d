"""Which samples of the training source are trained on, and which are set aside for validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netdsl.arrays import np
from netdsl.data.counter import Purpose, check_seed, random_order
from netdsl.data.dataset import Split, label_among
from netdsl.data.errors import data_error
from netdsl.data.stored import read_all
from netdsl.source import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Shares:
    """How the training source is divided: `subset` samples of it, of these a share or one of `folds` for validation.

    All of it is drawn with a seed and stratified: every class has its share to within one sample.  `fold` is the
    number, from 1, of the fold that is the validation set; None: nobody has chosen one, and sizes are those of the
    first.

    Errors: NetError for shares that exclude each other; later where a part would be empty.
    """

    subset: int | None = None
    validation: float = 0.0
    folds: int | None = None
    fold: int | None = None

    def __post_init__(self) -> None:
        if self.fold is not None and self.folds is None:
            raise data_error("fold is one of several folds", fix="set data.folds, for example to 5")
        if self.fold is not None and self.folds is not None and self.fold > self.folds:
            raise data_error(f"fold is {self.fold}, and there are {self.folds}")

    @property
    def sets_aside(self) -> bool:
        """Whether a part of the training source is for validation."""
        return self.validation > 0 or self.folds is not None

    def sizes(self, count: int) -> tuple[int, int]:
        """How many of `count` samples are trained on, and how many validated on. Errors: NetError; see above."""
        if self.subset is not None:
            if self.subset > count:
                raise data_error(
                    f"subset is {self.subset}, and the training set has {counted(count, 'sample')}"
                )
            count = self.subset
        if self.folds is not None:
            if self.folds > count:
                raise data_error(f"{counted(count, 'sample')} cannot be divided into {self.folds} folds")
            aside = len(range((self.fold or 1) - 1, count, self.folds))
        else:
            aside = validation_count(count, self.validation) if self.validation else 0
        return count - aside, aside

    def divide(self, data: Split, seed: int) -> tuple[Split, Split | None]:
        """The samples to train on and to validate on, both in the order of `data`; None: there are no such."""
        _, aside = self.sizes(len(data))
        if self.subset is not None:
            order = stratified_order(data, seed, Purpose.SUBSET)
            data = data.take(np.sort(order[even_positions(len(order), self.subset)]))
        if not aside:
            return data, None
        order = stratified_order(data, seed, Purpose.SPLIT)
        chosen = np.zeros(len(order), bool)
        if self.folds is None:
            chosen[order[even_positions(len(order), aside)]] = True
        else:
            chosen[order[(self.fold or 1) - 1 :: self.folds]] = True
        return data.take(np.flatnonzero(~chosen)), data.take(np.flatnonzero(chosen))


def stratified_order(data: Split, seed: int, purpose: Purpose) -> NDArray[np.int64]:
    """The samples in a seeded random order, sorted by class: at even distances each class has its share.

    Without labels, or with others than class numbers, it is the random order; see `label_among`.
    """
    order = random_order(check_seed(seed), purpose, 0, len(data))
    label = label_among(data.kinds)
    if label is None or not data.columns[label].integers or data.columns[label].shape not in ((), (1,)):
        return order
    return order[np.argsort(read_all(data.columns[label].target.values)[order], kind="stable")]


def validation_count(count: int, fraction: float) -> int:
    """The number of samples in a share. Errors: NetError when it is none, or all."""
    picked = round(fraction * count)
    if not 0 < picked < count:
        raise data_error(
            f"a validation share of {fraction:g} of {counted(count, 'sample')} leaves one part empty"
        )
    return picked


def even_positions(count: int, picked: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """`picked` different positions in range(count) at even distances, the middle of each stretch."""
    return (np.arange(picked) * 2 + 1) * count // (2 * picked)
