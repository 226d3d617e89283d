"""`wav("clips", rate = 16000)`: sounds, one folder for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.column import Column
from netdsl.data.dataset import Split
from netdsl.data.errors import data_error
from netdsl.data.named import check_name
from netdsl.data.own.folders import Labelled, files_by_class, labelled_split
from netdsl.data.own.resample import resampled
from netdsl.data.own.scan import advised, check_broken, scan
from netdsl.data.own.sound import SoundHeader, is_sound, read_sound, sound_header
from netdsl.data.own.source import FileSource
from netdsl.data.pixels import Pixels
from netdsl.data.reading import Reading, SoundReading
from netdsl.data.stored import Shape
from netdsl.elaborate.values import shown
from netdsl.source import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

X = "x"
FULL = Pixels("float32", -1.0, 1.0, 1.0, sure=True)
_RATES = (100, 384_000)


@dataclass(frozen=True, eq=False)
class SoundFiles:
    """Sounds of files from -1 to 1, each at `rate` and `length` samples long: [length], or [length, channels]."""

    files: Sequence[Path]
    rates: Sequence[int]
    rate: int
    length: int
    channels: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Floats, whatever the files have."""
        return np.dtype(np.float32)

    @property
    def shapes(self) -> Mapping[Shape, str]:
        """The one shape of all."""
        return {(self.length, self.channels) if self.channels > 1 else (self.length,): self.name(0)}

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        """The file."""
        return str(self.files[index])

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Decode, resample, and cut or pad with silence at the end."""
        (shape,) = self.shapes
        rows = np.zeros((len(indices), *shape), np.float32)
        for row, index in zip(rows, indices, strict=True):
            with advised():
                sound = read_sound(self.files[index])
            if self.channels == 1:
                sound = sound.mean(axis=1, keepdims=True, dtype=np.float32)
            sound = resampled(sound, self.rates[index], self.rate, self.length)
            row[: len(sound)] = sound if self.channels > 1 else sound[:, 0]
        return rows

    def __str__(self) -> str:
        others = sorted({rate for rate in self.rates if rate != self.rate})
        text = f"{self.length / self.rate:g} s at {self.rate:,} Hz"
        return text + (
            f" (some from {' and '.join(f'{rate:,}' for rate in others[:3])} Hz)" if others else ""
        )


@dataclass(frozen=True)
class Wav(FileSource):
    """`wav("clips", rate = 16000)`: sounds `x`, one folder for each class; the sorted names of these are the classes.

    rate: samples per second, to which all are resampled; by default that of the files. seconds: the length; shorter
    clips are filled up with silence, of longer ones the beginning is taken. channels: 1, the mean of all, or as many
    as the files have. broken: "refuse" or "skip" clips that cannot be read; with "skip" all are decoded once before
    training.
    """

    folder: str
    rate: int | None = None
    seconds: float | None = None
    channels: int = 1
    broken: str = "refuse"

    def __post_init__(self) -> None:
        check_name("folder", self.folder, "a folder")
        low, high = _RATES
        if self.rate is not None and (type(self.rate) is not int or not low <= self.rate <= high):
            raise data_error(f"rate is a whole number from {low} to {high}, not {brief(shown(self.rate))}")
        number = isinstance(self.seconds, int | float) and not isinstance(self.seconds, bool)
        if self.seconds is not None and not (number and 0 < self.seconds <= 3600):
            raise data_error(f"seconds is a number above 0, up to 3600, not {brief(shown(self.seconds))}")
        if type(self.channels) is not int or not 1 <= self.channels <= 64:
            raise data_error(f"channels is a whole number from 1 to 64, not {brief(shown(self.channels))}")
        check_broken(self.broken)

    def reading(self, base: Path) -> Reading:
        """Their rate, length and channels."""
        sounds = self._split(base, decode=False).columns[X].values
        assert isinstance(sounds, SoundFiles)
        fitted = self.rate is not None, self.seconds is not None
        return Reading(sound=SoundReading(sounds.rate, sounds.length, sounds.channels, *fitted))

    def _found(self, base: Path) -> Labelled:
        known = None if self._train is None else self._train._found(base).classes
        return files_by_class(base / self.folder, is_sound, "sound", known or None)

    def _split(self, base: Path, decode: bool) -> Split:
        found, where = self._found(base), self.folder
        look = _decodes if decode and self.broken == "skip" else sound_header
        scanned = scan(found.files, look, self.broken, where, "sound")
        files, headers = scanned.of(found.files), scanned.headers
        rate = self.rate or self._one_rate(files, headers)
        self._check_channels(files, headers)
        length = round(self.seconds * rate) if self.seconds else self._one_length(files, headers, rate)
        if length < 1:
            raise data_error(f"seconds is {self.seconds}, which is no sample at {rate} Hz")
        sounds = SoundFiles(files, [h.rate for h in headers], rate, length, self.channels)
        return labelled_split({X: Column(sounds, FULL)}, found, scanned, "sound", where, str(sounds))

    def _one_rate(self, files: Sequence[Path], headers: Sequence[SoundHeader]) -> int:
        """The rate of all files. Errors: NetError that names two which differ."""
        first = headers[0].rate
        for path, header in zip(files, headers, strict=True):
            if header.rate != first:
                rates = f"{files[0]} has {first:,} Hz, {path} {header.rate:,} Hz"
                raise data_error(rates, fix=f"rate = {min(first, header.rate)} resamples all of them")
        return first

    def _one_length(self, files: Sequence[Path], headers: Sequence[SoundHeader], rate: int) -> int:
        """The length of all files at the rate. Errors: NetError that names two which differ."""
        lengths = [-(-h.frames * rate // h.rate) for h in headers]
        for path, length in zip(files, lengths, strict=True):
            if length != lengths[0]:
                first, other = (f"{n / rate:.3g} s ({n:,} samples)" for n in (lengths[0], length))
                message = f"the sounds differ in length: {files[0]} is {first}, {path} {other}"
                usual = f"{sorted(lengths)[len(lengths) // 2] / rate:.2g}"
                fix = f"seconds = {usual} fills shorter ones up with silence and takes the beginning of longer ones"
                raise data_error(message, fix=fix)
        return lengths[0]

    def _check_channels(self, files: Sequence[Path], headers: Sequence[SoundHeader]) -> None:
        for path, header in zip(files, headers, strict=True):
            if self.channels > 1 and header.channels != self.channels:
                raise data_error(
                    f"{path} has {header.channels} channels, not {self.channels}", fix="channels = 1"
                )


def _decodes(path: Path) -> SoundHeader:
    """The header of a sound that can be decoded."""
    header = sound_header(path)
    read_sound(path)
    return header
