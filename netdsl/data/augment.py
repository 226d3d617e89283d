"""Random changes of training images: `shift` and `flip`.

They work on stored pixels, before normalisation. What is drawn for a sample depends on (seed, place in the
list, epoch, index of the sample in the training set) and on nothing else.  Labels that are maps of the size of
the image move with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from netdsl.arrays import np
from netdsl.data.errors import data_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bits = tuple[NDArray[np.uint32], NDArray[np.uint32]]

MAX_SHIFT = 1024


class Augmentation(Protocol):
    """A value in the list of the setting `augment`."""

    def __call__(self, images: NDArray[Any], bits: Bits) -> NDArray[Any]:
        """A changed copy of images [B, H, W, C], drawn with two random words per image, each of shape [B]."""


@dataclass(frozen=True)
class Shift:
    """`shift(pixels)`: move by -pixels..pixels in both directions, each uniformly; what comes in is zero."""

    pixels: int

    def __post_init__(self) -> None:
        if (
            not isinstance(self.pixels, int)
            or isinstance(self.pixels, bool)
            or not 0 <= self.pixels <= MAX_SHIFT
        ):
            raise data_error(f"shift(pixels) needs a whole number from 0 to {MAX_SHIFT}, not {self.pixels!r}")

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

    def __post_init__(self) -> None:
        if not isinstance(self.p, int | float) or isinstance(self.p, bool) or not 0 <= self.p <= 1:
            raise data_error(f"flip(p) needs a probability from 0 to 1, not {self.p!r}")

    def __call__(self, images: NDArray[Any], bits: Bits) -> NDArray[Any]:
        """Mirror those images whose first word is below p * 2**32."""
        _image_shape(images, "flip")
        chosen = bits[0].astype(np.uint64) < round(self.p * 2**32)
        result = images.copy()
        result[chosen] = images[chosen, :, ::-1]
        return result


def augmented(
    change: Augmentation, images: NDArray[Any], labels: NDArray[Any], bits: Bits
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Images [B, H, W, C] changed, and labels [B, H, W] or [B, H, W, K] with them; others [B] and [B, K] stay.

    Errors: NetError for labels that have places of another kind, such as maps of another size.
    """
    moved = change(images, bits)
    if labels.ndim < 3:
        return moved, labels
    if labels.ndim > 4 or labels.shape[1:3] != images.shape[1:3]:
        message = f"augment moves images {list(images.shape[1:])}, but not labels {list(labels.shape[1:])}"
        raise data_error(message, fix="labels of the size of the image move with it")
    return moved, change(labels.reshape(*labels.shape[:3], -1), bits).reshape(labels.shape)


def _image_shape(images: NDArray[Any], name: str) -> tuple[int, int, int, int]:
    if images.ndim != 4:
        raise data_error(f"{name} needs images of shape [H, W, C], not {list(images.shape[1:])}")
    batch, height, width, channels = images.shape
    return batch, height, width, channels
