"""From stored pixels to the numbers a network sees: `raw`, `scale` and `standardize`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from netdsl.arrays import np
from netdsl.data.dataset import Split
from netdsl.data.errors import data_error
from netdsl.ir.types import FLOAT_MAX, FLOAT_MIN

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Normalization:
    """Fixed numbers: x -> (x / peak - mean) / std in float32, mean and std per channel (or one for all).

    The operations and their order are those of torchvision's ToTensor and Normalize.
    """

    peak: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Normalise [n, ..., C] of any numeric type to a new float32 array of the same shape."""
        _check_channels(self.mean, images.shape[-1])
        result = images.astype(np.float32)
        if self.peak != 1.0:
            result /= np.float32(self.peak)
        if self.mean:
            # Rows as long as a sample: NumPy is ten times slower when the innermost axis is the channels.
            rows = result.reshape(len(result), -1)
            rows -= _row(self.mean, rows.shape[1])
            rows /= _row(self.std, rows.shape[1])
        return result

    def to_json(self) -> dict[str, Any]:
        """Plain values for a checkpoint; `from_json` reads them back exactly."""
        return {"peak": self.peak, "mean": list(self.mean), "std": list(self.std)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Normalization:
        """Read what `to_json` wrote. Errors: NetError when the values are not of that form."""
        try:
            mean, std = _numbers(values["mean"], "mean"), _numbers(values["std"], "std")
            peak = float(values["peak"])
        except (KeyError, TypeError, ValueError) as error:
            raise data_error(
                f"a normalization has a number `peak` and lists `mean` and `std`: {error!r}"
            ) from error
        _check(peak, mean, std)
        return Normalization(peak, mean, std)


class Normalizer(Protocol):
    """A value of the setting `normalize`."""

    def fit(self, train: Split) -> Normalization:
        """The numbers for this training set."""


@dataclass(frozen=True)
class Raw:
    """`raw`: the stored values, only converted to float32."""

    def fit(self, train: Split) -> Normalization:
        """Nothing to find out."""
        return Normalization()


@dataclass(frozen=True)
class Scale:
    """`scale`, the default: divide by the full intensity (255 for bytes, 16 for digits), giving [0, 1].

    `scale(max)` divides by `max` instead. Floats count as scaled already.
    """

    max: float | None = None

    def __post_init__(self) -> None:
        if self.max is not None and not (_is_number(self.max) and self.max > 0):
            raise data_error(f"scale(max) needs a positive number, not {self.max!r}")

    def fit(self, train: Split) -> Normalization:
        """Take the peak of the training set."""
        return Normalization(float(train.peak if self.max is None else self.max))


@dataclass(frozen=True)
class Standardize:
    """`standardize`: scale to [0, 1], subtract the mean and divide by the standard deviation, per channel.

    Both are computed over the training set, after the validation share is taken off, unless given:
    `standardize(mean = [0.1307], std = [0.3081])`, on the scale [0, 1]. The deviation is the population's
    (divided by n); where it is 0 it is taken as 1, as scikit-learn's StandardScaler does.
    """

    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.std is None):
            raise data_error("standardize takes both mean and std, or none of them")
        if self.mean is not None and self.std is not None:
            _check(1.0, _numbers(self.mean, "mean"), _numbers(self.std, "std"))

    def fit(self, train: Split) -> Normalization:
        """Take the given numbers, or compute them from the training set."""
        if self.mean is not None and self.std is not None:
            return Normalization(train.peak, _numbers(self.mean, "mean"), _numbers(self.std, "std"))
        mean, std = channel_statistics(train.images)
        std[std == 0] = train.peak
        return Normalization(
            train.peak, tuple((mean / train.peak).tolist()), tuple((std / train.peak).tolist())
        )


def check_channels(normalizer: Normalizer, channels: int) -> None:
    """Check that numbers which are given are for data of so many channels. Errors: NetError."""
    if isinstance(normalizer, Standardize) and normalizer.mean is not None:
        _check_channels(_numbers(normalizer.mean, "mean"), channels)


def _check_channels(mean: tuple[float, ...], channels: int) -> None:
    if mean and len(mean) not in (1, channels):
        raise data_error(f"mean and std are for {len(mean)} channels, the data has {channels}")


def channel_statistics(images: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and population standard deviation of each channel of [n, ..., C], in float64 by chunks."""
    # Summed over samples first and over pixels at the end: the long axis innermost is what NumPy is fast at.
    channels, count = images.shape[-1], images.size // images.shape[-1]
    rows = images.reshape(len(images), -1)
    chunks = [rows[start : start + 256] for start in range(0, len(rows), 256)]
    sums = sum(chunk.sum(axis=0, dtype=np.float64) for chunk in chunks)
    mean = np.asarray(sums).reshape(-1, channels).sum(axis=0) / count
    centre = np.tile(mean, rows.shape[1] // channels)
    squares = sum(np.square(chunk - centre).sum(axis=0) for chunk in chunks)
    return mean, np.sqrt(np.asarray(squares).reshape(-1, channels).sum(axis=0) / count)


@lru_cache(maxsize=64)
def _row(channels: tuple[float, ...], size: int) -> NDArray[np.float32]:
    return np.tile(np.array(channels, np.float32), size // len(channels))


def _is_number(value: object) -> bool:
    """Whether it is a number that a tensor can hold, and not one that would be 0 or infinite there."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return value == 0 or FLOAT_MIN <= abs(value) <= FLOAT_MAX


def _numbers(values: float | Sequence[float], what: str) -> tuple[float, ...]:
    listed = [values] if isinstance(values, int | float) else values
    if not isinstance(listed, list | tuple) or not all(_is_number(value) for value in listed):
        raise data_error(f"{what} must be a number or a list of numbers, not {values!r}")
    return tuple(float(value) for value in listed)


def _check(peak: float, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    if len(mean) != len(std):
        raise data_error(f"mean has {len(mean)} numbers and std {len(std)}; they must agree")
    if not 0 < peak < math.inf or not all(value > 0 for value in std):
        raise data_error("peak and std must be positive")
