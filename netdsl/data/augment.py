"""Random changes of training images: `shift` and `flip`.

They work on stored pixels, before normalisation. What is drawn for a sample depends on (seed, place in the
list, epoch, index of the sample in the training set) and on nothing else.

The kind of the labels decides how they change: classes stay as they are, maps of the size of the image move with it.
All other labels, such as boxes and points, are refused, unless the setting `keep_labels` says that they stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.data.outline import ArrayOutline
from netdsl.elaborate.values import shown
from netdsl.source import NetError, brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bits = tuple[NDArray[np.uint32], NDArray[np.uint32]]

MAX_SHIFT = 1024


class Augmentation(Protocol):
    """A value in the list of the setting `augment`."""

    @property
    def keep_labels(self) -> bool:
        """Whether labels stay as they are, whatever their kind."""

    def __call__(self, images: NDArray[Any], bits: Bits) -> NDArray[Any]:
        """A changed copy of images [B, H, W, C], drawn with two random words per image, each of shape [B]."""


@dataclass(frozen=True)
class Shift:
    """`shift(pixels)`: move by -pixels..pixels in both directions, each uniformly; what comes in is zero."""

    pixels: int
    keep_labels: bool = False

    def __post_init__(self) -> None:
        _check_flag(self.keep_labels)
        if (
            not isinstance(self.pixels, int)
            or isinstance(self.pixels, bool)
            or not 0 <= self.pixels <= MAX_SHIFT
        ):
            given = brief(shown(self.pixels))
            raise data_error(f"shift(pixels) needs a whole number from 0 to {MAX_SHIFT}, not {given}")

    def __call__(self, images: NDArray[Any], bits: Bits) -> NDArray[Any]:
        """Move each image by its own offsets."""
        batch, height, width, channels = _image_shape(images, "shift")
        margin, steps = self.pixels, 2 * self.pixels + 1
        padded = np.zeros((batch, height + 2 * margin, width + 2 * margin, channels), images.dtype)
        padded[:, margin : margin + height, margin : margin + width] = images
        # Every window of every image as a view [B, steps, steps, H, W*C]; one is copied per image.
        n, y, x, c = padded.strides
        windows = np.lib.stride_tricks.as_strided(
            padded, (batch, steps, steps, height, width * channels), (n, y, x, y, c), writeable=False
        )
        down, right = ((word.astype(np.uint64) * np.uint64(steps)) >> np.uint64(32) for word in bits)
        chosen = windows[np.arange(batch), down.astype(np.int64), right.astype(np.int64)]
        return chosen.reshape(images.shape)


@dataclass(frozen=True)
class Flip:
    """`flip`: mirror left and right with probability `p`, a half by default."""

    p: float = 0.5
    keep_labels: bool = False

    def __post_init__(self) -> None:
        _check_flag(self.keep_labels)
        if not isinstance(self.p, int | float) or isinstance(self.p, bool) or not 0 <= self.p <= 1:
            raise data_error(f"flip(p) needs a probability from 0 to 1, not {brief(shown(self.p))}")

    def __call__(self, images: NDArray[Any], bits: Bits) -> NDArray[Any]:
        """Mirror those images whose first word is below p * 2**32."""
        _image_shape(images, "flip")
        chosen = bits[0].astype(np.uint64) < round(self.p * 2**32)
        result = images.copy()
        result[chosen] = images[chosen, :, ::-1]
        return result


def augmented(
    change: Augmentation, inputs: Mapping[str, NDArray[Any]], labels: Mapping[str, NDArray[Any]], bits: Bits
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Inputs and labels by name: all pictures [B, H, W, C] changed alike, and maps [B, H, W] or [B, H, W, K] of their
    size with them; other inputs, and labels [B] and [B, K], stay.

    Errors: NetError for inputs without a picture, and labels that have places of another kind, such as maps of
    another size.
    """
    pictures = [x for x in inputs.values() if x.ndim == 4]
    if not pictures:
        raise _not_images(_name(change), next(iter(inputs.values())).shape[1:])
    moved = {name: change(x, bits) if x.ndim == 4 else x for name, x in inputs.items()}
    return moved, {name: _moved(change, x, pictures, bits) for name, x in labels.items()}


def _moved(
    change: Augmentation, labels: NDArray[Any], pictures: Sequence[NDArray[Any]], bits: Bits
) -> NDArray[Any]:
    """What becomes of labels when the pictures are changed."""
    if labels.ndim < 3 or change.keep_labels:
        return labels
    if not any(_is_map(labels.shape[1:], x.shape[1:]) for x in pictures):
        images = list(pictures[0].shape[1:])
        message = f"augment moves images {images}, but not labels {list(labels.shape[1:])}"
        raise data_error(message, fix="labels of the size of the image move with it")
    return change(labels.reshape(*labels.shape[:3], -1), bits).reshape(labels.shape)


def check_augment(
    changes: Sequence[Augmentation], samples: Mapping[str, tuple[int, ...]], labels: Sequence[ArrayOutline]
) -> None:
    """Check that inputs, by the shapes of their samples, can be changed, and that what becomes of labels is known.

    Errors: NetError. What the outlines do not tell passes.
    """
    pictures = [shape for shape in samples.values() if len(shape) == 3]
    known = [_stays(label) or any(_is_map(label.label, shape) for shape in pictures) for label in labels]
    for change in changes:
        if not pictures:
            raise _not_images(_name(change), next(iter(samples.values())))
        for label, right in zip(labels, known, strict=True):
            if not right and not change.keep_labels:
                raise _unknown(_name(change), label.label)


def _stays(label: ArrayOutline) -> bool:
    """Whether moving an image leaves its label right: a class, in whatever form, or what may be one."""
    if label.integers and not label.label:
        return True
    return len(label.label) < 2 and _are_classes(label) is not False


def _are_classes(outline: ArrayOutline) -> bool | None:
    """Whether labels say which classes a sample is of, as a row of shares or of zeros and ones; None: unknown."""
    known = outline.indicators, outline.distribution
    return True if True in known else None if None in known else False


def _is_map(label: tuple[int, ...], sample: tuple[int, ...]) -> bool:
    return 2 <= len(label) <= 3 and label[:2] == sample[:2]


def _unknown(name: str, label: tuple[int, ...]) -> NetError:
    what = f"labels of shape {list(label)}" if label else "labels that are numbers"
    return data_error(
        f"{name} moves the images, but what that does to {what} is not known",
        "classes stay, and maps of the size of the image move with it; boxes and points would be wrong",
        fix=f"{name}(keep_labels = true) where moving the image does not change its labels",
    )


def _name(change: Augmentation) -> str:
    return type(change).__name__.lower()


def _check_flag(value: object) -> None:
    if not isinstance(value, bool):
        raise data_error(f"keep_labels must be true or false, not {brief(shown(value))}")


def _not_images(name: str, sample: tuple[int, ...]) -> NetError:
    return data_error(f"{name} needs images of shape [H, W, C], not {list(sample)}")


def _image_shape(images: NDArray[Any], name: str) -> tuple[int, int, int, int]:
    if images.ndim != 4:
        raise _not_images(name, images.shape[1:])
    batch, height, width, channels = images.shape
    return batch, height, width, channels
