"""`mel_spectrogram`: the loudness of a sound by time and pitch, as preprocessing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl.arrays import np
from netdsl.data.augment.settings import check, flag, number, whole, word, wrong
from netdsl.data.augment.spectrum import stft
from netdsl.data.errors import data_error
from netdsl.data.step import PreprocessingStep

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class MelSpectrogram(PreprocessingStep):
    """`mel_spectrogram(rate = 16000)`: sounds [T] or [T, 1] become [frames, mels].

    Windows of Hann, `window` samples every `hop`, around samples of the sound, which is mirrored at its ends; the
    absolute spectrum to the power `power`; weighted sums over `mels` triangles between `low` and `high` Hz, as far
    apart on the scale `htk` (2595 log10(1 + f / 700)) or `slaney` (linear up to 1 kHz), with area 1 under
    `norm = slaney`; then log(x + offset).  torchaudio's MelSpectrogram (htk, no norm) and librosa's melspectrogram
    (slaney, slaney, with pad_mode = "reflect").
    """

    name: ClassVar[str] = "mel_spectrogram"
    sounds: ClassVar[bool] = True
    rate: int = whole(1, 1_000_000)
    mels: int = whole(1, 1024, 64)
    window: int = whole(2, 2**16, 400)
    hop: int = whole(1, 2**16, 160)
    low: float = number(0, 500_000, 0.0, kw_only=True)
    high: float | None = number(0, 500_000, None, kw_only=True)
    scale: str = word(("htk", "slaney"), "htk")
    norm: str | None = word(("slaney",), None)  # type: ignore[arg-type]
    power: float = number(0.1, 10, 2.0, kw_only=True)
    log: bool = flag(True)
    offset: float = number(1e-20, 1, 1e-6, kw_only=True)

    def __post_init__(self) -> None:
        check(self, self.name)
        if not self.low < self.top <= self.rate / 2:
            raise wrong(
                "high", self.name, f"must be above low and at most {self.rate / 2:g}, half the rate", self.top
            )

    @property
    def top(self) -> float:
        """The highest frequency."""
        return self.rate / 2 if self.high is None else self.high

    def shape(self, sample: tuple[int, ...]) -> tuple[int, ...]:
        """[frames, mels]. Errors: NetError for samples that are no sounds."""
        if len(sample) not in (1, 2) or sample[1:] not in ((), (1,)):
            raise data_error(f"mel_spectrogram needs sounds [T] or [T, 1], not {list(sample)}")
        if sample[0] <= self.window // 2:
            raise data_error(f"mel_spectrogram needs more than {self.window // 2} samples, not {sample[0]}")
        return (1 + sample[0] // self.hop, self.mels)

    def __call__(self, sounds: NDArray[Any]) -> NDArray[np.float32]:
        """Sounds [n, T] or [n, T, 1] as [n, frames, mels]."""
        frames, mels = self.shape(sounds.shape[1:])
        found = np.empty((len(sounds), frames, mels), np.float32)
        bank = filters(self)
        for result, sound in zip(found, sounds.reshape(len(sounds), -1), strict=True):
            spectra = np.abs(stft(sound, self.window, self.hop, "reflect")[:frames]) ** self.power
            result[:] = np.log(spectra @ bank + self.offset) if self.log else spectra @ bank
        return found


@lru_cache(maxsize=16)
def filters(step: MelSpectrogram) -> NDArray[np.float64]:
    """The weights of frequencies in each band, [window // 2 + 1, mels]."""
    bins = np.arange(step.window // 2 + 1) * (step.rate / step.window)
    ends = _mel(np.array([step.low, step.top]), step.scale)
    edges = _hertz(np.linspace(ends[0], ends[1], step.mels + 2), step.scale)
    up = (bins[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    down = (edges[2:] - bins[:, None]) / np.diff(edges)[1:]
    weights = np.maximum(0, np.minimum(up, down))
    return weights * (2 / (edges[2:] - edges[:-2])) if step.norm == "slaney" else weights


_LINEAR, _KNEE, _STEP = 3 / 200, 1000.0, math.log(6.4) / 27


def _mel(f: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    if scale == "htk":
        return 2595 * np.log10(1 + f / 700)
    return np.where(f < _KNEE, f * _LINEAR, _KNEE * _LINEAR + np.log(np.maximum(f, _KNEE) / _KNEE) / _STEP)


def _hertz(m: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    if scale == "htk":
        return 700 * (10 ** (m / 2595) - 1)
    knee = _KNEE * _LINEAR
    return np.where(m < knee, m / _LINEAR, _KNEE * np.exp((np.maximum(m, knee) - knee) * _STEP))
