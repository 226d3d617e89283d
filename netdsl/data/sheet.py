"""Sheets of samples: what a network sees, before and after augmentation, with the labels, as one picture.

Pictures are drawn as they are, and masks over them; sounds as their wave above their spectrogram; other grids of
numbers, such as mel spectrograms, as pictures from their lowest to their highest number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.palette import palette
from netdsl.data.picture import pillow

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL = 120
"""Pixels that the shorter side of a small sample is enlarged to, about."""
_LARGEST = 320
_TEXT, _GAP = 14, 8
_WAVE, _WINDOW = 64, 256


@dataclass(frozen=True)
class SheetCell:
    """A sample to be drawn: its arrays before and after augmentation (None: there is none), and a line of text."""

    before: NDArray[Any]
    after: NDArray[Any] | None
    text: str
    masks: tuple[NDArray[Any] | None, NDArray[Any] | None] = (None, None)


def can_be_drawn(shape: Sequence[int]) -> bool:
    """Whether a sample is a picture, a sound or another grid of numbers."""
    sides = [size for size in shape if size > 1]
    return len(shape) == 3 or len(sides) == 2 or (len(sides) == 1 and sides[0] >= _WINDOW)


def sheet(cells: Sequence[SheetCell], columns: int | None = None) -> Any:
    """The cells in rows as a Pillow image, each before and after augmentation, with its text below."""
    library = pillow("drawing samples")
    from PIL import ImageDraw

    drawn = [_cell(cell) for cell in cells]
    width = max(max(tile.shape[1] for tile in drawn), 90) + _GAP
    height = max(tile.shape[0] for tile in drawn) + _TEXT + _GAP
    columns = columns or max(
        1, min(len(cells), round(math.sqrt(len(cells) * 1.5 * height / width)), 1800 // width)
    )
    rows = -(-len(cells) // columns)
    page = library.new("RGB", (columns * width + _GAP, rows * height + _GAP), "white")
    pen = ImageDraw.Draw(page)
    for number, (cell, tile) in enumerate(zip(cells, drawn, strict=True)):
        left, top = number % columns * width + _GAP, number // columns * height + _GAP
        page.paste(library.fromarray(tile), (left, top))
        pen.text((left, top + tile.shape[0] + 1), _fitting(pen, cell.text, width - _GAP), fill="black")
    return page


def _fitting(pen: Any, text: str, width: int) -> str:
    """As much of a text as there is room for; the font has the letters of western Europe only."""
    text = text.encode("latin-1", "replace").decode("latin-1")
    while text and pen.textlength(text) > width:
        text = text[:-1]
    return text


def _cell(cell: SheetCell) -> NDArray[np.uint8]:
    """The sample before and after, side by side."""
    shown = [(cell.before, cell.masks[0])] + ([] if cell.after is None else [(cell.after, cell.masks[1])])
    tiles = [_tile(x, mask) for x, mask in shown]
    height = max(tile.shape[0] for tile in tiles)
    padded = [np.pad(t, ((0, height - t.shape[0]), (0, 2), (0, 0)), constant_values=255) for t in tiles]
    return np.concatenate(padded, axis=1)[:, :-2]


def _tile(x: NDArray[Any], mask: NDArray[Any] | None) -> NDArray[np.uint8]:
    """A sample as a picture [H, W, 3] of a size that can be seen."""
    sides = [size for size in x.shape if size > 1]
    if len(sides) < 2:
        return _sound(x.reshape(-1))
    picture = x if x.ndim == 3 else x.reshape(*sides, 1)
    colours = _over(_colours(picture), mask)
    return _scaled(colours)


def _colours(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """Numbers [H, W, C] as red, green and blue: 0 to 1 as they are, other ranges from lowest to highest."""
    picture = picture.astype(np.float64)
    picture = picture[..., :3] if picture.shape[-1] in (3, 4) else picture[..., :1]
    low, high = float(picture.min()), float(picture.max())
    if low < -1e-3 or high > 1 + 1e-3:
        picture = (picture - low) / max(high - low, 1e-12)
    grey = np.rint(picture.clip(0, 1) * 255).astype(np.uint8)
    return np.repeat(grey, 3, axis=2) if grey.shape[2] == 1 else grey


def _over(colours: NDArray[np.uint8], mask: NDArray[Any] | None) -> NDArray[np.uint8]:
    """A picture with the classes of a mask in colours over it; class 0 is left clear."""
    if mask is None or mask.shape[:2] != colours.shape[:2]:
        return colours
    table = np.frombuffer(palette(), np.uint8).reshape(256, 3)
    mask = mask.reshape(mask.shape[:2])
    over = table[np.clip(mask, 0, 255).astype(np.int64)]
    mixed = np.where((mask != 0)[..., None], colours // 2 + over // 2, colours)
    return np.asarray(mixed, np.uint8)


def _scaled(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Small pictures with larger pixels, large ones with fewer of them."""
    short, long = sorted(colours.shape[:2])
    times = max(1, min(CELL // short, _LARGEST // long))
    every = max(1, -(-long // _LARGEST))
    return np.asarray(colours.repeat(times, axis=0).repeat(times, axis=1)[::every, ::every])


def _sound(wave: NDArray[Any]) -> NDArray[np.uint8]:
    """A wave from -1 to 1, and below it its spectrogram over 80 dB, low frequencies at the bottom."""
    width = 2 * CELL
    lit = np.zeros((_WAVE, width), bool)
    parts = np.array_split(wave.astype(np.float64), width)
    for column, part in enumerate(parts):
        low, high = (part.min(), part.max()) if len(part) else (0.0, 0.0)
        top, bottom = (round((1 - np.clip(v, -1, 1)) / 2 * (_WAVE - 1)) for v in (high, low))
        lit[top : bottom + 1, column] = True
    drawn = np.where(lit[..., None], np.array([30, 80, 160]), 245).astype(np.uint8)
    return np.concatenate([drawn, _spectrogram(wave, width)])


def _spectrogram(wave: NDArray[Any], width: int) -> NDArray[np.uint8]:
    """Magnitudes in dB of Hann windows, [frequencies, width, 3], light where loud."""
    starts = np.linspace(0, max(len(wave) - _WINDOW, 0), width).astype(np.int64)
    windows = np.pad(wave.astype(np.float64), (0, _WINDOW))[starts[:, None] + np.arange(_WINDOW)]
    power = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW), axis=1))[:, 1:]
    decibels = 20 * np.log10(np.maximum(power, 1e-12))
    level = ((decibels - decibels.max()) / 80 + 1).clip(0, 1).T[::-1]
    warm = np.stack([np.sqrt(level), level**2, 0.25 * level + 0.2 * (1 - level)], axis=-1)
    return np.asarray(np.rint(warm * 255), np.uint8)


def label_text(label: Any, classes: Sequence[str] | None) -> str:
    """A label in words: the name of its class, a number, or how long its list is."""
    values = np.asarray(label)
    if values.ndim == 0:
        number = values.item()
        if classes and isinstance(number, int) and 0 <= number < len(classes):
            return classes[number]
        return f"{number:g}" if isinstance(number, float) else str(number)
    if values.size <= 6:
        return "[" + ", ".join(f"{v:g}" for v in values.reshape(-1).tolist()) + "]"
    return ""


def names_of(text: Mapping[str, str]) -> str:
    """Labels in one line: the only one by itself, several with their names."""
    shown = {name: value for name, value in text.items() if value}
    if len(shown) == 1:
        return next(iter(shown.values()))
    return ", ".join(f"{name} {value}" for name, value in shown.items())
