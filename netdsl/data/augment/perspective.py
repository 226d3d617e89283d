"""`perspective`: the picture seen from another side."""

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
class Perspective(Sampled):
    """`perspective(distortion)`: each corner moves inwards, by up to `distortion` times half a side along each axis.

    torchvision's RandomPerspective, whose corners are whole pixels.
    """

    name: ClassVar[str] = "perspective"
    distortion: float = number(0, 0.95)

    def maps(self, draws: Draws, size: Size) -> Maps:
        """The homographies from the moved corners to those of the picture."""
        right, bottom = max(size[1] - 1, 1), max(size[0] - 1, 1)
        corners = np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], np.float64)
        inwards = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
        steps = _eight(draws).reshape(-1, 4, 2) * self.distortion * np.array([right, bottom]) / 2
        return homographies(corners + inwards * steps, corners)


def _eight(draws: Draws) -> Draws:
    """Eight independent uniform numbers by six words of 32 bits: 24 bits of each, and two of what is left."""
    words = (draws[:, :6] * 2.0**32).astype(np.uint64)
    high, low = words >> np.uint64(8), words & np.uint64(255)
    rest = [(low[:, k] << np.uint64(16)) | (low[:, k + 1] << np.uint64(8)) | low[:, k + 2] for k in (0, 3)]
    return np.concatenate([high, np.stack(rest, axis=1)], axis=1) * 2.0**-24


def homographies(before: Maps, after: Maps) -> Maps:
    """The maps that take four points [B, 4, 2] to four others [4, 2]: eight linear equations each."""
    x, y = before[..., 0], before[..., 1]
    u, v = np.broadcast_to(after[:, 0], x.shape), np.broadcast_to(after[:, 1], x.shape)
    one, zero = np.ones_like(x), np.zeros_like(x)
    first = np.stack([x, y, one, zero, zero, zero, -u * x, -u * y], axis=-1)
    second = np.stack([zero, zero, zero, x, y, one, -v * x, -v * y], axis=-1)
    right = np.concatenate([u, v], axis=1)
    found = np.linalg.solve(np.concatenate([first, second], axis=1), right[..., None])[..., 0]
    return np.concatenate([found, np.ones((len(found), 1))], axis=1).reshape(-1, 3, 3)
