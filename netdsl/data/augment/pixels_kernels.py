"""From pictures as they are stored, [pixels, channels], to planes of float32, [channels, pixels], and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from netdsl.native.numba_ir import floats, inlined, octets


@inlined
def _byte(x: Any) -> Any:
    """The nearest of 0 to 255, of two the upper."""
    return np.uint8(np.int32(min(max(x, np.float32(0)), np.float32(255)) + np.float32(0.5)))


@inlined
def _apart(x: Any, first: int, target: int, pixels: int, channels: int) -> None:
    """One picture into planes; three channels are written out, since vector code needs to know their distance."""
    if channels == 3:
        r, g, b = floats(target), floats(target + 4 * pixels), floats(target + 8 * pixels)
        for p in range(pixels):
            i = first + 3 * p
            r[p], g[p], b[p] = np.float32(x[i]), np.float32(x[i + 1]), np.float32(x[i + 2])
        return
    for c in range(channels):
        out = floats(target + 4 * c * pixels)
        for p in range(pixels):
            out[p] = np.float32(x[first + p * channels + c])


def planes_of_bytes(source: int, target: int, count: int, pixels: int, channels: int) -> None:
    """Pictures of bytes [count, pixels, channels] as planes."""
    for s in range(count):
        first = s * pixels * channels
        _apart(octets(source), first, target + 4 * first, pixels, channels)


def planes_of_floats(source: int, target: int, count: int, pixels: int, channels: int) -> None:
    """Pictures of float32 [count, pixels, channels] as planes."""
    for s in range(count):
        first = s * pixels * channels
        _apart(floats(source), first, target + 4 * first, pixels, channels)


def bytes_of_planes(source: int, target: int, count: int, pixels: int, channels: int) -> None:
    """Planes as pictures of bytes, rounded."""
    out = octets(target)
    for s in range(count):
        first = s * pixels * channels
        at = source + 4 * first
        if channels == 3:
            r, g, b = floats(at), floats(at + 4 * pixels), floats(at + 8 * pixels)
            for p in range(pixels):
                i = first + 3 * p
                out[i], out[i + 1], out[i + 2] = _byte(r[p]), _byte(g[p]), _byte(b[p])
        else:
            for c in range(channels):
                x = floats(at + 4 * c * pixels)
                for p in range(pixels):
                    out[first + p * channels + c] = _byte(x[p])


def floats_of_planes(source: int, target: int, count: int, pixels: int, channels: int) -> None:
    """Planes as pictures of float32."""
    out = floats(target)
    for s in range(count):
        first = s * pixels * channels
        for c in range(channels):
            x = floats(source + 4 * (first + c * pixels))
            for p in range(pixels):
                out[first + p * channels + c] = x[p]
