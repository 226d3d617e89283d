"""The roles of a contraction as products of matrices: what is a row, a column and a term, and where they lie.

| role | a row of the result | a column | a term of the sum | rows of a | columns of b |
|---|---|---|---|---|---|
| forward | pixel of y | feature | tap and channel | pixels of x | kernel |
| backward_data | pixel of x | channel | tap and feature | pixels of y | kernel |
| backward_weights | tap and channel | feature | pixel of y | pixels of x | pixels of y |

Role "backward_data" is one product for each phase of the stride.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from netdsl.cuda.codegen.wide import in_fours
from netdsl.cuda.contract.call import Call
from netdsl.cuda.contract.core import Operand
from netdsl.cuda.contract.finish import Ending
from netdsl.cuda.contract.geometry import Axis
from netdsl.cuda.contract.index import Index
from netdsl.cuda.contract.maps import Maps
from netdsl.schedule import Layout, View


@dataclass(frozen=True)
class Work:
    """A product of matrices for each group, `views` its operands, and the end of it."""

    a: Operand
    b: Operand
    views: tuple[View, View]
    rows: int
    columns: int
    terms: int
    values: dict[str, int]
    ending: Ending


def works(call: Call) -> Iterator[Work]:
    """The products of matrices of a contraction; every element of the result is of one of them."""
    source = call.source
    for axes in call.correlations():
        flat = source.layout is not Layout.STRIDED and all(a.pointwise for a in axes)
        maps = Maps(axes, source, source.shape[-1] // call.op.groups, flat)
        yield _ROLES[call.op.role](call, axes, maps)


def _forward(call: Call, axes: Sequence[Axis], maps: Maps) -> Work:
    """A pixel of the source at the taps times the kernel as it lies in memory."""
    _, kernel, _ = call.tensors
    features = kernel.shape[-1] // call.op.groups
    a = Operand("a", maps.pixels_at("a_row"), maps.taps_at("a_term"), in_fours(maps.source, maps.channels))
    term = maps.linear("b_term", kernel.shape[-1])
    b = Operand("b", Index("b_column", "unit"), term, in_fours(kernel, features))
    values = {**maps.values, "a_group": maps.channels, "b_group": features}
    sizes = (maps.pixels, features, maps.taps * maps.channels)
    return Work(a, b, (maps.source, kernel), *sizes, values, call.ending(axes, features))


def _backward_data(call: Call, axes: Sequence[Axis], maps: Maps) -> Work:
    """A pixel of the source at the taps of this phase times the kernel, whose channels are columns."""
    _, kernel, _ = call.tensors
    channels, width = kernel.shape[-2:]
    if maps.flat:
        ones = [1] * len(axes)
        first = [a.kernel_first for a in axes]
        kernel = kernel.sliced([*first, 0, 0], [*ones, 1, 1], [*ones, channels, width])
    a = Operand("a", maps.pixels_at("a_row"), maps.taps_at("a_term"), in_fours(maps.source, maps.channels))
    term = Index("b_term", "unit") if maps.flat else maps.kernel_at("b_term", kernel)
    b = Operand("b", maps.linear("b_column", width), term, in_fours(kernel, maps.channels))
    values = {**maps.values, "a_group": maps.channels, "b_group": maps.channels}
    sizes = (maps.pixels, channels, maps.taps * maps.channels)
    return Work(a, b, (maps.source, kernel), *sizes, values, call.ending(axes, channels))


def _backward_weights(call: Call, axes: Sequence[Axis], maps: Maps) -> Work:
    """What the pixels of the source meet at a tap times the pixels of y."""
    _, _, y = call.tensors
    features = y.shape[-1] // call.op.groups
    a = Operand("a", maps.taps_at("a_row"), maps.pixels_at("a_term"), in_fours(maps.source, maps.channels))
    term = maps.linear("b_term", y.pitch // y.item)
    b = Operand("b", Index("b_column", "unit"), term, in_fours(y, features))
    values = {**maps.values, "a_group": maps.channels, "b_group": features}
    sizes = (maps.taps * maps.channels, features, maps.pixels)
    return Work(a, b, (maps.source, y), *sizes, values, call.ending(axes, features))


_ROLES: Mapping[str, Callable[[Call, Sequence[Axis], Maps], Work]] = {
    "forward": _forward,
    "backward_data": _backward_data,
    "backward_weights": _backward_weights,
}
