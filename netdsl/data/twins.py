"""Pairs of samples for Siamese networks: two samples, and whether they are of one class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.column import Column
from netdsl.data.counter import Purpose, check_seed, random_order
from netdsl.data.dataset import LABEL, SAMPLES, Split, label_among
from netdsl.data.errors import data_error
from netdsl.data.named import Names, as_names, renamed
from netdsl.data.outline import ArrayOutline, Outline
from netdsl.data.pixels import look
from netdsl.data.stored import read_all
from netdsl.elaborate.values import shown
from netdsl.source import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netdsl.data.sources import DataSource

FIRST, SECOND = "first", "second"
ANSWERS = ("different", "same")


@dataclass(frozen=True, init=False)
class Twins:
    """`twins(digits.train)`: every sample with a partner, half of them of its own class; for Siamese networks.

    Arrays: `first`, `second`, and `label`, 1 where the two are of one class; `twins(digits.train, left = "first")`
    gives them other names.  Partners are drawn with the seed; every sample is once the first of a pair.
    """

    source: DataSource
    seed: int
    names: Names

    def __init__(self, source: DataSource, *, seed: int = 0, **names: str) -> None:
        if not hasattr(source, "load"):
            raise data_error(f"source must be a data set, such as digits.train, not {brief(shown(source))}")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise data_error(f"seed must be a whole number from 0, not {brief(shown(seed))}")
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "seed", check_seed(seed))
        object.__setattr__(self, "names", as_names(names, (FIRST, SECOND, LABEL)))

    def load(self, base: Path) -> Split:
        """Draw partners for the samples of the source."""
        whole = self.source.load(base)
        sample, label = _pair(whole.columns.keys(), whole.kinds)
        partners, same = partnered(read_all(whole.columns[label].target.values), self.seed)
        column, answers = whole.columns[sample], same.astype(np.int64)
        arrays = {
            FIRST: column,
            SECOND: column.part(partners),
            LABEL: Column(answers, look(answers), ANSWERS),
        }
        return Split(renamed(arrays, self.names))

    def outline(self, base: Path) -> Outline:
        """That of the source, as often as it is an input."""
        whole = self.source.outline(base)
        sample, _ = _pair(whole.arrays.keys(), whole.kinds)
        one = whole.arrays[sample]
        answers = ArrayOutline((), True, len(ANSWERS), np.array([0, 1]))
        return Outline(whole.count, renamed({FIRST: one, SECOND: one, LABEL: answers}, self.names))


def _pair(arrays: Any, kinds: Any) -> tuple[str, str]:
    """The names of the samples and of the classes of a data set."""
    label = label_among(kinds)
    sample = next((name for name in (*SAMPLES, *arrays) if name in arrays and name != label), None)
    if label is None or sample is None or not kinds[label][1] or kinds[label][0] not in ((), (1,)):
        raise data_error("twins takes a data set of samples and their classes, one number for each")
    return sample, label


def partnered(labels: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """A partner for each sample, by the class numbers [n], and whether it is of the same class: half of them are.

    In a random order, sorted by class, a partner of the class is the next one of it, the last one's the first; one
    of another class is any of the others.  Errors: NetError where a class has one sample, or there is one class.
    """
    count = len(labels)
    order = random_order(seed, Purpose.TWINS, 0, count)
    ranked = order[np.argsort(labels[order], kind="stable")]
    classes, starts, sizes = np.unique(labels[ranked], return_index=True, return_counts=True)
    if len(classes) < 2 or sizes.min() < 2:
        lone = "there is one class" if len(classes) < 2 else f"class {classes[sizes.argmin()]} has one sample"
        raise data_error(f"twins needs two classes and two samples of each; {lone}")
    group = np.repeat(np.arange(len(classes)), sizes)
    at, start, size = np.arange(count), starts[group], sizes[group]
    own = start + (at - start + 1) % size
    other = (
        start + size + (at - start + random_order(seed, Purpose.TWINS, 1, count)) % (count - size)
    ) % count
    same = np.zeros(count, bool)
    same[order[::2]] = True
    partners = np.empty(count, np.int64)
    partners[ranked] = ranked[np.where(same[ranked], own, other)]
    return partners, same
