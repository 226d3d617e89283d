"""`resize` and `center_crop`: steps of preprocessing that make pictures of one size.

Results are torchvision's on pictures that Pillow opened, to the bit for bytes (Pillow 13 may take rows before
columns, which rounds elsewhere).
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.data.step import INTERPOLATIONS, PreprocessingStep
from netdsl.elaborate.values import shown
from netdsl.source import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SIDE = 16384
#: Pillow resizes bytes with weights of 22 binary places
_PLACES = 2.0**22


@dataclass(frozen=True)
class Resize(PreprocessingStep):
    """`resize(256)`: the shorter side becomes 256, the longer keeps its proportion; `resize(224, 320)`: both given.

    interpolation: nearest, bilinear or bicubic.  antialias: pixels of a smaller picture are means over as many of the
    larger one as they cover (Pillow's way, torchvision's default); without, they are taken at points.
    """

    name: ClassVar[str] = "resize"
    moves: ClassVar[bool] = True
    height: int
    width: int | None = None
    interpolation: str = "bilinear"
    antialias: bool = True

    def __post_init__(self) -> None:
        _check_side(self.height, "resize")
        if self.width is not None:
            _check_side(self.width, "resize")
        if self.interpolation not in INTERPOLATIONS:
            raise data_error(
                f"interpolation is one of {', '.join(INTERPOLATIONS)}, not {brief(shown(self.interpolation))}"
            )
        if not isinstance(self.antialias, bool):
            raise data_error(f"antialias is true or false, not {brief(shown(self.antialias))}")

    def shape(self, sample: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that a sample [H, W] or [H, W, C] gets. Errors: NetError for other samples."""
        height, width = _sides(sample, self.name)
        if self.width is not None:
            return (self.height, self.width, *sample[2:])
        short, long = sorted((height, width))
        other = max(1, int(self.height * long / short))
        if other > MAX_SIDE:
            raise data_error(
                f"resize({self.height}) makes a picture of {height} x {width} {other} wide or high"
            )
        return (self.height, other, *sample[2:]) if height <= width else (other, self.height, *sample[2:])

    def __call__(self, images: NDArray[Any]) -> NDArray[Any]:
        """Resize [n, H, W] or [n, H, W, C], width first."""
        height, width, *_ = self.shape(images.shape[1:])
        if self.antialias and self.interpolation != "nearest" and _pillow_resizes(images):
            return _by_pillow(images, height, width, self.interpolation)
        for axis, size in ((2, width), (1, height)):
            if images.shape[axis] != size:
                images = self._along(images, axis, size)
        return images

    def moved(self, masks: NDArray[Any], fill: int) -> NDArray[Any]:
        """The nearest pixels, since there is nothing between two classes."""
        return replace(self, interpolation="nearest")(masks)

    def _along(self, images: NDArray[Any], axis: int, size: int) -> NDArray[Any]:
        if self.interpolation == "nearest":
            return np.take(images, _nearest(images.shape[axis], size), axis)
        index, weight = taps(images.shape[axis], size, self.interpolation, self.antialias)
        byte = images.dtype == np.uint8
        if byte:
            weight = np.trunc(weight * _PLACES + np.copysign(0.5, weight))
        rows = images.shape[:axis], images.shape[axis + 1 :]
        total = np.zeros((*rows[0], size, *rows[1]), np.float64)
        along = (size, *(1,) * len(rows[1]))
        for k in range(index.shape[1]):
            total += np.take(images, index[:, k], axis) * weight[:, k].reshape(along)
        if byte:
            total = np.floor((total + _PLACES / 2) / _PLACES).clip(0, 255)
        return total.astype(images.dtype)


@dataclass(frozen=True)
class CenterCrop(PreprocessingStep):
    """`center_crop(224)`, `center_crop(224, 320)`: the middle; a smaller picture gets a border of zeros."""

    name: ClassVar[str] = "center_crop"
    moves: ClassVar[bool] = True
    height: int
    width: int | None = None

    def __post_init__(self) -> None:
        _check_side(self.height, "center_crop")
        if self.width is not None:
            _check_side(self.width, "center_crop")

    def shape(self, sample: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that a sample [H, W] or [H, W, C] gets. Errors: NetError for other samples."""
        _sides(sample, self.name)
        return (self.height, self.height if self.width is None else self.width, *sample[2:])

    def __call__(self, images: NDArray[Any]) -> NDArray[Any]:
        """Cut [n, H, W] or [n, H, W, C]."""
        return self.moved(images, 0)

    def moved(self, images: NDArray[Any], fill: int) -> NDArray[Any]:
        """Cut pictures or masks; fill: what the border of a smaller one gets."""
        for axis, size in zip((1, 2), self.shape(images.shape[1:]), strict=False):
            missing = size - images.shape[axis]
            if missing > 0:
                border = [(0, 0)] * images.ndim
                border[axis] = (missing // 2, (missing + 1) // 2)
                images = np.pad(images, border, constant_values=fill)
            start = round((images.shape[axis] - size) / 2)
            images = images[:, start : start + size] if axis == 1 else images[:, :, start : start + size]
        return np.ascontiguousarray(images)


@lru_cache(maxsize=1)
def _has_pillow() -> bool:
    return importlib.util.find_spec("PIL") is not None


def _pillow_resizes(images: NDArray[Any]) -> bool:
    """Whether Pillow computes the same bits, ten times as fast: of bytes, in grey or colours."""
    return images.dtype == np.uint8 and images.ndim == 4 and images.shape[3] in (1, 3) and _has_pillow()


def _by_pillow(images: NDArray[Any], height: int, width: int, interpolation: str) -> NDArray[Any]:
    """Pictures [n, H, W, C] resized, width first, whatever the order in which this Pillow would do it."""
    if images.shape[1:3] == (height, width):
        return images
    from PIL import Image

    channels = images.shape[3]
    result = np.empty((len(images), height, width, channels), np.uint8)
    method = Image.Resampling[interpolation.upper()]
    for image, row in zip(images, result, strict=True):
        picture = Image.fromarray(image[..., 0] if channels == 1 else image)
        for sides in ((width, picture.height), (width, height)):
            picture = picture.resize(sides, method)
        row[...] = np.asarray(picture).reshape(row.shape)
    return result


@lru_cache(maxsize=64)
def taps(
    old: int, new: int, interpolation: str, antialias: bool
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which of `old` pixels each of `new` is a sum of, [new, k], and their weights, [new, k].

    With antialias as Pillow's Resample.c: the filter is as wide as a new pixel, cut off at the border and its weights
    scaled to 1.  Without, as PyTorch's interpolate: the border is repeated, and the cubic has a = -0.75, not -0.5.
    """
    ratio = old / new
    centre = (np.arange(new) + 0.5) * ratio
    wide = max(ratio, 1.0) if antialias else 1.0
    reach = (1.0 if interpolation == "bilinear" else 2.0) * wide
    first = np.floor(centre - reach + 0.5).astype(np.int64)
    count = math.ceil(2 * reach) + 1
    index = first[:, None] + np.arange(count)
    last = np.floor(centre + reach + 0.5).astype(np.int64)
    distance = (index + 0.5 - centre[:, None]) / wide
    weight = (
        _tent(distance) if interpolation == "bilinear" else _cubic(distance, -0.5 if antialias else -0.75)
    )
    if antialias:
        weight[(index < 0) | (index >= np.minimum(last, old)[:, None])] = 0
    weight /= weight.sum(axis=1, keepdims=True)
    return index.clip(0, old - 1), weight


def _nearest(old: int, new: int) -> NDArray[np.int64]:
    # Added step by step as Pillow does: the rounding decides which pixel a point between two belongs to.
    centre = np.add.accumulate(np.array([old / new * 0.5, *[old / new] * (new - 1)]))
    return np.minimum(np.floor(centre).astype(np.int64), old - 1)


def _tent(x: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.maximum(1 - np.abs(x), 0)
    return result


def _cubic(x: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    """Keys 1981."""
    x = np.abs(x)
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, (((x - 5) * x + 8) * x - 4) * a
    result: NDArray[np.float64] = np.where(x < 1, near, np.where(x < 2, far, 0))
    return result


def _sides(sample: tuple[int, ...], name: str) -> tuple[int, int]:
    if len(sample) not in (2, 3):
        raise data_error(f"{name} needs pictures of shape [H, W, C] or [H, W], not {list(sample)}")
    return sample[0], sample[1]


def _check_side(value: object, name: str) -> None:
    if type(value) is not int or not 1 <= value <= MAX_SIDE:
        raise data_error(f"{name} needs whole numbers from 1 to {MAX_SIDE}, not {brief(shown(value))}")
