"""`elastic`: every pixel moves, its neighbours alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netdsl.arrays import np
from netdsl.data.augment.change import Size
from netdsl.data.augment.geometry import Sampled
from netdsl.data.augment.settings import number

if TYPE_CHECKING:
    from netdsl.data.augment.change import Draws
    from netdsl.data.augment.geometry import Maps


@dataclass(frozen=True)
class Elastic(Sampled):
    """`elastic(alpha = 34, sigma = 4)`: each pixel comes from a place nearby (Simard, Steinkraus and Platt 2003).

    Steps along both axes, uniform from -1 to 1 at each pixel, are blurred with a Gaussian of `sigma` pixels, none
    outside of the picture, and multiplied by `alpha`: with 34 and 4 about 1.4 pixels (root mean square).
    torchvision's ElasticTransform moves by half of that for the same alpha.
    """

    name: ClassVar[str] = "elastic"
    alpha: float = number(0, 10_000, 34.0)
    sigma: float = number(0.1, 200, 4.0)

    def maps(self, draws: Draws, size: Size) -> Maps:
        """Each place is where it is; the steps are added to it."""
        return np.tile(np.eye(3), (len(draws), 1, 1))
