"""Batches as a pure function of (epoch, number), so that any batch can be made again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.augment import Augmentation, augmented, check_augment
from netdsl.data.counter import Purpose, check_seed, random_bits, random_order
from netdsl.data.dataset import Split, check_sample_shape
from netdsl.data.errors import data_error
from netdsl.data.normalize import Normalization
from netdsl.data.outline import Outline, outline_of
from netdsl.data.preprocess import Step, check_preprocess, preprocessed, shape_after
from netdsl.source import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Batch:
    """`size` samples, ready for the network.

    images: float32 [B, *sample]. labels: as in the split, [B, ...]. weights: float32 [B], 1 for a sample and
    0 for padding, which comes last and is all zeros (label 0). indices: int64 [size], which samples of the
    split these are.
    """

    images: NDArray[np.float32]
    labels: NDArray[Any]
    weights: NDArray[np.float32]
    indices: NDArray[np.int64]
    epoch: int
    number: int
    last: bool

    @property
    def size(self) -> int:
        """Samples that are not padding."""
        return len(self.indices)


@dataclass(eq=False)
class Batches:
    """All batches of a split, epoch by epoch; `make(epoch, number)` depends on nothing else.

    shuffle: each epoch has its own order, keyed by (seed, epoch); else the order of the split.
    batch: samples in one; a split that has fewer is one batch.
    drop_last: the last samples of an epoch that do not fill a batch are left out of that epoch, other ones in
        each where shuffled; else they are padded to a full batch, and `weights` tells them apart.
    augment: applied in order to the stored pixels, keyed by (seed, place, epoch, sample).
    sample: shape of a sample in the batch, for a network that wants [784] instead of [28, 28, 1].
    preprocess: applied in order to the stored pixels, before all else.

    Errors: NetError when the batch is not a positive number, or larger than the split with drop_last.
    """

    split: Split
    batch: int
    normalization: Normalization = field(default_factory=Normalization)
    augment: Sequence[Augmentation] = ()
    seed: int = 0
    shuffle: bool = False
    drop_last: bool = False
    sample: tuple[int, ...] | None = None
    preprocess: Sequence[Step] = ()
    _order: tuple[int, NDArray[np.int64]] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_preprocess(self.preprocess, self.split.labels.shape[1:])
        if self.sample is not None:
            check_sample_shape(self.outline.sample, self.sample)
        if self.augment:
            check_augment(self.augment, self.outline)
        check_batch(len(self.split), self.batch, self.drop_last)
        self.batch = min(self.batch, len(self.split))

    @cached_property
    def outline(self) -> Outline:
        """The split as the network is shown it: after preprocessing, before the shape that it wants."""
        found = outline_of(self.split)
        return replace(found, sample=shape_after(self.preprocess, found.sample))

    def __len__(self) -> int:
        """Batches in one epoch."""
        count = len(self.split)
        return count // self.batch if self.drop_last else -(-count // self.batch)

    @property
    def last_size(self) -> int:
        """Samples in the last batch of an epoch."""
        return self.batch if self.drop_last else len(self.split) - (len(self) - 1) * self.batch

    def make(self, epoch: int, number: int) -> Batch:
        """Make batch `number` (0..len-1) of `epoch` (from 0): always the same bits."""
        if not 0 <= number < len(self):
            raise IndexError(f"batch {number} of {len(self)}")
        start = number * self.batch
        indices = self._epoch_order(epoch)[start : start + self.batch]
        pixels, labels = self.split.images[indices], self.split.labels[indices]
        pixels = preprocessed(self.preprocess, pixels, self.split.pixels)
        for place, change in enumerate(self.augment):
            bits = random_bits(self.seed, Purpose.AUGMENT + place, epoch, indices)
            pixels, labels = augmented(change, pixels, labels, bits)
        inputs = self.normalization(pixels)
        if self.sample is not None:
            inputs = inputs.reshape(len(inputs), *self.sample)
        missing = self.batch - len(indices)
        return Batch(
            _padded(inputs, missing),
            _padded(labels, missing),
            _padded(np.ones(len(indices), np.float32), missing),
            indices,
            epoch,
            number,
            number == len(self) - 1,
        )

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, made one by one in the calling thread."""
        return (self.make(epoch, number) for number in range(len(self)))

    def _epoch_order(self, epoch: int) -> NDArray[np.int64]:
        if not self.shuffle:
            epoch = 0
        kept = self._order
        if kept is not None and kept[0] == epoch:
            return kept[1]
        count = len(self.split)
        order = random_order(self.seed, Purpose.SHUFFLE, epoch, count) if self.shuffle else np.arange(count)
        self._order = (epoch, order)
        return order


def check_batch(samples: int, batch: int, drop_last: bool) -> None:
    """Check that there is a batch of this size. Errors: NetError."""
    if batch < 1:
        raise data_error(f"a batch needs at least one sample, not {batch}")
    if drop_last and batch > samples:
        raise data_error(
            f"{counted(samples, 'sample')} cannot fill one batch of {batch}",
            fix="take a smaller batch, or set drop_last = false",
        )


def _padded(values: NDArray[Any], missing: int) -> NDArray[Any]:
    if missing == 0:
        return values
    return np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)])
