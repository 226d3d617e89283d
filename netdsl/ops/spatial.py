"""Settings along the spatial axes - kernels, strides, pads - as they are written and as they are meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netdsl.ir import ShapeError, TensorType
from netdsl.limits import MAX_WINDOW
from netdsl.ops.base import Reach
from netdsl.primitives.contract import Pads
from netdsl.source import counted

PAD_NAMES = ("same", "same_upper", "same_lower", "valid", "full")
PAD_DOC = (
    "same (half padding, output = ceil(in / stride)), same_upper or same_lower (TensorFlow's and ONNX's "
    "alignment), valid (none), full, a number, or one number or (before, after) pair per axis"
)


def sizes(value: Any) -> int | tuple[int, ...]:
    """A positive integer, or one per spatial axis."""
    entries = value if isinstance(value, (tuple, list)) else (value,)
    if not entries or any(isinstance(v, bool) or not isinstance(v, int) or v < 1 for v in entries):
        raise ValueError(f"must be a positive integer or one per axis, not {value!r}")
    if max(entries) > MAX_WINDOW:
        raise ValueError(f"must be at most {MAX_WINDOW}, not {max(entries)}")
    return tuple(entries) if isinstance(value, (tuple, list)) else entries[0]


def counts(value: Any) -> int | tuple[int, ...]:
    """A number of cells, 0 or more, or one per spatial axis."""
    if isinstance(value, (tuple, list)):
        return tuple(_count(v) for v in value)
    return _count(value)


def padding(value: Any) -> Any:
    """The name of a rule, a number, or one number or pair per axis; lists become tuples."""
    if isinstance(value, str):
        if value not in PAD_NAMES:
            raise ValueError(f"must be one of {', '.join(PAD_NAMES)}, a number or one per axis, not {value}")
        return value
    if isinstance(value, (tuple, list)):
        return tuple(
            tuple(_count(n) for n in v) if isinstance(v, (tuple, list)) and len(v) == 2 else _count(v)
            for v in value
        )
    return _count(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"must count cells, 0 or more, not {value!r}")
    if value > MAX_WINDOW:
        raise ValueError(f"must count {MAX_WINDOW} cells at most, not {value}")
    return value


def per_axis(name: str, value: int | Sequence[int], dims: int) -> tuple[int, ...]:
    """One entry per spatial axis; raises ShapeError naming the setting when the count differs."""
    if isinstance(value, int):
        return (value,) * dims
    if len(value) != dims:
        raise ShapeError(_uneven(name, len(value), dims), setting=name)
    return tuple(value)


def spatial_rank(op: str, x: TensorType) -> int:
    """The number of spatial axes of `[N, *S, C]`, 1 to 3; raises ShapeError."""
    if not 3 <= x.rank <= 5 or x.dtype != "f32":
        found = list(x.shape[1:]) if x.dtype == "f32" else x.words
        raise ShapeError(f"{op} takes 1 to 3 spatial axes and channels, not {found}", operand=0)
    return x.rank - 2


def windows(
    size: Sequence[int], stride: Sequence[int], dilation: Sequence[int], pad: Pads
) -> tuple[Reach, ...]:
    """What a result cell sees of windows with one entry per spatial axis."""
    axes = zip(size, stride, dilation, pad, strict=True)
    return tuple(Reach(k, s, d, lo) for k, s, d, (lo, _) in axes)


def axis_names(dims: int) -> tuple[str, ...]:
    """What the spatial axes are called."""
    return ("depth", "height", "width")[3 - dims :] if dims > 1 else ("length",)


def axis_name(at: int, rank: int) -> str:
    """What an axis of a tensor is called: by name in maps, else by its number without the batch."""
    if at == rank - 1:
        return "channels"
    return axis_names(rank - 2)[at - 1] if 3 <= rank <= 5 else f"axis {at - 1}"


def explain_windows(
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    pad: Pads,
    out: Sequence[int],
    overhang: Sequence[int] = (),
    names: Sequence[str] = (),
) -> list[str]:
    """The formula of windows for each axis: floor((in + pad - dilation * (kernel - 1) - 1) / stride) + 1.

    The axes are the spatial ones unless they have other `names`.
    """
    formulas: dict[str, list[str]] = {}
    extra = overhang or (0,) * len(size)
    called = names or axis_names(len(size))
    axes = zip(called, size, kernel, stride, dilation, pad, out, extra, strict=True)
    for name, n, k, s, d, (lo, hi), o, over in axes:
        padded = f"{n} + {lo} + {hi}" + (f" + {over}" if over else "")
        text = f"floor(({padded} - {d} * ({k} - 1) - 1) / {s}) + 1 = {o}" + (", rounded up" if over else "")
        formulas.setdefault(text, []).append(name)
    return [f"{', '.join(group)}: {text}" for text, group in formulas.items()]


def resolve_pads(
    pad: Any,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Pads:
    """Cells before and after each axis for an input of spatial size `size`."""
    dims = len(size)
    if isinstance(pad, str):
        spans = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        return tuple(_named(pad, s, n, st) for s, n, st in zip(spans, size, stride, strict=True))
    if isinstance(pad, int):
        return ((pad, pad),) * dims
    if len(pad) != dims:
        raise ShapeError(_uneven("pad", len(pad), dims), setting="pad")
    return tuple((p, p) if isinstance(p, int) else (p[0], p[1]) for p in pad)


def _uneven(name: str, entries: int, dims: int) -> str:
    return f"{name} has {counted(entries, 'entry')}, the input {counted(dims, 'spatial axis')}"


def _named(pad: str, span: int, size: int, stride: int) -> tuple[int, int]:
    if pad == "valid":
        return 0, 0
    if pad == "full":
        return span, span
    if pad == "same":
        return span // 2, span - span // 2
    total = max((-(-size // stride) - 1) * stride + span + 1 - size, 0)
    half = total // 2
    return (half, total - half) if pad == "same_upper" else (total - half, half)
