"""Vectors of four float32, which one instruction loads or stores where they lie on 16 bytes."""

from __future__ import annotations

from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.intrinsics import BYTES, LANES
from netdsl.schedule import View


def aligned(*places: int) -> bool:
    """Whether four elements lie together at each of these bytes from the start of a buffer, or from one another."""
    return not any(place % BYTES for place in places)


def wide(view: View) -> bool:
    """Whether any four neighbours along the last axis, from a multiple of 4 on, are one access."""
    *others, last = view.strides
    steps = (s for n, s in zip(view.shape, others, strict=False) if n > 1)
    return view.type.dtype == "f32" and last == view.item and aligned(view.offset, *steps)


def in_fours(view: View, channels: int) -> bool:
    """Whether four neighbouring channels of a group can be read at once, wherever a group begins."""
    return channels % LANES == 0 and wide(view)


def load_wide(out: Lines, into: str, pointer: str, index: str) -> None:
    """Load four elements into an array of registers."""
    loaded = out.let(f"load4({pointer}, {index})")
    for v in range(LANES):
        out.add(f"{into}[{v}] = {loaded}[{v}]")
