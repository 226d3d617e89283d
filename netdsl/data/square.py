"""`pad_to_square` and `grey`: steps of preprocessing that compute nothing between pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.data.step import PreprocessingStep

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: ITU-R BT.601-7 in 16 binary places, as Pillow has it
_WEIGHTS = (19595, 38470, 7471)


@dataclass(frozen=True)
class PadToSquare(PreprocessingStep):
    """`pad_to_square`: black at both sides of the shorter axis, as much; of an odd number the last gets one more."""

    name: ClassVar[str] = "pad_to_square"
    moves: ClassVar[bool] = True

    def shape(self, sample: tuple[int, ...]) -> tuple[int, ...]:
        """The longer side twice. Errors: NetError for samples that are no pictures."""
        _check(sample, self.name, (2, 3))
        side = max(sample[:2])
        return (side, side, *sample[2:])

    def __call__(self, images: NDArray[Any]) -> NDArray[Any]:
        """Pad [n, H, W] or [n, H, W, C]."""
        return self.moved(images, 0)

    def moved(self, images: NDArray[Any], fill: int) -> NDArray[Any]:
        """Pictures or masks with a border that makes them square."""
        side = max(images.shape[1:3])
        missing = [side - size for size in images.shape[1:3]]
        border = [(0, 0), *((m // 2, m - m // 2) for m in missing), *((0, 0),) * (images.ndim - 3)]
        return np.pad(images, border, constant_values=fill)


@dataclass(frozen=True)
class Grey(PreprocessingStep):
    """`grey`: one channel of three, 0.299 red + 0.587 green + 0.114 blue: Pillow's, to the bit for bytes."""

    name: ClassVar[str] = "grey"

    def shape(self, sample: tuple[int, ...]) -> tuple[int, ...]:
        """[H, W, 1]. Errors: NetError for samples that are neither colours nor grey."""
        _check(sample, self.name, (3,))
        if sample[2] not in (1, 3):
            raise data_error(f"grey needs pictures of 3 channels, or 1, not {sample[2]}")
        return (*sample[:2], 1)

    def __call__(self, images: NDArray[Any]) -> NDArray[Any]:
        """Mix [n, H, W, 3]; [n, H, W, 1] stay."""
        self.shape(images.shape[1:])
        if images.shape[3] == 1:
            return images
        if images.dtype == np.uint8:
            total = images.astype(np.uint32) @ np.array(_WEIGHTS, np.uint32)
            return np.asarray((total + 0x8000) >> 16, np.uint8)[..., None]
        return np.asarray(images @ np.array([0.299, 0.587, 0.114]), images.dtype)[..., None]


def _check(sample: tuple[int, ...], name: str, ranks: tuple[int, ...]) -> None:
    if len(sample) not in ranks:
        wanted = "[H, W, C]" if ranks == (3,) else "[H, W, C] or [H, W]"
        raise data_error(f"{name} needs pictures of shape {wanted}, not {list(sample)}")
