"""`reduce_window` and `reduce_window_grad` on the GPU: a thread for each result, neighbours along the channels.

The gradient gathers: each cell of the input adds up what the windows over it send, so there are no atomics, and the
bits are the same on any GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netdsl.backend.axes import Axis, elements
from netdsl.backend.step import Slot, TooLarge
from netdsl.cuda.codegen.nest import MOST, THREADS, divisor_values, nest_values
from netdsl.cuda.codegen.wide import wide
from netdsl.cuda.intrinsics import LANES
from netdsl.cuda.kernels.reduce_window_source import Windowing, gradient_source, window_source
from netdsl.cuda.step import Launch
from netdsl.ir import TensorType
from netdsl.primitives import ReduceWindow, ReduceWindowGrad
from netdsl.schedule import View

#: taps along the innermost axis that are loaded at once
MOST_TAPS = 4


def plan_window(
    op: ReduceWindow | ReduceWindowGrad, operands: Sequence[View], results: Sequence[View]
) -> list[Launch]:
    """A launch; TooLarge for more than 2^31 elements, and for pictures that lie further apart than that."""
    (result,) = results
    if not result.type.size:
        return []
    if not op.size:
        return plan_window(_lifted(op), [_with_axis(v) for v in operands], [_with_axis(result)])
    forward = isinstance(op, ReduceWindow)
    names = "x" if forward else "g" if op.kind == "avg" else "xyg"
    tensors = {**dict(zip(names, operands, strict=True)), "out": result}
    here = [name for name in tensors if name == "out" or (name == "x" and not forward)]
    there = [name for name in tensors if name not in here]
    width = LANES if result.shape[-1] % LANES == 0 and all(map(wide, tensors.values())) else 1
    axes = [_axis(size, k, [tensors[t] for t in here], width) for k, size in enumerate(result.shape)]
    count = elements(result.shape) // width
    title = (
        f"{op.name} {op.kind} {'x'.join(map(str, op.size))} @ {'x'.join(map(str, operands[-1].shape[1:]))}"
    )
    if count > MOST or any(_reach(tensors[t]) >= MOST for t in there):
        raise TooLarge(f"{title}: a kernel takes {MOST:_} elements, and so many of a picture, at most")
    include_pad = op.include_pad and op.kind == "avg"
    windowing = Windowing(op.kind, len(op.size), include_pad, width)
    taps = min(MOST_TAPS, op.size[-1])
    source = window_source(windowing, taps) if forward else gradient_source(windowing)
    spatial = (tensors["x"] if forward else result).shape[1:-1]
    values = _geometry(op, spatial) | nest_values(axes, [4] * len(here))
    for t in there:
        values |= _steps(t, tensors[t], width)
    slots = {t: Slot(view, t == "out") for t, view in tensors.items()}
    return [Launch(title, source, -(-count // THREADS), THREADS, values, slots)]


def _lifted(op: ReduceWindow | ReduceWindowGrad) -> ReduceWindow | ReduceWindowGrad:
    """Windows without a spatial axis, with one of size 1."""
    geometry = (op.kind, (1,), (1,), ((0, 0),), (1,), (0,), op.include_pad)
    return ReduceWindow(*geometry) if isinstance(op, ReduceWindow) else ReduceWindowGrad(*geometry, (1,))


def _with_axis(view: View) -> View:
    (n, c), (first, channel) = view.shape, view.strides
    return replace(view, type=TensorType((n, 1, c), view.type.dtype), strides=(first, 0, channel))


def _axis(size: int, k: int, views: Sequence[View], width: int) -> Axis:
    """An axis of the result; the last one in vectors of channels."""
    last = k == len(views[0].shape) - 1
    return Axis(
        size // width if last else size, False, tuple(v.strides[k] * (width if last else 1) for v in views)
    )


def _reach(view: View) -> int:
    """Elements from the first pixel of a picture to the last."""
    return (
        sum((n - 1) * abs(s) for n, s in zip(view.shape[1:-1], view.strides[1:-1], strict=True)) // view.item
    )


def _steps(name: str, view: View, width: int) -> dict[str, int]:
    """The elements from picture to picture, from pixel to pixel and from vector to vector of channels."""
    first, *spatial, channel = (s // view.item for s in view.strides)
    values = {f"{name}_picture": first, f"{name}_channel": channel * width}
    return values | {f"{name}_step{k}": s for k, s in enumerate(spatial)}


def _geometry(op: ReduceWindow | ReduceWindowGrad, spatial: Sequence[int]) -> dict[str, int]:
    values: dict[str, int] = {}
    for k, (size, many) in enumerate(zip(spatial, op.out_size(tuple(spatial)), strict=True)):
        values |= {f"cells{k}": size, f"windows{k}": many, f"window{k}": op.size[k]}
        values |= {f"lo{k}": op.pad[k][0], f"hi{k}": op.pad[k][1]}
        values |= divisor_values(f"by{k}", op.stride[k]) | divisor_values(f"dilation{k}", op.dilation[k])
    return values
