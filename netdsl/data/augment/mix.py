"""Mixtures of samples: each with the next one of its batch, whose order is drawn. Labels become shares of classes.

They stand last in the list: what stands before them is made of each sample by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl.arrays import np
from netdsl.data.augment.change import Change
from netdsl.data.augment.settings import number
from netdsl.data.augment.ways import Label, Way

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netdsl.data.augment.change import Draws

    Arrays = dict[str, NDArray[Any]]

_POINTS = 2**14


@dataclass(frozen=True)
class Mix(Change):
    """A change that mixes each sample with the next of its batch."""

    optional: ClassVar[bool] = False
    shares: ClassVar[bool] = True
    #: how labels may move so that they can be mixed
    mixes: ClassVar[frozenset[Way]] = frozenset()

    def mixed(
        self, inputs: Arrays, targets: Arrays, ways: Mapping[str, Label], draws: Draws
    ) -> tuple[Arrays, Arrays]:
        """Inputs and targets by name, [B, ...], with their numbers mixed; draws: [B, n]."""
        raise NotImplementedError


@dataclass(frozen=True)
class Mixup(Mix):
    """`mixup(0.2)`: a mean of two samples and of their labels, weighted with a share drawn from Beta(0.2, 0.2).

    Zhang et al. 2018; torchvision's MixUp, which draws one share for a batch.
    """

    name: ClassVar[str] = "mixup"
    mixes: ClassVar[frozenset[Way]] = frozenset({Way.STAYS, Way.VALUES, Way.UNKNOWN})
    alpha: float = number(0.01, 100)

    def mixed(
        self, inputs: Arrays, targets: Arrays, ways: Mapping[str, Label], draws: Draws
    ) -> tuple[Arrays, Arrays]:
        """All of them."""
        share = np.where(self.chosen(draws), beta(self.alpha, draws[:, 0]), 1.0)
        return tuple({name: _mean(x, share) for name, x in arrays.items()} for arrays in (inputs, targets))  # type: ignore[return-value]


@dataclass(frozen=True)
class Cutmix(Mix):
    """`cutmix(1.0)`: a rectangle of the next picture, whose share of the area is drawn from Beta(1, 1).

    Labels of samples are weighted with the areas, masks are cut as the pictures are (Yun et al. 2019); torchvision's
    CutMix, which draws one rectangle for a batch.
    """

    name: ClassVar[str] = "cutmix"
    mixes: ClassVar[frozenset[Way]] = frozenset({Way.STAYS, Way.VALUES, Way.CELLS, Way.UNKNOWN})
    alpha: float = number(0.01, 100)

    def mixed(
        self, inputs: Arrays, targets: Arrays, ways: Mapping[str, Label], draws: Draws
    ) -> tuple[Arrays, Arrays]:
        """Pictures and what has a number for each pixel are cut, the rest is weighted."""
        cut = np.where(self.chosen(draws), 1 - beta(self.alpha, draws[:, 0]), 0.0)
        cells = [name for name in targets if ways[name].way in (Way.CELLS, Way.VALUES)]
        pictures = {name: self._cut(x, cut, draws) for name, x in inputs.items() if x.ndim == 4}
        share = 1 - next(iter(pictures.values()))[1]
        found = {name: _mean(x, share) for name, x in targets.items() if name not in cells}
        pasted = {name: self._cut(targets[name], cut, draws)[0] for name in cells}
        return inputs | {name: x for name, (x, _) in pictures.items()}, found | pasted

    def _cut(
        self, x: NDArray[Any], cut: NDArray[np.float64], draws: Draws
    ) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Arrays [B, H, W, ...] with rectangles of the next ones, and the shares of the area that these have, [B]."""
        size = np.array(x.shape[1:3])
        sides = (size * np.sqrt(cut)[:, None]).astype(np.int64)
        middle = np.floor(draws[:, 2:4] * size).astype(np.int64)
        first, last = (np.clip(middle + side, 0, size) for side in (-(sides // 2), sides - sides // 2))
        result, other = x.copy(), np.roll(x, -1, axis=0)
        for k, ((top, left), (bottom, right)) in enumerate(zip(first, last, strict=True)):
            result[k, top:bottom, left:right] = other[k, top:bottom, left:right]
        return result, np.prod(last - first, axis=1) / np.prod(size)


def _mean(x: NDArray[Any], share: NDArray[np.float64]) -> NDArray[np.float32]:
    """Each sample times its share, plus the next one times the rest."""
    own = share.astype(np.float32).reshape(-1, *(1,) * (x.ndim - 1))
    now = x.astype(np.float32, copy=False)
    return now * own + np.roll(now, -1, axis=0) * (1 - own)


def beta(alpha: float, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers from Beta(alpha, alpha) by uniform ones: the inverse of its distribution function."""
    low = np.minimum(uniform, 1 - uniform)
    x = np.interp(low, *_half(alpha)) ** (1 / min(alpha, 1))
    return np.where(uniform < 0.5, x, 1 - x)


@lru_cache(maxsize=16)
def _half(alpha: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The distribution function up to a half, and x to a power at its points, over which its density is bounded."""
    power = min(alpha, 1)
    t = np.linspace(0, 0.5**power, _POINTS + 1)
    x = ((t[1:] + t[:-1]) / 2) ** (1 / power)
    total = np.concatenate([[0], np.cumsum(x ** (alpha - power) * (1 - x) ** (alpha - 1))])
    return total / total[-1] / 2, t
