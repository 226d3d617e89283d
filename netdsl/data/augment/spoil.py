"""Changes that spoil pictures: noise, blur, what is cut out, and compression with losses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netdsl.arrays import np
from netdsl.data.augment.change import Size
from netdsl.data.augment.layout import JPEG, blurring
from netdsl.data.augment.look import Look
from netdsl.data.augment.settings import by, check_order, number, whole, wrong

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netdsl.data.augment.change import Draws

MAX_SIGMA = 50.0


@dataclass(frozen=True)
class GaussianNoise(Look):
    """`gaussian_noise(0.05)`: each number plus one from a normal distribution with deviation 0.05 of white.

    torchvision's GaussianNoise.
    """

    name: ClassVar[str] = "gaussian_noise"
    sigma: float = number(0, 10)

    def numbers(self, draws: Draws, size: Size) -> tuple[NDArray[np.float64] | float, ...]:
        """The deviation."""
        return (self.sigma,)

    def scratch(self, size: Size, channels: int) -> int:
        """The noise."""
        return size[0] * size[1] * channels + 1


@dataclass(frozen=True)
class SaltAndPepper(Look):
    """`salt_and_pepper(0.01)`: one in a hundred pixels becomes white or black, each as likely."""

    name: ClassVar[str] = "salt_and_pepper"
    share: float = number(0, 1)

    def numbers(self, draws: Draws, size: Size) -> tuple[NDArray[np.float64] | float, ...]:
        """The share."""
        return (self.share,)

    def scratch(self, size: Size, channels: int) -> int:
        """A word for each pixel."""
        return size[0] * size[1] + 1


@dataclass(frozen=True)
class Blur(Look):
    """`blur(1.5)`: a Gaussian of 0 to 1.5 pixels, mirrored at the borders. torchvision's GaussianBlur."""

    name: ClassVar[str] = "blur"
    sigma: float = number(0, MAX_SIGMA)

    def numbers(self, draws: Draws, size: Size) -> tuple[NDArray[np.float64] | float, ...]:
        """The deviation of the Gaussian; below 0.1 the picture stays."""
        return (draws[:, 0] * self.sigma,)

    def scratch(self, size: Size, channels: int) -> int:
        """The weights, and what a blur needs."""
        reach = math.floor(4 * self.sigma + 0.5)
        return 2 * reach + 1 + blurring(*size, reach, reach)


@dataclass(frozen=True)
class Cutout(Look):
    """`cutout(8)`: a square of 8 x 8 pixels becomes black; its middle is anywhere (DeVries and Taylor 2017).

    fill: what it becomes, from 0 (black) to 1 (white).  What lies outside of the picture is not cut.
    """

    name: ClassVar[str] = "cutout"
    size: int = whole(1, 16384)
    fill: float = number(0, 1, 0.0, kw_only=True)

    def check_sides(self, sides: Sequence[int]) -> None:
        """The square must fit into the picture."""
        if self.size > min(sides):
            raise wrong("size", self.name, f"must be at most {min(sides)} for {by(sides)}", self.size)

    def numbers(self, draws: Draws, size: Size) -> tuple[NDArray[np.float64] | float, ...]:
        """The first row and column, the side, and what it becomes."""
        middle = np.floor(draws[:, :2] * np.array(size)) - self.size // 2
        return middle[:, 0], middle[:, 1], float(self.size), self.fill


@dataclass(frozen=True)
class Jpeg(Look):
    """`jpeg(60, 95)`: compressed as a JPEG of a quality from 60 to 95, and read again; colours at half the size.

    Tables and qualities are libjpeg's, as Pillow has them: torchvision's JPEG.
    """

    name: ClassVar[str] = "jpeg"
    low: int = whole(1, 100)
    high: int = whole(1, 100)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_order(self, self.name)

    def numbers(self, draws: Draws, size: Size) -> tuple[NDArray[np.float64] | float, ...]:
        """The quality."""
        return (self.low + np.floor(draws[:, 0] * (self.high - self.low + 1)),)

    def scratch(self, size: Size, channels: int) -> int:
        """Its tables, three rows, and the planes of a picture whose sides are multiples of 16."""
        height, width = (-(-side // 16) * 16 for side in size)
        return JPEG + 3 * width + 8 + height * width * 3 // 2
