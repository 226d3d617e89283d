"""Preprocessing of samples, before augmentation and normalisation: the list, `resize` and `center_crop`.

They work on stored pixels [n, H, W] or [n, H, W, C] and keep their type.  Settings and results are torchvision's on
pictures that Pillow opened, to the bit for bytes (Pillow 13 may take rows before columns, which rounds elsewhere).
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.data.mel import MelSpectrogram
from netdsl.data.pixels import Pixels
from netdsl.data.square import Grey, PadToSquare, padded
from netdsl.data.step import Named
from netdsl.elaborate.values import shown
from netdsl.source import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SIDE = 16384
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
#: Pillow resizes bytes with weights of 22 binary places
_PLACES = 2.0**22


@dataclass(frozen=True)
class Resize(Named):
    """`resize(256)`: the shorter side becomes 256, the longer keeps its proportion; `resize(224, 320)`: both given.

    interpolation: nearest, bilinear or bicubic.  antialias: pixels of a smaller picture are means over as many of the
    larger one as they cover (Pillow's way, torchvision's default); without, they are taken at points.
    """

    name: ClassVar[str] = "resize"
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
        for axis, size in ((2, width), (1, height)):
            if images.shape[axis] != size:
                images = self._along(images, axis, size)
        return images

    def _along(self, images: NDArray[Any], axis: int, size: int) -> NDArray[Any]:
        if self.interpolation == "nearest":
            return np.take(images, _nearest(images.shape[axis], size), axis)
        if self.antialias and _pillow_resizes(images):
            return _by_pillow(images, axis, size, self.interpolation)
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
class CenterCrop(Named):
    """`center_crop(224)`, `center_crop(224, 320)`: the middle; a smaller picture gets a border of zeros."""

    name: ClassVar[str] = "center_crop"
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
        return self.cut(images, 0)

    def cut(self, images: NDArray[Any], fill: int) -> NDArray[Any]:
        """Cut pictures or masks; fill: what the border of a smaller one gets."""
        for axis, size in zip((1, 2), self.shape(images.shape[1:]), strict=False):
            missing = size - images.shape[axis]
            if missing > 0:
                border = [(0, 0)] * images.ndim
                border[axis] = (missing // 2, (missing + 1) // 2)
                images = np.pad(images, border, constant_values=fill)
            start = round((images.shape[axis] - size) / 2)
            images = np.take(images, range(start, start + size), axis)
        return images


Step = Resize | CenterCrop | PadToSquare | Grey | MelSpectrogram
STEPS: Mapping[str, type[Step]] = {
    kind.name: kind for kind in (Resize, CenterCrop, PadToSquare, Grey, MelSpectrogram)
}
"""What the list `preprocess` may hold."""


def preprocessed(steps: Sequence[Step], images: NDArray[Any], pixels: Pixels) -> NDArray[Any]:
    """Images [n, ...] after all steps; bytes that do not use their range, such as 0 to 16, as floats."""
    if steps and (pixels.white != 255 or any(isinstance(step, MelSpectrogram) for step in steps)):
        images = images.astype(np.float32)
    for step in steps:
        images = step(images)
    return images


def shape_after(steps: Sequence[Step], sample: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a sample after all steps. Errors: NetError for samples that are no pictures."""
    for step in steps:
        sample = step.shape(sample)
    return sample


def steps_by_input(
    steps: Sequence[Step], samples: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[Step, ...]]:
    """The steps that each input goes through, by the shapes of their samples: those of all that are pictures.

    The only input must be one; of several, those of shape [H, W, C] are. Errors: NetError where there is none.
    """
    pictures = {name for name, shape in samples.items() if len(samples) == 1 or len(shape) == 3}
    if any(isinstance(step, MelSpectrogram) for step in steps):
        pictures = {
            name for name, shape in samples.items() if len(shape) == 1 or shape[1:] == (1,)
        } or pictures
    if steps and not pictures:
        shapes = ", ".join(f"{name} {list(shape)}" for name, shape in samples.items())
        raise data_error(f"preprocess needs a picture of shape [H, W, C], and there is none: {shapes}")
    return {name: tuple(steps) if name in pictures else () for name in samples}


def steps_by_label(
    steps: Mapping[str, Sequence[Step]],
    samples: Mapping[str, tuple[int, ...]],
    labels: Mapping[str, tuple[int, ...]],
) -> dict[str, tuple[Step, ...]]:
    """The steps that each label goes through, by its shape: masks go along with the picture of their size.

    steps: those of each input; samples: its shape before them.  Errors: NetError for other labels that are maps.
    """
    found: dict[str, tuple[Step, ...]] = {}
    for name, label in labels.items():
        owners = [own for each, own in steps.items() if is_mask(label, samples[each])]
        if len(label) > 1 and not owners and any(steps.values()):
            message = "preprocess changes the size of samples, but not of labels that are maps"
            fix = "masks of the size of the picture change with it"
            raise data_error(f"{message}, {list(label)}", fix=fix)
        moving = owners[0] if owners else ()
        found[name] = tuple(step for step in moving if isinstance(step, Resize | CenterCrop | PadToSquare))
    return found


def is_mask(label: tuple[int, ...], sample: tuple[int, ...]) -> bool:
    """Whether a label has something for each pixel of a picture."""
    return 2 <= len(label) <= 3 and len(sample) in (2, 3) and label[:2] == sample[:2]


def preprocessed_labels(steps: Sequence[Step], labels: NDArray[Any], fill: int) -> NDArray[Any]:
    """Masks [n, H, W] or [n, H, W, C] that go along: the nearest pixel's; fill: what borders get."""
    for step in steps:
        if isinstance(step, Resize):
            labels = replace(step, interpolation="nearest")(labels)
        elif isinstance(step, CenterCrop):
            labels = step.cut(labels, fill)
        elif isinstance(step, PadToSquare):
            labels = padded(labels, fill)
    return labels


def steps_to_json(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Plain values; `steps_from_json` reads them back."""
    return [{"step": step.name, **asdict(step)} for step in steps]


def steps_from_json(values: object) -> tuple[Step, ...]:
    """What `steps_to_json` made plain. Errors: ValueError, NetError."""
    if not isinstance(values, list):
        raise ValueError("not a list of steps of preprocessing")
    return tuple(map(_step, values))


def _step(value: Any) -> Step:
    settings = dict(value) if isinstance(value, dict) else {}
    kind = STEPS.get(str(settings.pop("step", None)))
    if kind is None or settings.keys() != {f.name for f in fields(kind)}:
        raise ValueError("not a step of preprocessing")
    return kind(**settings)


@lru_cache(maxsize=1)
def _has_pillow() -> bool:
    return importlib.util.find_spec("PIL") is not None


def _pillow_resizes(images: NDArray[Any]) -> bool:
    """Whether Pillow computes the same bits, ten times as fast: of bytes, in grey or colours."""
    return images.dtype == np.uint8 and images.ndim == 4 and images.shape[3] in (1, 3) and _has_pillow()


def _by_pillow(images: NDArray[Any], axis: int, size: int, interpolation: str) -> NDArray[Any]:
    """Pictures [n, H, W, C] resized along one axis."""
    from PIL import Image

    n, height, width, channels = images.shape
    sides = (width, size) if axis == 1 else (size, height)
    result = np.empty((n, sides[1], sides[0], channels), np.uint8)
    method = Image.Resampling[interpolation.upper()]
    for image, row in zip(images, result, strict=True):
        picture = Image.fromarray(image[..., 0] if channels == 1 else image)
        row[...] = np.asarray(picture.resize(sides, method)).reshape(row.shape)
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
