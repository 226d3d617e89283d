"""A list of changes as stages: geometry that follows each other is one stage, and samples each picture once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.augment.change import Change, Size
from netdsl.data.augment.choose import Leaf
from netdsl.data.augment.elastic import Elastic
from netdsl.data.augment.geometry import Geometry, Sampled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netdsl.data.augment.change import Draws
    from netdsl.data.augment.geometry import Maps


@dataclass(frozen=True)
class Drawn:
    """What is drawn for a batch: numbers [places, B, n], the keys of the places [places, 2], the samples [B]."""

    draws: Draws
    keys: NDArray[np.uint32]
    indices: NDArray[np.int64]

    def sample_keys(self, place: int) -> NDArray[np.uint32]:
        """The keys of streams of numbers for each sample, [B, 3]."""
        found = np.empty((len(self.indices), 3), np.uint32)
        found[:, :2], found[:, 2] = self.keys[place], self.indices
        return found


@dataclass(frozen=True)
class Moving:
    """Geometry that is one map: leaves, of which the last may be `elastic`, sampled in one way."""

    leaves: tuple[Leaf, ...]

    @cached_property
    def changes(self) -> tuple[Geometry, ...]:
        """The changes."""
        return tuple(leaf.change for leaf in self.leaves if isinstance(leaf.change, Geometry))

    @cached_property
    def look(self) -> Sampled | None:
        """The change that says how pictures are sampled; None where all move by whole pixels within the picture."""
        return next((change for change in self.changes if isinstance(change, Sampled)), None)

    @cached_property
    def keep_labels(self) -> bool:
        """Whether labels stay as they are."""
        return all(change.keep_labels for change in self.changes)

    @cached_property
    def elastic(self) -> Leaf | None:
        """The leaf that moves each pixel by itself."""
        return self.leaves[-1] if isinstance(self.leaves[-1].change, Elastic) else None

    def size(self, before: Size) -> Size:
        """The size of the results."""
        for change in self.changes:
            before = change.size(before)
        return before

    def maps(self, drawn: Drawn, size: Size) -> Maps:
        """The product of all maps, [B, 3, 3]."""
        total = np.tile(np.eye(3), (len(drawn.indices), 1, 1))
        for leaf, change in zip(self.leaves, self.changes, strict=True):
            found = change.maps(drawn.draws[leaf.place], size)
            total = total @ np.where(leaf.made(drawn.draws)[:, None, None], found, np.eye(3))
            size = change.size(size)
        return total


@dataclass(frozen=True)
class Single:
    """A change that is a stage by itself."""

    leaf: Leaf

    @property
    def change(self) -> Change:
        """The change."""
        return self.leaf.change


Stage = Moving | Single


def stages(found: Sequence[Leaf]) -> list[Stage]:
    """The stages of leaves, in order."""
    made: list[Stage] = []
    for leaf in found:
        if not isinstance(leaf.change, Geometry):
            made.append(Single(leaf))
            continue
        last = made[-1] if made else None
        if isinstance(last, Moving) and _together(last, leaf.change):
            made[-1] = Moving((*last.leaves, leaf))
        else:
            made.append(Moving((leaf,)))
    return made


def _together(stage: Moving, change: Geometry) -> bool:
    """Whether a change can be one map with those before it."""
    if stage.elastic is not None or stage.keep_labels != change.keep_labels:
        return False
    look = stage.look
    return look is None or not isinstance(change, Sampled) or _way(look) == _way(change)


def _way(change: Sampled) -> tuple[Any, ...]:
    return change.border, change.fill, change.interpolation


def taps(maps: Maps, size: Size) -> NDArray[np.float64]:
    """Along each axis, how many points of a pixel are averaged where pictures of this size are made smaller, [B].

    It follows from the area that the pixel in the middle comes from.
    """
    depth = maps[:, 2] @ np.array([(size[1] - 1) / 2, (size[0] - 1) / 2, 1])
    area = np.abs(np.linalg.det(maps) / depth**3)
    found: NDArray[np.float64] = np.clip(np.floor(np.sqrt(area) + 0.5), 1, 16)
    return found


def gaussian(sigma: float) -> NDArray[np.float32]:
    """The weights of a Gaussian, cut off at four sigma as SciPy does, which sum to 1."""
    reach = math.floor(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(weights / weights.sum(), np.float32)
