"""Changes that move pixels: masks and boxes move with the image.

Each says for every pixel of the result where it comes from: a homography, `[B, 3, 3]` in pixels (x, y, 1), the centre
of the first pixel at 0.  The homographies of changes that follow each other are multiplied, so that a picture is
sampled once, however many they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netdsl.arrays import np
from netdsl.data.augment.change import Change, Size, between
from netdsl.data.augment.settings import (
    BORDERS,
    INTERPOLATIONS,
    by,
    check_order,
    flag,
    number,
    whole,
    word,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netdsl.data.augment.change import Draws

    Maps = NDArray[np.float64]

MAX_SHIFT = 1_000_000
MAX_SIDE = 16384


@dataclass(frozen=True)
class Geometry(Change):
    """A change that moves pixels; labels stay as they are, whatever their kind, where `keep_labels` says so."""

    keep_labels: bool = flag()

    def size(self, before: Size) -> Size:
        """The size of the result."""
        return before

    def maps(self, draws: Draws, size: Size) -> Maps:
        """Where the pixels of the result come from, [B, 3, 3], in pictures of this size."""
        raise NotImplementedError


@dataclass(frozen=True)
class Sampled(Geometry):
    """A change that asks for values between pixels and outside of the picture.

    border: constant, reflect, edge or wrap; fill: the constant, from 0 (black) to 1 (white).
    """

    border: str = word(BORDERS, "constant")
    fill: float = number(0, 1, 0.0, kw_only=True)
    interpolation: str = word(INTERPOLATIONS, "bilinear")


@dataclass(frozen=True)
class Shift(Sampled):
    """`shift(pixels)`: move by -pixels..pixels in both directions, by whole pixels; zeros come in.

    A sound moves along its time, by samples.  Keras' RandomTranslation, in pixels.
    """

    name: ClassVar[str] = "shift"
    pixels: int = whole(0, MAX_SHIFT)

    def check_sides(self, sides: Sequence[int]) -> None:
        """A sample that is moved by a side or more is gone, but where it comes in again."""
        if self.pixels >= min(sides) and self.border in ("constant", "edge"):
            raise wrong("pixels", self.name, f"must be below {min(sides)} for {by(sides)}", self.pixels)

    def maps(self, draws: Draws, size: Size) -> Maps:
        """Steps of whole pixels."""
        steps = np.floor(draws[:, :2] * (2 * self.pixels + 1)) - self.pixels
        return translations(steps[:, 1], steps[:, 0])


@dataclass(frozen=True)
class Flip(Geometry):
    """`flip`: mirror left and right with probability `p`, a half by default. torchvision's RandomHorizontalFlip."""

    name: ClassVar[str] = "flip"
    decides: ClassVar[int] = 0
    p: float = number(0, 1, 0.5)

    def maps(self, draws: Draws, size: Size) -> Maps:
        """Columns in reverse."""
        return mirrored(len(draws), 0, size[1])


@dataclass(frozen=True)
class VerticalFlip(Geometry):
    """`vertical_flip`: mirror top and bottom with probability `p`, a half by default."""

    name: ClassVar[str] = "vertical_flip"
    decides: ClassVar[int] = 0
    p: float = number(0, 1, 0.5)

    def maps(self, draws: Draws, size: Size) -> Maps:
        """Rows in reverse."""
        return mirrored(len(draws), 1, size[0])


@dataclass(frozen=True)
class Rotate(Sampled):
    """`rotate(degrees)`: turn about the middle by -degrees..degrees, positive ones against the clock.

    torchvision's RandomRotation; Keras' RandomRotation counts in whole turns.
    """

    name: ClassVar[str] = "rotate"
    degrees: float = number(0, 360)

    def maps(self, draws: Draws, size: Size) -> Maps:
        """A rotation about the middle."""
        angle = np.deg2rad(between(draws[:, 0], -self.degrees, self.degrees))
        return about_middle(np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle), size)


@dataclass(frozen=True)
class Zoom(Sampled):
    """`zoom(low, high)`: enlarge by a factor from low to high about the middle; factors below 1 shrink.

    `scale` of torchvision's RandomAffine; Keras' RandomZoom counts the other way, -0.2 enlarges.
    """

    name: ClassVar[str] = "zoom"
    low: float = number(0.01, 100)
    high: float = number(0.01, 100)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_order(self, self.name)

    def maps(self, draws: Draws, size: Size) -> Maps:
        """A scaling about the middle."""
        scale = 1 / between(draws[:, 0], self.low, self.high)
        return about_middle(scale, 0.0, 0.0, scale, size)


@dataclass(frozen=True)
class Shear(Sampled):
    """`shear(degrees)`: slant along the rows by -degrees..degrees about the middle: torchvision's RandomAffine."""

    name: ClassVar[str] = "shear"
    degrees: float = number(0, 89)

    def maps(self, draws: Draws, size: Size) -> Maps:
        """Rows moved in proportion to their distance from the middle."""
        slope = np.tan(np.deg2rad(between(draws[:, 0], -self.degrees, self.degrees)))
        return about_middle(1.0, slope, 0.0, 1.0, size)


def translations(x: NDArray[np.float64], y: NDArray[np.float64]) -> Maps:
    """Maps that add (x, y)."""
    found = np.tile(np.eye(3), (len(x), 1, 1))
    found[:, 0, 2], found[:, 1, 2] = x, y
    return found


def mirrored(count: int, axis: int, size: int) -> Maps:
    """Maps that turn the pixels along an axis (0: x, 1: y) of this size round."""
    found = np.tile(np.eye(3), (count, 1, 1))
    found[:, axis, axis], found[:, axis, 2] = -1, size - 1
    return found


def about_middle(a: object, b: object, c: object, d: object, size: Size) -> Maps:
    """Maps by the matrix [[a, b], [c, d]] that leave the middle of the picture where it is."""
    parts = np.broadcast_arrays(*(np.atleast_1d(np.asarray(part, np.float64)) for part in (a, b, c, d)))
    matrix = np.stack(parts, axis=-1).reshape(-1, 2, 2)
    middle = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    found = np.tile(np.eye(3), (len(matrix), 1, 1))
    found[:, :2, :2] = matrix
    found[:, :2, 2] = middle - matrix @ middle
    return found
