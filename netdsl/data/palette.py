"""Colours for class numbers."""

from __future__ import annotations

from netdsl.arrays import np


def palette() -> bytes:
    """The colours of PASCAL VOC: bit k of a class number, taken in threes, is bit 7 - k / 3 of red, green, blue."""
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((np.arange(256) >> (3 * bit + channel)) & 1).astype(np.uint8) << (7 - bit)
    return colours.tobytes()
