"""Batches as a pure function of (epoch, number), so that any batch can be made again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data import augment
from netdsl.data.augment.change import Change
from netdsl.data.augment.shares import rows_of, shared_outline, shares_of
from netdsl.data.counter import Purpose, check_seed, random_order
from netdsl.data.dataset import Split, check_sample_shape
from netdsl.data.errors import data_error
from netdsl.data.feeds import Feed, Kind, fed, matched, own_feeds
from netdsl.data.outline import Outline, one_shape, outline_of, prepared_outline
from netdsl.data.preprocess import steps_by_label
from netdsl.data.step import PreprocessingStep
from netdsl.data.usage import Preparation
from netdsl.source import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netdsl.backend.memory import Staged


@dataclass(frozen=True, eq=False)
class Batch(Mapping[str, "NDArray[Any]"]):
    """`size` samples: arrays [size, ...] by the names of what they feed, ready for the network.

    Those of inputs are float32; targets are int64 or float32, as their losses take them; weights float32.
    indices: int64 [size], which samples of the split these are.  `last` marks the end of an epoch.  `sent` are those
    arrays that are on their way to the device already.
    """

    arrays: Mapping[str, NDArray[Any]]
    indices: NDArray[np.int64]
    epoch: int
    number: int
    last: bool
    sent: Mapping[str, Staged] = field(default_factory=dict)

    @property
    def feeds(self) -> dict[str, NDArray[Any] | Staged]:
        """What a program is fed."""
        return {**self.arrays, **self.sent}

    @property
    def size(self) -> int:
        """How many samples there are."""
        return len(self.indices)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        """How many names there are."""
        return len(self.arrays)


@dataclass(eq=False)
class Batches:
    """All batches of a split, epoch by epoch; `make(epoch, number)` depends on nothing else.

    feeds: what is taken of each sample; by default every array under its own name, the first as the input.
    prepared: what becomes of the samples of inputs, by name; missing ones are taken as they are.
    shuffle: each epoch has its own order, keyed by (seed, epoch); else the order of the split.
    batch: samples in one; a split that has fewer is one batch.
    drop_last: the last samples of an epoch that do not fill a batch are left out of that epoch, other ones in
        each where shuffled; else they are a smaller batch.
    workers: how many threads read, see `Loader`; they change nothing of a batch.
    augment: applied in order to the stored pixels, after preprocessing, keyed by (seed, place, epoch, sample).
    boxes: the targets that are boxes, which move with the pictures.
    shares: the targets whose class numbers become rows of shares, and how long these are; see `shares_of`.

    Errors: NetError for feeds that the split has no arrays for, or none of the right shape; for a batch that is not a
    positive number, or larger than the split with drop_last.
    """

    split: Split
    batch: int
    feeds: Sequence[Feed] = ()
    prepared: Mapping[str, Preparation] = field(default_factory=dict)
    augment: Sequence[Change] = ()
    seed: int = 0
    shuffle: bool = False
    drop_last: bool = False
    workers: int | None = None
    boxes: Collection[str] = ()
    shares: Mapping[str, int] = field(default_factory=dict)
    _order: tuple[int, NDArray[np.int64]] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_seed(self.seed)
        self.feeds = tuple(self.feeds) or own_feeds(self.split.kinds)
        columns = {name: self.split.columns[a] for name, a in matched(self.feeds, self.split.columns).items()}
        kinds = {feed.name: feed for feed in self.feeds}
        self._inputs = {n: c.input for n, c in columns.items() if kinds[n].kind is Kind.INPUT}
        self._targets = {n: c.target for n, c in columns.items() if n not in self._inputs}
        self.prepared = {
            n: self.prepared.get(n) or Preparation(one_shape((), c.shapes)) for n, c in self._inputs.items()
        }
        if self.augment and not self.shares:
            arrays = fed(outline_of(self.split), self.feeds).arrays
            self.shares = shares_of(self.augment, self.feeds, arrays)
        self._check()
        check_batch(len(self.split), self.batch, self.drop_last)
        self.batch = min(self.batch, len(self.split))

    def _check(self) -> None:
        """Check that the samples can be prepared, and then have the shapes that are taken."""
        arrays = self.outline.arrays
        for feed in self.feeds:
            if feed.kind is Kind.INPUT and feed.shape is not None:
                check_sample_shape(arrays[feed.name].shape, feed.shape)
        self._augmenter: augment.Augmenter | None = None
        if self.augment:
            labels = augment.check_augment(
                self.augment, self.feeds, self._prepared_outline.arrays, self.boxes
            )
            whites = {name: column.pixels.white for name, column in self._inputs.items()}
            augment.check_white(self.augment, (w for n, w in whites.items() if len(arrays[n].shape) == 3))
            self._augmenter = augment.Augmenter(self.augment, self.seed, whites, labels)

    @cached_property
    def _label_steps(self) -> Mapping[str, Sequence[PreprocessingStep]]:
        """The steps that labels go through with their pictures."""
        steps = {name: p.preprocess for name, p in self.prepared.items()}
        samples = {name: column.shape for name, column in self._inputs.items()}
        return steps_by_label(steps, samples, {name: column.shape for name, column in self._targets.items()})

    @cached_property
    def outline(self) -> Outline:
        """The split as the network is shown it: by the names of the feeds, after preprocessing and augmentation."""
        if not self.augment:
            return self._prepared_outline
        return augment.augmented_outline(self._prepared_outline, self.augment, self.feeds, self.boxes)

    @cached_property
    def _prepared_outline(self) -> Outline:
        found = fed(outline_of(self.split), self.feeds)
        steps = {name: p.preprocess for name, p in self.prepared.items()}
        found = prepared_outline(found, {**steps, **self._label_steps})
        return shared_outline(found, self.shares)

    def __len__(self) -> int:
        """Batches in one epoch."""
        count = len(self.split)
        return count // self.batch if self.drop_last else -(-count // self.batch)

    @property
    def last_size(self) -> int:
        """Samples in the last batch of an epoch."""
        return self.batch if self.drop_last else len(self.split) - (len(self) - 1) * self.batch

    @property
    def in_memory(self) -> bool:
        """Whether nothing has to be read or preprocessed for a batch."""
        columns = (*self._inputs.values(), *self._targets.values())
        return all(c.in_memory for c in columns) and not any(p.preprocess for p in self.prepared.values())

    def indices(self, epoch: int, number: int) -> NDArray[np.int64]:
        """Which samples of the split batch `number` (0..len-1) of `epoch` (from 0) has."""
        if not 0 <= number < len(self):
            raise IndexError(f"batch {number} of {len(self)}")
        start = number * self.batch
        return self._epoch_order(epoch)[start : start + self.batch]

    def read(self, indices: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Samples and labels by name as they are stored, after preprocessing; for several threads at a time."""
        inputs = {n: c.read(indices, self.prepared[n].preprocess) for n, c in self._inputs.items()}
        fills = {feed.name: feed.ignored or 0 for feed in self.feeds}
        return inputs | {
            name: column.read_label(indices, self._label_steps[name], fills[name])
            for name, column in self._targets.items()
        }

    def make(self, epoch: int, number: int, rows: Mapping[str, NDArray[Any]] | None = None) -> Batch:
        """Make batch `number` (0..len-1) of `epoch` (from 0): always the same bits.

        `rows` is what `read` gives for its indices, where that has been read already.
        """
        made = self.of(self.indices(epoch, number), epoch, rows)
        return replace(made, number=number, last=number == len(self) - 1)

    def of(
        self, indices: NDArray[np.int64], epoch: int, rows: Mapping[str, NDArray[Any]] | None = None
    ) -> Batch:
        """These samples, as they are in an epoch."""
        if rows is None:
            rows = self.read(indices)
        inputs: Mapping[str, NDArray[Any]] = {name: rows[name] for name in self._inputs}
        targets: Mapping[str, NDArray[Any]] = {
            name: rows_of(rows[name], self.shares[name]) if name in self.shares else rows[name]
            for name in self._targets
        }
        if self._augmenter is not None:
            inputs, targets = self._augmenter(inputs, targets, epoch, indices)
        arrays = {name: self.prepared[name].normalization(x) for name, x in inputs.items()} | dict(targets)
        made = {f.name: _shaped(arrays[f.name], f, f.name in self.shares) for f in self.feeds}
        return Batch(made, indices, epoch, 0, False)

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


def _shaped(values: NDArray[Any], feed: Feed, shares: bool) -> NDArray[Any]:
    """Values in the shape and of the type that is taken."""
    if feed.shape is not None and not (shares and feed.integers):
        values = values.reshape(len(values), *feed.shape)
    kind = np.int64 if feed.integers and not shares else np.float32
    return values.astype(kind, copy=False)
