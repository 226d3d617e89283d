"""Changes of the appearance of pictures: labels stay as they are.

Amounts are shares of full intensity, which becomes 255 in bytes; results stay from 0 to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netdsl.arrays import np
from netdsl.data.augment.change import Change, Size, between, normals
from netdsl.data.augment.choose import SomeOf
from netdsl.data.augment.settings import check_order, number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netdsl.data.augment.change import Draws


@dataclass(frozen=True)
class Look(Change):
    """A change of pixels where they are."""

    #: whether pictures must have three channels, red, green and blue
    colours: ClassVar[bool] = False

    def numbers(self, draws: Draws, size: Size) -> tuple[NDArray[np.float64] | float, ...]:
        """What its kernel is told of each sample: at most four numbers, or arrays of them [B]."""
        raise NotImplementedError

    def scratch(self, size: Size, channels: int) -> int:
        """How many float32 its kernel needs beside the picture."""
        return 0


@dataclass(frozen=True)
class _Factor(Look):
    """A factor from 1 - amount to 1 + amount."""

    amount: float = number(0, 10)

    def numbers(self, draws: Draws, size: Size) -> tuple[NDArray[np.float64] | float, ...]:
        """The factor; none is below 0."""
        return (np.maximum(between(draws[:, 0], 1 - self.amount, 1 + self.amount), 0),)


@dataclass(frozen=True)
class Brightness(_Factor):
    """`brightness(0.2)`: times a factor from 0.8 to 1.2. torchvision's ColorJitter; Keras' RandomBrightness adds."""

    name: ClassVar[str] = "brightness"


@dataclass(frozen=True)
class Contrast(_Factor):
    """`contrast(0.2)`: the distance from the mean grey of the picture times 0.8 to 1.2. torchvision's ColorJitter."""

    name: ClassVar[str] = "contrast"


@dataclass(frozen=True)
class Saturation(_Factor):
    """`saturation(0.2)`: the distance of each colour from its grey times 0.8 to 1.2. torchvision's ColorJitter."""

    name: ClassVar[str] = "saturation"
    colours: ClassVar[bool] = True


@dataclass(frozen=True)
class Hue(Look):
    """`hue(0.05)`: every hue turned by -0.05 to 0.05 of the circle of colours. torchvision's ColorJitter."""

    name: ClassVar[str] = "hue"
    colours: ClassVar[bool] = True
    amount: float = number(0, 0.5)

    def numbers(self, draws: Draws, size: Size) -> tuple[NDArray[np.float64] | float, ...]:
        """The share of the circle."""
        return (between(draws[:, 0], -self.amount, self.amount),)


@dataclass(frozen=True)
class Gamma(Look):
    """`gamma(0.8, 1.2)`: to a power from 0.8 to 1.2, black and white staying. Powers below 1 make it lighter."""

    name: ClassVar[str] = "gamma"
    low: float = number(0.01, 100)
    high: float = number(0.01, 100)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_order(self, self.name)

    def numbers(self, draws: Draws, size: Size) -> tuple[NDArray[np.float64] | float, ...]:
        """The power."""
        return (between(draws[:, 0], self.low, self.high),)


@dataclass(frozen=True)
class Invert(Look):
    """`invert`: white becomes black, with probability `p`, a half by default. torchvision's RandomInvert."""

    name: ClassVar[str] = "invert"
    decides: ClassVar[int] = 0
    p: float = number(0, 1, 0.5)

    def numbers(self, draws: Draws, size: Size) -> tuple[NDArray[np.float64] | float, ...]:
        """None."""
        return ()


#: deviations along the principal axes of the colours of ImageNet, on the scale from 0 to 1, and these axes, one a
#: column (Krizhevsky et al. 2012, with the numbers of cuda-convnet and fb.resnet.torch)
DEVIATIONS = (0.2175, 0.0188, 0.0045)
AXES = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


@dataclass(frozen=True)
class PcaLighting(Look):
    """`pca_lighting(0.1)`: plus a colour drawn along the principal axes of the colours of ImageNet.

    The share of each axis is normal with deviation 0.1 (Krizhevsky, Sutskever and Hinton 2012).
    """

    name: ClassVar[str] = "pca_lighting"
    colours: ClassVar[bool] = True
    sigma: float = number(0, 10)

    def numbers(self, draws: Draws, size: Size) -> tuple[NDArray[np.float64] | float, ...]:
        """The colour."""
        shares = normals(draws[:, :3], draws[:, 3:6]) * self.sigma
        return tuple(np.array(AXES) @ (shares * np.array(DEVIATIONS)).T)


@dataclass(frozen=True)
class ColorJitter(Change):
    """`color_jitter(brightness = 0.4, contrast = 0.4, saturation = 0.4, hue = 0.1)`: these four, in this order.

    torchvision's ColorJitter, which draws the order.
    """

    name: ClassVar[str] = "color_jitter"
    brightness: float = number(0, 10, 0.0)
    contrast: float = number(0, 10, 0.0)
    saturation: float = number(0, 10, 0.0)
    hue: float = number(0, 0.5, 0.0)

    def parts(self) -> tuple[Change, ...] | None:
        """All four together, or none."""
        found = (
            Brightness(self.brightness),
            Contrast(self.contrast),
            Saturation(self.saturation),
            Hue(self.hue),
        )
        return (SomeOf(4, *found, p=self.p),)
