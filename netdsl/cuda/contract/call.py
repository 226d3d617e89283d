"""A contraction to be planned: the primitive and where its tensors lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netdsl.cuda.contract.finish import Box, Ending, ending
from netdsl.cuda.contract.geometry import Axis, correlations
from netdsl.primitives import Contract
from netdsl.schedule import View

_ORDER = {"forward": (0, 1, 2), "backward_data": (2, 1, 0), "backward_weights": (0, 2, 1)}


@dataclass(frozen=True)
class Call:
    """A contraction of operands, those of its epilogue among them."""

    op: Contract
    operands: tuple[View, ...]
    result: View

    @property
    def tensors(self) -> tuple[View, View, View]:
        """x, kernel and y."""
        x, kernel, y = ((*self.operands[:2], self.result)[k] for k in _ORDER[self.op.role])
        return x, kernel, y

    @property
    def source(self) -> View:
        """The tensor whose pixels the taps meet."""
        x, _, y = self.tensors
        return y if self.op.role == "backward_data" else x

    @property
    def title(self) -> str:
        """A short name for profiles, such as `contract forward 3x3 64->128 @ 28x28`."""
        op, (x, kernel, y) = self.op, self.tensors
        taps, pixels = ("x".join(map(str, sizes)) for sizes in (kernel.shape[:-2], y.shape[1:-1]))
        groups = f" in {op.groups} groups" if op.groups > 1 else ""
        at = f" @ {pixels}" if pixels else ""
        precision = f" {op.precision}" if op.precision != "f32" else ""
        return f"contract {op.role}{precision} {taps}{' ' if taps else ''}{x.shape[-1]}->{y.shape[-1]}{groups}{at}"

    def correlations(self) -> Iterator[tuple[Axis, ...]]:
        """The axes of each."""
        x, kernel, y = self.tensors
        return correlations(self.op, x.shape[1:-1], kernel.shape[:-2], y.shape[1:-1])

    def ending(self, axes: Sequence[Axis], channels: int) -> Ending:
        """The end of one correlation; so many channels in a row belong to a group."""
        shape = self.result.shape
        first, step, count = (0,) * len(shape), (1,) * len(shape), shape
        if self.op.role == "backward_data":
            first = (0, *(a.first for a in axes), 0)
            step = (1, *(a.stride for a in axes), 1)
            count = (shape[0], *(a.count for a in axes), shape[-1])
        return ending(self.op.epilogue, self.operands[2:], self.result, Box(first, step, count), channels)
