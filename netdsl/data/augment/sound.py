"""Changes of sounds [T] or [T, 1] with full scale 1, and of their spectra [frames, bands] or [frames, bands, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl.arrays import np
from netdsl.data.augment.change import PAIRS, between, normals
from netdsl.data.augment.geometry import Shift
from netdsl.data.augment.heard import Sound
from netdsl.data.augment.run import in_threads
from netdsl.data.augment.settings import by, check_order, number, whole, wrong
from netdsl.data.augment.spectrum import fitted, resampled, stretched
from netdsl.data.augment.stages import Drawn
from netdsl.scalar.evaluate import threefry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netdsl.data.augment.change import Draws
    from netdsl.data.augment.choose import Leaf
    from netdsl.data.augment.heard import Key

    Array = NDArray[Any]


@dataclass(frozen=True)
class _Range(Sound):
    """A number from low to high."""

    low: float = number(-200, 200)
    high: float = number(-200, 200)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_order(self, self.name)


@dataclass(frozen=True)
class Gain(_Range):
    """`gain(-6, 6)`: louder by -6 to 6 decibels."""

    name: ClassVar[str] = "gain"

    def heard(self, x: Array, draws: Draws, key: Key) -> Array:
        """Times a factor."""
        factor: float = 10 ** (between(draws[0], self.low, self.high) / 20)
        return x * factor


@dataclass(frozen=True)
class Noise(_Range):
    """`noise(10, 40)`: normal noise, 10 to 40 decibels below the sound: torchaudio's add_noise."""

    name: ClassVar[str] = "noise"

    def heard(self, x: Array, draws: Draws, key: Key) -> Array:
        """Plus a normal number for each sample."""
        count = np.arange(PAIRS, PAIRS + len(x), dtype=np.uint32)
        first, second = threefry(int(key[0]), int(key[1]), np.full_like(count, key[2]), count)
        level = np.sqrt(np.mean(np.square(x))) * 10 ** (-between(draws[0], self.low, self.high) / 20)
        noisy: Array = x + level * normals(first * 2.0**-32, second * 2.0**-32)
        return noisy


@dataclass(frozen=True)
class TimeStretch(Sound):
    """`time_stretch(0.8, 1.25)`: faster by 0.8 to 1.25 at the same pitch, cut or with silence at the end.

    The phase vocoder of librosa's time_stretch.
    """

    name: ClassVar[str] = "time_stretch"
    low: float = number(0.1, 10)
    high: float = number(0.1, 10)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_order(self, self.name)

    def heard(self, x: Array, draws: Draws, key: Key) -> Array:
        """Through its spectra."""
        rate = between(draws[0], self.low, self.high)
        return x if rate == 1 else fitted(stretched(x, rate), len(x))


@dataclass(frozen=True)
class PitchShift(Sound):
    """`pitch_shift(2)`: higher or lower by up to 2 semitones in the same time: librosa's pitch_shift."""

    name: ClassVar[str] = "pitch_shift"
    semitones: float = number(0, 36)

    def heard(self, x: Array, draws: Draws, key: Key) -> Array:
        """Stretched, and played faster by as much."""
        rate = 2 ** (-between(draws[0], -self.semitones, self.semitones) / 12)
        if rate == 1:
            return x
        longer = stretched(x, rate)
        return fitted(resampled(longer, max(round(len(longer) * rate), 1)), len(x))


@dataclass(frozen=True)
class _Mask(Sound):
    """A stripe that becomes the mean of the sample (Park et al. 2019)."""

    axis: ClassVar[int]
    spectra: ClassVar[bool] = True
    size: int = whole(0, 1_000_000)

    def check_sides(self, sides: Sequence[int]) -> None:
        """The stripe must fit."""
        if self.size > sides[self.axis]:
            raise wrong("size", self.name, f"must be at most {sides[self.axis]} for {by(sides)}", self.size)

    def heard(self, x: Array, draws: Draws, key: Key) -> Array:
        """From a place on that is drawn, so many as are drawn."""
        length = x.shape[self.axis]
        wide = min(int(draws[0] * (self.size + 1)), length)
        first = int(draws[1] * (length - wide + 1))
        found = x.copy()
        found[(slice(None),) * self.axis + (slice(first, first + wide),)] = x.mean()
        return found


@dataclass(frozen=True)
class TimeMask(_Mask):
    """`time_mask(20)`: up to 20 frames, or samples of a sound, become the mean (SpecAugment, Park et al. 2019)."""

    name: ClassVar[str] = "time_mask"
    axis: ClassVar[int] = 0


@dataclass(frozen=True)
class FrequencyMask(_Mask):
    """`frequency_mask(8)`: up to 8 bands of spectra become the mean (SpecAugment, Park et al. 2019)."""

    name: ClassVar[str] = "frequency_mask"
    axis: ClassVar[int] = 1
    sounds: ClassVar[bool] = False


def shifted(change: Shift, x: Array, draws: Draws) -> Array:
    """A sound moved along its time."""
    step = int(np.floor(draws[0] * (2 * change.pixels + 1))) - change.pixels
    places = np.arange(len(x)) + step
    mode = {"constant": "constant", "edge": "edge", "reflect": "reflect", "wrap": "wrap"}[change.border]
    if mode == "wrap":
        return x[places % len(x)]
    if mode == "reflect" and len(x) > 1:
        folded = np.abs(places) % (2 * len(x) - 2)
        return x[np.where(folded < len(x), folded, 2 * len(x) - 2 - folded)]
    found = x[places.clip(0, len(x) - 1)]
    return np.where((places < 0) | (places >= len(x)), change.fill, found) if mode == "constant" else found


def run_sounds(x: Array, leaves: Sequence[Leaf], drawn: Drawn, threads: int) -> NDArray[np.float32]:
    """Sounds [B, T] or [B, T, 1], or spectra [B, frames, bands] or [..., 1], after all changes, each by itself."""
    result = x.astype(np.float32)
    made = [leaf.made(drawn.draws) for leaf in leaves]
    keys = [drawn.sample_keys(leaf.place) for leaf in leaves]

    def part(first: int, last: int) -> None:
        for k in range(first, last):
            sample = result[k].astype(np.float64)
            one = sample[..., 0] if sample.ndim > 1 and sample.shape[-1] == 1 else sample
            for leaf, chosen, key in zip(leaves, made, keys, strict=True):
                numbers = drawn.draws[leaf.place, k]
                if not chosen[k]:
                    continue
                if isinstance(leaf.change, Shift):
                    one = shifted(leaf.change, one, numbers)
                elif isinstance(leaf.change, Sound):
                    one = leaf.change.heard(one, numbers, key[k])
            result[k] = one.reshape(sample.shape)

    in_threads(part, len(x), x[0].size * 16, threads)
    return result
