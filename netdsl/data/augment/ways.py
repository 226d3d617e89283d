"""How labels move with their picture: told by their shapes and values, before anything is computed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from netdsl.data.feeds import Feed
from netdsl.data.outline import ArrayOutline


class Way(Enum):
    """How a label moves with its picture."""

    STAYS = "a class, in whatever form"
    CELLS = "a class, or shares of classes, for each pixel: the nearest pixel's"
    VALUES = "numbers for each pixel, sampled as the picture is"
    BOXES = "corners x1, y1, x2, y2 in pixels"
    UNKNOWN = "nobody knows"


@dataclass(frozen=True)
class Label:
    """How a label moves; fill: what cells that come from outside of the picture get."""

    way: Way
    fill: int = 0


def label_of(
    feed: Feed, outline: ArrayOutline, pictures: Sequence[tuple[int, ...]], boxes: Collection[str]
) -> Label:
    """How the label of a feed moves with pictures of these shapes."""
    if feed.name in boxes:
        return Label(Way.BOXES)
    if any(is_map(outline.label, shape) for shape in pictures):
        cells = feed.integers or _are_classes(outline) is True
        return Label(Way.CELLS if cells else Way.VALUES, feed.ignored or 0)
    stays = outline.integers and not outline.label
    if stays or (len(outline.label) < 2 and _are_classes(outline) is not False):
        return Label(Way.STAYS)
    return Label(Way.UNKNOWN)


def is_map(label: tuple[int, ...], sample: tuple[int, ...]) -> bool:
    """Whether a label has something for each pixel of a picture."""
    return len(sample) == 3 and 2 <= len(label) <= 3 and label[:2] == sample[:2]


def _are_classes(outline: ArrayOutline) -> bool | None:
    """Whether labels say which classes a sample is of, as a row of shares or of zeros and ones; None: unknown."""
    known = outline.indicators, outline.distribution
    return True if True in known else None if None in known else False
