"""Sounds from files: WAV by itself, others by soundfile.

WAV files are those of Microsoft's RIFF specification: PCM of 8, 16, 24 and 32 bits and floats of 32 and 64, with the
plain or the extensible header.  Sizes in headers are compared with the file before they are used.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.data.stream import reading
from netdsl.extras import need
from netdsl.filetype import HEAD, content, not_wanted, open_file
from netdsl.source import NetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

WAV = (".wav", ".wave")
OTHERS = (".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au")
"""What soundfile reads."""
MAX_VALUES = 2**28
"""Numbers of one sound: an hour and a half of one channel at 48,000 Hz."""
_MAX_RATE = 768_000
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_KINDS = {
    (_PCM, 8): "u1",
    (_PCM, 16): "<i2",
    (_PCM, 24): "u1",
    (_PCM, 32): "<i4",
    (_FLOAT, 32): "<f4",
    (_FLOAT, 64): "<f8",
}


@dataclass(frozen=True)
class SoundHeader:
    """Samples per second, channels, and the length in samples."""

    rate: int
    channels: int
    frames: int


@dataclass(frozen=True)
class _Wav:
    header: SoundHeader
    form: int
    bits: int
    start: int


def is_sound(path: Path) -> bool:
    """Whether a file is a sound by its ending."""
    return path.suffix.lower() in (*WAV, *OTHERS)


def sound_header(path: Path) -> SoundHeader:
    """Look at a sound without decoding it. Errors: NetError for what is no sound, or not whole."""
    if path.suffix.lower() in OTHERS:
        with _soundfile(path) as file:
            return _checked(path, SoundHeader(file.samplerate, file.channels, file.frames))
    with reading(path), open_file(path, "data", "a sound (.wav)") as file:
        return _wav(file, path).header


def read_sound(path: Path) -> NDArray[np.float32]:
    """A sound [n, channels] from -1 to 1. Errors: NetError for what is no sound, or not whole."""
    if path.suffix.lower() in OTHERS:
        with _soundfile(path) as file:
            _checked(path, SoundHeader(file.samplerate, file.channels, file.frames))
            return np.asarray(file.read(dtype="float32", always_2d=True))
    with reading(path), open_file(path, "data", "a sound (.wav)") as file:
        wav = _wav(file, path)
        file.seek(wav.start)
        size = wav.header.frames * wav.header.channels * (wav.bits // 8)
        samples = _decoded(file.read(size), wav.form, wav.bits).reshape(-1, wav.header.channels)
    if not np.isfinite(samples).all():
        raise data_error(f"{path} has values that are not finite numbers")
    return samples


def _decoded(data: bytes, form: int, bits: int) -> NDArray[np.float32]:
    """The numbers of the data chunk, as float32 from -1 to 1."""
    raw = np.frombuffer(data, _KINDS[form, bits])
    if form == _FLOAT:
        with np.errstate(over="ignore", invalid="ignore"):
            return raw.astype(np.float32)
    if bits == 8:
        return np.asarray((raw.astype(np.float32) - 128) / 128, np.float32)
    if bits == 24:
        triples = np.zeros((len(raw) // 3, 4), np.uint8)
        triples[:, 1:] = raw.reshape(-1, 3)
        return (triples.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    return (raw / 2.0 ** (bits - 1)).astype(np.float32)


def _wav(file: BufferedReader, path: Path) -> _Wav:
    """The header, and where the samples begin."""
    size = os.fstat(file.fileno()).st_size
    head = file.peek(HEAD)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        raise not_wanted(path, "data", content(head), "a sound (.wav)")
    at, form = 12, None
    while at + 8 <= size:
        file.seek(at)
        name, length = (part := file.read(8))[:4], int.from_bytes(part[4:], "little")
        at += 8
        if name == b"fmt ":
            form = _format(path, file.read(min(length, 40)))
        if name == b"data":
            # A recorder that writes into a pipe does not know the length.
            length = size - at if length == 0xFFFFFFFF else length
            return _with_length(path, form, at, length, size)
        at += length + length % 2
    raise data_error(f"{path} is damaged: it ends before its samples begin")


def _format(path: Path, chunk: bytes) -> tuple[int, int, int, int]:
    """Format, bits, channels and rate of the chunk `fmt `."""
    if len(chunk) < 16:
        raise data_error(f"{path} is damaged: its header is too short")
    form, channels, rate, block, bits = (
        int.from_bytes(chunk[a:b], "little") for a, b in ((0, 2), (2, 4), (4, 8), (12, 14), (14, 16))
    )
    if form == _EXTENSIBLE and len(chunk) >= 26:
        form = int.from_bytes(chunk[24:26], "little")
    if (form, bits) not in _KINDS:
        kind = {2: "ADPCM", 6: "A-law", 7: "mu-law"}.get(form, f"format {form}")
        message = f"{path} is WAV of {kind} with {bits} bits; PCM of 8 to 32 bits and floats can be read"
        raise data_error(message, fix="other programs write it as PCM of 16 bits")
    if not channels or block != channels * bits // 8:
        raise data_error(f"{path} is damaged: {channels} channels of {bits} bits in {block} bytes")
    return form, bits, channels, rate


def _with_length(path: Path, form: tuple[int, int, int, int] | None, at: int, length: int, size: int) -> _Wav:
    if form is None:
        raise data_error(f"{path} is damaged: its samples come before their format")
    code, bits, channels, rate = form
    if at + length > size:
        raise data_error(
            f"{path} is damaged: {at + length - size:,} bytes of its {length:,} bytes of samples are missing"
        )
    frames = length // (channels * bits // 8)
    return _Wav(_checked(path, SoundHeader(rate, channels, frames)), code, bits, at)


def _checked(path: Path, header: SoundHeader) -> SoundHeader:
    if not 0 < header.rate <= _MAX_RATE or header.channels < 1:
        raise data_error(f"{path} says it has {header.channels} channels at {header.rate} Hz")
    if header.frames < 1:
        raise data_error(f"{path} has no samples")
    if header.frames * header.channels > MAX_VALUES:
        raise data_error(
            f"{path} has {header.frames * header.channels:,} values; the limit is {MAX_VALUES:,}"
        )
    return header


class _soundfile:
    """A sound opened by soundfile; what goes wrong, in the body too, is a NetError that names the file."""

    def __init__(self, path: Path) -> None:
        self._library = need("soundfile", "soundfile", f"reading {path}", "data")
        self._path = path

    def __enter__(self) -> Any:
        self._file = open_file(self._path, "data", "a sound")
        try:
            self._sound = self._library.SoundFile(self._file)
        except Exception as error:
            self._file.close()
            raise self._error(error) from error
        return self._sound

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._sound.close()
        self._file.close()
        if isinstance(error, Exception) and not isinstance(error, NetError):
            raise self._error(error) from error

    def _error(self, error: Exception) -> NetError:
        return data_error(f"{self._path} is no sound that can be read: {error}")
