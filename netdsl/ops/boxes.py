"""Boxes `[..., 4]`: the corners x1, y1, x2, y2 of rectangles in a picture; one with x2 < x1 or y2 < y1 is empty."""

from __future__ import annotations

from netdsl.ir import ShapeError, TensorType, Value
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr, Index, Number, eq, maximum, minimum, where

Corners = tuple[Expr, ...]


def check_boxes(op: str, t: TensorType, operand: int) -> None:
    """Raise ShapeError unless `t` is `f32[N, ..., 4]`."""
    if t.rank < 2 or t.shape[-1] != 4 or t.dtype != "f32":
        message = f"{op} takes boxes [..., 4] of x1, y1, x2, y2, not {list(t.shape[1:])}"
        raise ShapeError(message, operand=operand)


def check_map(op: str, t: TensorType) -> tuple[int, int, int, int]:
    """The sizes of `f32[N, H, W, C]`; raises ShapeError for any other type."""
    if t.rank != 4 or t.dtype != "f32":
        raise ShapeError(f"{op} takes maps [H, W, C], not {list(t.shape[1:])}", operand=0)
    n, height, width, channels = t.shape
    return n, height, width, channels


def corners_of(b: PrimitiveBuilder, boxes: Value) -> tuple[Value, ...]:
    """The four coordinates, each `[..., 1]`."""
    shape = b.type(boxes).shape
    front = (0,) * (len(shape) - 1)
    return tuple(b.slice(boxes, (*front, k), (*shape[:-1], 1)) for k in range(4))


def along(x: Expr | Number, y: Expr | Number, axis: int) -> Expr:
    """`x` for the coordinates x1 and x2, `y` for y1 and y2, which lie along `axis`."""
    return where(eq(Index(axis) % 2, 0), x, y)


def area(p: Corners) -> Expr:
    """The area of a box, 0 for an empty one."""
    return maximum(p[2] - p[0], 0.0) * maximum(p[3] - p[1], 0.0)


def overlap(p: Corners, q: Corners) -> Corners:
    """The box that two boxes have in common; empty where they do not meet."""
    return (maximum(p[0], q[0]), maximum(p[1], q[1]), minimum(p[2], q[2]), minimum(p[3], q[3]))


def hull(p: Corners, q: Corners) -> Corners:
    """The smallest box around two boxes."""
    return (minimum(p[0], q[0]), minimum(p[1], q[1]), maximum(p[2], q[2]), maximum(p[3], q[3]))
