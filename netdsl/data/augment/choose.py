"""Changes of which some are made: `one_of` and `some_of`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, ClassVar

from netdsl.arrays import np
from netdsl.data.augment.change import Change
from netdsl.data.augment.settings import number, wrong
from netdsl.data.errors import data_error
from netdsl.elaborate.values import shown
from netdsl.source import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netdsl.data.augment.change import Draws

MAX_CHOICES = 16


@dataclass(frozen=True, init=False)
class Choice(Change):
    """Some of several changes, in their order; the others are not made."""

    changes: tuple[Change, ...] = field(default=())
    p: float = number(0, 1, 1.0)

    def _take(self, changes: Sequence[object], p: float) -> None:
        found = tuple(kind() if isinstance(kind, type) else kind for kind in changes)
        object.__setattr__(self, "changes", found)
        object.__setattr__(self, "p", p)
        self.__post_init__()
        if not 1 <= len(found) <= MAX_CHOICES:
            raise data_error(f"{self.name} takes 1 to {MAX_CHOICES} changes, not {len(found)}")
        for change in found:
            if not isinstance(change, Change):
                raise data_error(f"{self.name} chooses among changes, and {brief(shown(change))} is none")
            if not change.optional:
                raise data_error(f"{self.name} cannot hold {change.name}, which is made for all samples")

    @property
    def count(self) -> int:
        """How many are made."""
        raise NotImplementedError

    def picked(self, draws: Draws) -> NDArray[np.bool_]:
        """Which of the choices are made for each sample, [B, choices]: each set of `count` is as likely."""
        size = len(self.changes)
        sets = list(combinations(range(size), min(self.count, size)))
        table = np.zeros((len(sets), size), np.bool_)
        for row, chosen in zip(table, sets, strict=True):
            row[list(chosen)] = True
        picked: NDArray[np.bool_] = table[(draws[:, 0] * len(sets)).astype(np.int64)]
        return picked & self.chosen(draws)[:, None]


@dataclass(frozen=True, init=False)
class OneOf(Choice):
    """`one_of(rotate(15), shear(10), blur(1))`: one of them, each as likely. torchvision's RandomChoice."""

    name: ClassVar[str] = "one_of"

    def __init__(self, *changes: object, p: float = 1.0) -> None:
        self._take(changes, p)

    @property
    def count(self) -> int:
        """One."""
        return 1


@dataclass(frozen=True, init=False)
class SomeOf(Choice):
    """`some_of(2, rotate(15), shear(10), blur(1))`: so many of them, each set as likely, in the order of the list."""

    name: ClassVar[str] = "some_of"
    number: int = 1

    def __init__(self, number: int, *changes: object, p: float = 1.0) -> None:
        object.__setattr__(self, "number", number)
        self._take(changes, p)
        if type(number) is not int or not 1 <= number <= len(self.changes):
            raise wrong("number", self.name, f"must be a whole number from 1 to {len(self.changes)}", number)

    @property
    def count(self) -> int:
        """As many as are asked for."""
        return self.number


@dataclass(frozen=True)
class Leaf:
    """A change that does something itself; `place` is its key, counted through the list and all choices in it.

    above: the choices that it stands in, from outside, each with its place and the number of the branch.
    """

    change: Change
    place: int
    above: tuple[tuple[Choice, int, int], ...] = ()

    def made(self, draws: Draws) -> NDArray[np.bool_]:
        """For which samples it is made, [B], by the numbers of all places."""
        found = self.change.chosen(draws[self.place])
        for choice, place, branch in self.above:
            found = found & choice.picked(draws[place])[:, branch]
        return found


def leaves(changes: Sequence[Change]) -> tuple[list[Leaf], int]:
    """The changes of a list and its choices, in order, and how many places there are."""
    found: list[Leaf] = []
    last = _walk(changes, 0, (), found)
    return found, last


def _walk(
    changes: Sequence[Change], place: int, above: tuple[tuple[Choice, int, int], ...], found: list[Leaf]
) -> int:
    for change in changes:
        if isinstance(change, Choice):
            own, place = place, place + 1
            for branch, choice in enumerate(change.changes):
                place = _walk([choice], place, (*above, (change, own, branch)), found)
        elif (parts := change.parts()) is not None:
            place = _walk(parts, place, above, found)
        else:
            found.append(Leaf(change, place, above))
            place += 1
    return place


def flattened(changes: Sequence[Change]) -> Iterator[Change]:
    """Every change that does something itself."""
    return (leaf.change for leaf in leaves(changes)[0])
