"""What the list `augment` holds: changes of samples, each drawn anew for every sample of every epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl.arrays import np
from netdsl.data.augment.settings import check, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Draws = NDArray[np.float64]

Size = tuple[int, int]
"""Height and width."""

PAIRS = 4
"""Pairs of random words that a change gets for a sample; what needs more draws them itself, from PAIRS on."""


@dataclass(frozen=True)
class Change:
    """A change of samples, made with probability `p`."""

    name: ClassVar[str]
    #: which of the drawn numbers decides whether the change is made
    decides: ClassVar[int] = 2 * PAIRS - 2
    #: whether it may be one of several: not where all samples must be changed alike, or together
    optional: ClassVar[bool] = True
    #: whether it makes shares of class numbers
    shares: ClassVar[bool] = False
    p: float = number(0, 1, 1.0, kw_only=True)

    def __post_init__(self) -> None:
        check(self, self.name)

    def check_sides(self, sides: Sequence[int]) -> None:
        """Raise NetError where it may leave nothing of samples `[H, W]`, `[T]` or `[frames, bands]`."""

    def parts(self) -> tuple[Change, ...] | None:
        """The changes that this one stands for, where it does nothing itself."""
        return None

    def chosen(self, draws: Draws) -> NDArray[np.bool_]:
        """Which samples are changed, [B], by their drawn numbers [B, 2 * PAIRS], each uniform in [0, 1)."""
        made: NDArray[np.bool_] = draws[:, self.decides] < self.p
        return made


def between(draws: Any, low: float, high: float) -> Any:
    """Numbers uniform from low to high, by numbers uniform from 0 to 1."""
    return low + (high - low) * draws


def normals(first: Any, second: Any) -> Any:
    """Standard normal numbers by pairs of uniform ones (Box and Muller 1958)."""
    return np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * np.pi * second)
