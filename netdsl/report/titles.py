"""What stands in a box: the kind of a layer and the settings that tell it from others of its kind."""

from __future__ import annotations

from typing import Any

from netdsl.report.summary import Row, Summary

FAMILIES = {
    "conv": ("conv", "conv_transpose", "depthwise_conv", "separable_conv"),
    "dense": ("dense", "matmul"),
    "pool": ("max_pool", "avg_pool", "lp_pool", "stochastic_pool", "global_avg_pool", "global_max_pool"),
    "norm": ("batch_norm", "group_norm", "instance_norm", "layer_norm", "lrn", "l2_normalize"),
    "merge": ("add", "sub", "mul", "div", "concat", "stack", "split", "where"),
    "input": ("input",),
}
_SHAPED_BY_WEIGHTS_OR_WINDOWS = ("conv", "dense", "pool", "input")
_MOVES = ("flatten", "reshape", "transpose", "pad", "crop", "slice")


def family(op: str) -> str:
    """What an op is, as far as its colour goes."""
    return next((name for name, ops in FAMILIES.items() if op in ops), "other")


def title(summary: Summary, row: Row) -> str:
    """`conv 3x3 /2` says more than `conv`."""
    return " ".join([row.kind, *details(summary, row)])


def details(summary: Summary, row: Row) -> list[str]:
    """Kernel, stride, dilation and groups of a layer, where it has them and they are not 1; how much it enlarges."""
    op: Any = summary.graph[row.name].op
    rank = len(row.shape) - 1
    kernel = getattr(op, "kernel", None) or (
        getattr(op, "size", None) if family(row.kind) == "pool" else None
    )
    if kernel is None:
        return [f"x{_sizes(op.scale, 1)}"] if row.kind == "upsample" else []
    words = [_sizes(kernel, rank)]
    stride = getattr(op, "stride", 1) or kernel
    dilation, groups = getattr(op, "dilation", 1), getattr(op, "groups", 1)
    words += [f"/{_sizes(stride, 1)}"] if stride != 1 else []
    words += [f"dilation {_sizes(dilation, 1)}"] if dilation != 1 else []
    if groups != 1 and family(row.kind) == "conv":
        words.append("depthwise" if groups == _fed(summary, row)[-1] else f"{groups} groups")
    return words


def finishes(summary: Summary, row: Row) -> bool:
    """Whether a layer only works on what one other made: an activation, a norm, dropout, the same moved about."""
    if len(row.sources) != 1 or family(row.kind) in _SHAPED_BY_WEIGHTS_OR_WINDOWS:
        return False
    return row.kind in _MOVES or row.shape == _fed(summary, row)


def _fed(summary: Summary, row: Row) -> tuple[int, ...]:
    """The shape of a layer's first operand that is no number."""
    graph = summary.graph
    fed = next(value for value in graph[row.name].inputs if value.node == row.sources[0])
    return graph.type(fed).shape[1:]


def _sizes(size: Any, rank: int) -> str:
    sizes = size if isinstance(size, tuple) else (size,) * rank
    return "x".join(map(str, sizes[:1] if rank == 1 and len(set(sizes)) == 1 else sizes))
