"""Vectors of four float32, which one instruction loads or stores where they lie on 16 bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from netdsl.backend.axes import Axis
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.intrinsics import BYTES, LANES
from netdsl.schedule import View

Lane = Literal["wide", "same", "each"]
"""How a stream moves along the vector of a thread: one access of 128 bits, none, or by its stride."""


def lanes_of(views: Sequence[View], axes: Sequence[Axis]) -> tuple[Lane, ...]:
    """How streams move along vectors of the innermost axis, those of views first; empty where that is no gain."""
    *outer, inner = axes
    found: list[Lane] = []
    for k, view in enumerate(views):
        step = inner.strides[k]
        if step == 0:
            found.append("same")
        elif step != view.item:
            return ()
        elif view.type.dtype != "f32":
            found.append("each")
        elif aligned(view.offset, *(axis.strides[k] for axis in outer)):
            found.append("wide")
        else:
            return ()
    found += ["each"] * (len(inner.strides) - len(found))
    return tuple(found) if "wide" in found and inner.size % LANES == 0 else ()


def in_vectors(axis: Axis) -> Axis:
    """An axis of vectors instead of elements."""
    return replace(axis, size=axis.size // LANES, strides=tuple(s * LANES for s in axis.strides))


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


def store_wide(out: Lines, taken: str, pointer: str, index: str) -> None:
    """Store four elements of an array of registers."""
    out.add(f"store4({pointer}, {index}, {', '.join(f'{taken}[{v}]' for v in range(LANES))})")
