"""Changes that cut: the result has the size that they are asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netdsl.arrays import np
from netdsl.data.augment.change import Size, between
from netdsl.data.augment.geometry import MAX_SIDE, Sampled, translations
from netdsl.data.augment.settings import check_order, number, whole, wrong

if TYPE_CHECKING:
    from netdsl.data.augment.change import Draws
    from netdsl.data.augment.geometry import Maps


@dataclass(frozen=True)
class _Crop(Sampled):
    """A change with a size of its own."""

    optional: ClassVar[bool] = False
    height: int = whole(1, MAX_SIDE)
    width: int | None = whole(1, MAX_SIDE, None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.p != 1:
            raise wrong("p", self.name, "must be 1: pictures would differ in size", self.p)

    def size(self, before: Size) -> Size:
        """The one asked for."""
        return self.height, self.height if self.width is None else self.width


@dataclass(frozen=True)
class RandomCrop(_Crop):
    """`random_crop(32, padding = 4)`: a part of this size, anywhere; zeros are put around before.

    torchvision's RandomCrop; a picture that is too small stands anywhere among what the border gives.
    """

    name: ClassVar[str] = "random_crop"
    padding: int = whole(0, MAX_SIDE, 0)

    def maps(self, draws: Draws, size: Size) -> Maps:
        """Steps of whole pixels."""
        room = np.array(size) + 2 * self.padding - np.array(self.size(size))
        steps = np.floor(draws[:, :2] * (np.abs(room) + 1)) * np.sign(room) - self.padding
        return translations(steps[:, 1], steps[:, 0])


@dataclass(frozen=True)
class RandomResizedCrop(_Crop):
    """`random_resized_crop(224)`: a part that covers 0.08 to 1 of the area, resized (Szegedy et al. 2015).

    Width to height are 1 / ratio to ratio, drawn on a logarithmic scale.  torchvision's RandomResizedCrop, which
    draws again where a part does not fit; here it is cut.
    """

    name: ClassVar[str] = "random_resized_crop"
    smallest: float = number(0.0001, 1, 0.08, kw_only=True)
    largest: float = number(0.0001, 1, 1.0, kw_only=True)
    ratio: float = number(1, 100, 4 / 3, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_order(self, self.name, "smallest", "largest")

    def maps(self, draws: Draws, size: Size) -> Maps:
        """A scaling and a step."""
        height, width = size
        area = between(draws[:, 0], self.smallest, self.largest) * height * width
        ratio = np.exp(between(draws[:, 1], -1.0, 1.0) * math.log(self.ratio))
        part = np.minimum(np.sqrt([area / ratio, area * ratio]).T, [height, width])
        start = draws[:, 2:4] * (np.array(size) - part)
        scale = part / np.array(self.size(size))
        found = translations(*(start + (scale - 1) / 2).T[::-1])
        found[:, 0, 0], found[:, 1, 1] = scale[:, 1], scale[:, 0]
        return found
