"""Short-time spectra of sounds: there, changed in time, and back. The definitions are librosa's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netdsl.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def hann(size: int) -> NDArray[np.float64]:
    """The periodic window of Hann."""
    window: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    return window


def stft(x: NDArray[Any], size: int, hop: int, pad: str = "constant") -> NDArray[np.complex128]:
    """Spectra of windows of a sound [T] around every hop-th sample, [frames, size // 2 + 1]; pad: as in np.pad."""
    wide = np.pad(x.astype(np.float64), size // 2, mode=pad)  # type: ignore[call-overload]
    windows = np.lib.stride_tricks.sliding_window_view(wide, size)[::hop]
    found: NDArray[np.complex128] = np.fft.rfft(windows * hann(size))
    return found


def istft(spectra: NDArray[np.complex128], size: int, hop: int, length: int) -> NDArray[np.float64]:
    """The sound [length] whose spectra are the nearest to these (Griffin and Lim 1984)."""
    window = hann(size)
    total, weight = np.zeros((2, size + hop * (len(spectra) - 1)))
    for k, part in enumerate(np.fft.irfft(spectra, size) * window):
        total[k * hop : k * hop + size] += part
        weight[k * hop : k * hop + size] += window**2
    found = np.where(weight > 1e-10, total / np.maximum(weight, 1e-10), total)[size // 2 :]
    return np.pad(found, (0, max(length - len(found), 0)))[:length]


def vocoder(spectra: NDArray[np.complex128], rate: float, hop: int) -> NDArray[np.complex128]:
    """Spectra of the sound at another speed, above 1 faster: the phase vocoder of Flanagan and Golden 1966."""
    steps = np.arange(0, len(spectra), rate)
    wide = np.pad(spectra, ((0, 2), (0, 0)))
    first = steps.astype(np.int64)
    share = (steps - first)[:, None]
    size = (1 - share) * np.abs(wide[first]) + share * np.abs(wide[first + 1])
    advance = np.linspace(0, np.pi * hop, spectra.shape[1])
    turn = np.angle(wide[first + 1]) - np.angle(wide[first]) - advance
    turn = turn - 2 * np.pi * np.round(turn / (2 * np.pi)) + advance
    phase = np.angle(spectra[:1]) + np.concatenate(
        [np.zeros((1, turn.shape[1])), np.cumsum(turn, axis=0)[:-1]]
    )
    found: NDArray[np.complex128] = size * np.exp(1j * phase)
    return found


def stretched(x: NDArray[Any], rate: float, size: int = 2048, hop: int = 512) -> NDArray[np.float64]:
    """A sound [T] in 1 / rate of the time, at the same pitch."""
    return istft(vocoder(stft(x, size, hop), rate, hop), size, hop, round(len(x) / rate))


def resampled(x: NDArray[Any], length: int) -> NDArray[np.float64]:
    """A sound [T] with so many samples in the same time, by its whole spectrum."""
    found: NDArray[np.float64] = np.fft.irfft(np.fft.rfft(x), length) * (length / len(x))
    return found


def fitted(x: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """A sound cut, or with silence at its end, to a length."""
    return np.pad(x, (0, max(length - len(x), 0)))[:length]
