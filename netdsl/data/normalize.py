"""Normalisation, from stored pixels to the input of a network: `raw`, `scale` and `standardize`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from netdsl.arrays import np
from netdsl.data.column import Column
from netdsl.data.counter import Purpose, random_order
from netdsl.data.errors import data_error
from netdsl.data.parallel import default_workers, ordered
from netdsl.data.pixels import Pixels, doubt, white_for
from netdsl.data.step import PreprocessingStep
from netdsl.elaborate.values import shown
from netdsl.ir.types import FLOAT_MAX, FLOAT_MIN
from netdsl.records import Finite
from netdsl.source import Diagnostic, brief, counted, warn

if TYPE_CHECKING:
    from numpy.typing import NDArray

FITTED_ON = 4096
"""Samples of a set that is not in memory which tell the mean and the deviation."""


@dataclass(frozen=True)
class Normalization:
    """Fixed numbers: x -> (x / peak - mean) / std in float32, mean and std per channel (or one for all).

    The operations and their order are those of torchvision's ToTensor and Normalize.  `pixels` is what the numbers
    of the training set were; None where nothing is known of them.
    """

    peak: Finite = 1.0
    mean: tuple[Finite, ...] = ()
    std: tuple[Finite, ...] = ()
    pixels: Pixels | None = None

    def of(self, given: Pixels, name: str) -> Normalization:
        """The normalisation for data `name`, which need not be in the units of the training set; see `white_for`.

        Warns where it is not, or seems not to be.
        """
        trained = self.pixels
        if trained is None or given == trained:
            return self
        white = white_for(given, trained)
        if white is None or trained.white is None:
            if given.whole != trained.whole or _sign_differs(given, trained):
                _warn_units(given, trained, name, "its numbers are taken as they are")
            return self
        if white != trained.white and not given.sure:
            _warn_units(given, trained, name, f"{white:g} in it is taken for {trained.white:g} there")
        elif not given.sure and (0 < given.high * 16 < trained.high or _sign_differs(given, trained)):
            _warn_units(given, trained, name, "its numbers are taken in the units of the training set")
        return replace(self, peak=self.peak * white / trained.white)

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

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise data_error(
                f"mean has {counted(len(self.mean), 'number')} and std {len(self.std)}; they must agree"
            )
        if not all(map(_is_number, (self.peak, *self.mean, *self.std))) or min((self.peak, *self.std)) <= 0:
            raise data_error("peak and std must be positive, and all of them numbers that a tensor holds")


class Normalizer(Protocol):
    """A value of the setting `normalize`."""

    def fit(self, train: Column, steps: Sequence[PreprocessingStep] = ()) -> Normalization:
        """The numbers for this array of the training set, whose samples go through the steps first."""


@dataclass(frozen=True)
class Raw:
    """`raw`: the stored values, only converted to float32."""

    def fit(self, train: Column, steps: Sequence[PreprocessingStep] = ()) -> Normalization:
        """Raw values need no statistics."""
        return Normalization(pixels=train.pixels)


@dataclass(frozen=True)
class Scale:
    """`scale`, the default: divide by the full intensity (255 for bytes, 16 for digits), giving [0, 1].

    `scale(max)` divides by `max` instead, whatever the data is. Floats count as scaled already.
    """

    max: float | None = None

    def __post_init__(self) -> None:
        if self.max is not None and not (_is_number(self.max) and self.max > 0):
            raise data_error(f"scale(max) needs a positive number, not {brief(shown(self.max))}")

    def fit(self, train: Column, steps: Sequence[PreprocessingStep] = ()) -> Normalization:
        """Divide by what is full intensity in the training set; warns where that is a guess."""
        if self.max is not None:
            return Normalization(float(self.max), pixels=_told(train.pixels, float(self.max)))
        _warn_doubt(train)
        return Normalization(train.pixels.scale, pixels=train.pixels)


@dataclass(frozen=True)
class Standardize:
    """`standardize`: scale to [0, 1], subtract the mean and divide by the standard deviation, per channel.

    Both are computed over the training set, after the validation share is taken off, unless given (of a set that is
    not in memory over 4,096 samples, drawn at random):
    `standardize(mean = [0.1307], std = [0.3081])`, on the scale [0, 1]. The deviation is the population's
    (divided by n); where it is 0 it is taken as 1, as scikit-learn's StandardScaler does.
    """

    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.std is None):
            raise data_error("standardize takes both mean and std, or none of them")
        if self.mean is not None and self.std is not None:
            Normalization(1.0, _numbers(self.mean, "mean"), _numbers(self.std, "std"))

    def fit(self, train: Column, steps: Sequence[PreprocessingStep] = ()) -> Normalization:
        """Take the given numbers, or compute them from the training set."""
        peak = train.pixels.scale
        if self.mean is not None and self.std is not None:
            _warn_doubt(train)
            mean, std = _numbers(self.mean, "mean"), _numbers(self.std, "std")
            return Normalization(peak, mean, std, train.pixels)
        found, deviation = channel_statistics(train, steps)
        # What float32 does not hold in full is 0: dividing by it makes noise of nothing.
        deviation[deviation < FLOAT_MIN * peak] = peak
        found[np.abs(found) < FLOAT_MIN * peak] = 0
        mean, std = tuple((found / peak).tolist()), tuple((deviation / peak).tolist())
        return Normalization(peak, mean, std, train.pixels)


def check_channels(normalizer: Normalizer, channels: int) -> None:
    """Check that numbers which are given are for data of so many channels. Errors: NetError."""
    if isinstance(normalizer, Standardize) and normalizer.mean is not None:
        _check_channels(_numbers(normalizer.mean, "mean"), channels)


def _check_channels(mean: tuple[float, ...], channels: int) -> None:
    if mean and len(mean) not in (1, channels):
        raise data_error(f"mean and std are for {counted(len(mean), 'channel')}, the data has {channels}")


def channel_statistics(
    train: Column, steps: Sequence[PreprocessingStep] = ()
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and population standard deviation of each channel of [n, ..., C] after steps, in float64.

    Of a set that is not in memory up to `FITTED_ON` samples are read, drawn at random.  One pass by chunks, whose
    means and sums of squares are put together as in Chan, Golub and LeVeque 1983.
    """
    count, mean, squares = 0, np.zeros(1), np.zeros(1)
    for chunk in ordered(lambda part: train.read(part, steps), _fitted_on(train), _workers(train)):
        # Sum over samples first and pixels last: NumPy is fast when the innermost axis is long.
        rows = chunk.reshape(len(chunk), -1)
        channels, new = chunk.shape[-1], math.prod(chunk.shape[:-1])
        own = rows.sum(axis=0, dtype=np.float64).reshape(-1, channels).sum(axis=0) / new
        centre = np.tile(own, rows.shape[1] // channels)
        spread = np.square(rows - centre).sum(axis=0).reshape(-1, channels).sum(axis=0)
        step, count = own - mean, count + new
        squares = squares + spread + np.square(step) * (new * (count - new) / count)
        mean = mean + step * (new / count)
    return mean, np.sqrt(squares / count)


def _fitted_on(train: Column) -> Iterator[NDArray[np.int64]]:
    """The samples that the statistics are of, in chunks: all in memory, else as many as may be read."""
    count = len(train)
    drawn = np.arange(count)
    if not train.in_memory and count > FITTED_ON:
        drawn = np.sort(random_order(0, Purpose.FIT, 0, count)[:FITTED_ON])
    size = 256 if train.in_memory else 32
    return (drawn[start : start + size] for start in range(0, len(drawn), size))


def _workers(train: Column) -> int:
    return 0 if train.in_memory else default_workers()


def _told(pixels: Pixels, most: float) -> Pixels:
    """The pixels of a training set whose numbers are said to go up to `most`, which tells white where it is a guess.

    Elsewhere white is known: bytes of 0 to 239 that are divided by 100 are bytes still, as are those of pictures.
    """
    possible = most >= pixels.high and (pixels.dtype != "uint8" or most <= 255)
    return replace(pixels, white=most, sure=True) if possible and pixels.guessed else pixels


def _sign_differs(given: Pixels, trained: Pixels) -> bool:
    """Whether only one of the two has numbers far below 0; interpolation may go a little below 0."""

    def signed(pixels: Pixels) -> bool:
        return -pixels.low * 16 > max(abs(pixels.low), abs(pixels.high))

    return (signed(given) and trained.low >= 0) or (signed(trained) and given.low >= 0)


def _warn_doubt(train: Column) -> None:
    assumed = doubt(train.pixels, len(train.shape))
    if assumed is not None:
        warn(Diagnostic("data", assumed[0], fix=assumed[1]))


def _warn_units(given: Pixels, trained: Pixels, name: str, assumed: str) -> None:
    message = f"{name} is {given}, the training set {trained}: {assumed}"
    warn(Diagnostic("data", message, fix="keep all data in one type and range"))


@lru_cache(maxsize=64)
def _row(channels: tuple[float, ...], size: int) -> NDArray[np.float32]:
    return np.tile(np.array(channels, np.float32), size // len(channels))


def _is_number(value: object) -> bool:
    """Whether it is a number that float32 can hold without becoming 0 or infinite."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return value == 0 or FLOAT_MIN <= abs(value) <= FLOAT_MAX


def _numbers(values: float | Sequence[float], what: str) -> tuple[float, ...]:
    listed = [values] if isinstance(values, int | float) else values
    if not isinstance(listed, list | tuple) or not all(_is_number(value) for value in listed):
        raise data_error(f"{what} must be a number or a list of numbers, not {brief(shown(values))}")
    return tuple(float(value) for value in listed)
