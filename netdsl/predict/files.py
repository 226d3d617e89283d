"""Samples of files, each brought to the form that the network was trained on: pictures and sounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.data import CenterCrop, Preparation, PreprocessingStep, Resize
from netdsl.data.errors import data_error
from netdsl.data.own.clips import FULL
from netdsl.data.own.resample import resampled
from netdsl.data.own.sound import read_sound, sound_header
from netdsl.data.picture import read_picture
from netdsl.data.preprocess import preprocessed
from netdsl.data.reading import SoundReading
from netdsl.source import Diagnostic, NetError, warn

Array = NDArray[Any]
Shape = tuple[int, ...]


class FileSamples:
    """A sample for each file; one that cannot be read, or does not fit, does not keep the others."""

    def __init__(self, files: Sequence[Path], name: str, wanted: Shape) -> None:
        self._files, self._name, self._wanted = list(files), name, wanted
        self.problems: list[Diagnostic] = []
        self._notes: dict[Path, tuple[str, ...]] = {}

    def __len__(self) -> int:
        """How many files there are."""
        return len(self._files)

    def title(self, number: int) -> str:
        """The file."""
        return str(self._files[number])

    def notes(self, number: int) -> tuple[str, ...]:
        """The conversions made, known after the file is read."""
        return self._notes.get(self._files[number], ())

    def batches(self, size: int) -> Iterator[Mapping[str, Array]]:
        """The samples, normalised."""
        rows = self._rows()
        while part := list(islice(rows, size)):
            yield {self._name: np.stack(part).reshape(len(part), *self._wanted)}
        if not self._files:
            raise NetError(*self.problems)

    def _rows(self) -> Iterator[Array]:
        for path in tuple(self._files):
            try:
                row = self._row(path)
            except NetError as error:
                self.problems += error.diagnostics
                self._files.remove(path)
            else:
                yield row

    def _row(self, path: Path) -> Array:
        raise NotImplementedError


class Pictures(FileSamples):
    """Pictures; `fit` resizes and cuts them to the network's size."""

    def __init__(
        self, files: Sequence[Path], name: str, wanted: Shape, prepared: Preparation, fit: bool
    ) -> None:
        super().__init__(files, name, wanted)
        self._preparation = prepared
        self._shape = _picture_shape(prepared.sample, wanted)
        self._channels = self._shape[2] if len(self._shape) == 3 else 1
        self._steps: tuple[PreprocessingStep, ...] = prepared.preprocess
        if fit:
            if self._steps:
                raise data_error(
                    "the network was trained with a preprocess of its own, which --resize would replace"
                )
            self._steps = fitting(self._shape)
        trained = prepared.normalization.pixels
        if trained is None:
            message = "the file does not say what pixels the network was trained on: they are fed as 0 to 255"
            warn(Diagnostic("data", message, fix="checkpoints say it, and artifacts made of them"))
        elif trained.white is None:
            message = (
                f"the network was trained on {trained}, which are no pixels: nobody knows which is white"
            )
            fix = "feed it .npy files of such numbers, or train it on pixels with `normalize`"
            raise data_error(message, fix=fix)

    def _row(self, path: Path) -> Array:
        picture = read_picture(path, self._channels)
        height, width = picture.array.shape[:2]
        array = preprocessed(self._steps, picture.array[None], picture.pixels)
        if array.shape[1:3] != self._shape[:2]:
            size = f"{path} is {width} x {height}, the network takes {self._shape[1]} x {self._shape[0]}"
            fix = f"run it with --resize, or {cut(self._shape)}"
            raise data_error(f"{size} (width x height)", fix=fix)
        resized = f"{width} x {height} to {array.shape[2]} x {array.shape[1]}"
        changed = array.shape[1:3] != (height, width)
        self._notes[path] = (*picture.notes, *([resized] if changed else []))
        normalization = self._preparation.normalization.of(picture.pixels, str(path))
        normalized: Array = normalization(array.reshape(1, *self._shape))[0]
        return normalized


class Sounds(FileSamples):
    """Sounds, at the rate and the length of those of the training."""

    def __init__(
        self, files: Sequence[Path], name: str, wanted: Shape, prepared: Preparation, reading: SoundReading
    ) -> None:
        super().__init__(files, name, wanted)
        self._preparation, self._reading = prepared, reading

    def _row(self, path: Path) -> Array:
        r, header = self._reading, sound_header(path)
        if r.channels > 1 and header.channels != r.channels:
            message = f"{path} has {header.channels} channels, the network takes {r.channels}"
            raise data_error(message, fix="it was trained with channels of wav(...)")
        if header.rate != r.rate and not r.resample:
            message = f"{path} has {header.rate:,} Hz, the network was trained on {r.rate:,} Hz"
            raise data_error(message, fix=f"train with wav(..., rate = {r.rate}), which resamples")
        frames = -(-header.frames * r.rate // header.rate)
        if frames != r.length and not r.cut:
            seconds = f"{header.frames / header.rate:.3g} s long, the network takes {r.length / r.rate:.3g} s"
            fix = f"train with wav(..., seconds = {r.length / r.rate:g}), which cuts and fills up"
            raise data_error(f"{path} is {seconds}", fix=fix)
        sound = read_sound(path)
        if r.channels == 1:
            sound = sound.mean(axis=1, keepdims=True, dtype=np.float32)
        sound = resampled(sound, header.rate, r.rate, r.length)
        row = np.zeros((1, r.length, r.channels), np.float32)
        row[0, : len(sound)] = sound
        self._notes[path] = tuple(_sound_notes(header.rate, frames, header.channels, r))
        normalization = self._preparation.normalization
        samples = row if r.channels > 1 else row[..., 0]
        made = preprocessed(self._preparation.preprocess, samples, normalization.pixels or FULL)
        normalized: Array = normalization(made)[0]
        return normalized


def _sound_notes(rate: int, frames: int, channels: int, reading: SoundReading) -> Iterator[str]:
    """What is done to a sound of so many samples per second, of so many samples at the rate of the training."""
    if rate != reading.rate:
        yield f"{rate:,} to {reading.rate:,} Hz"
    if channels > 1 and reading.channels == 1:
        yield f"the mean of {channels} channels"
    if frames != reading.length:
        how = "cut" if frames > reading.length else "filled up with silence"
        yield f"{frames / reading.rate:.3g} s, {how} to {reading.length / reading.rate:.3g} s"


def fitting(shape: Shape) -> tuple[PreprocessingStep, ...]:
    """The steps that make pictures of one size of pictures of any size: the shorter side first, then the middle."""
    height, width = shape[0], shape[1]
    if height == width:
        return (Resize(height), CenterCrop(height))
    return (Resize(max(height, width)), CenterCrop(height, width))


def cut(shape: Shape) -> str | None:
    """The setting that makes samples of any size fit."""
    if len(shape) not in (2, 3):
        return None
    text = ", ".join(map(str, fitting(shape)))
    return f"train with data {{ preprocess = [{text}] }}"


def _picture_shape(sample: Shape, wanted: Shape) -> Shape:
    """[H, W] or [H, W, C] of the data, else of the network."""
    for shape in (sample, wanted):
        if len(shape) == 2 or (len(shape) == 3 and shape[2] <= 4):
            return shape
    raise data_error(
        f"the network takes {list(wanted)}, which is no picture", fix="feed it .npy or .npz files"
    )
