"""What the ops on pairs of elements share: operands that broadcast, and words for those that do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array
from netdsl.compat import override
from netdsl.ir import ShapeError, TensorType, Value, broadcast_shapes
from netdsl.ops.base import LibraryOp, Reach
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.spatial import axis_name
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr
from netdsl.source import counted


def spread(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """`[N, C]` as `[N, 1, ..., 1, C]`, so that a vector per sample broadcasts over a map; others as they are."""
    if len(shape) == 2 < rank:
        return (shape[0], *(1,) * (rank - 2), shape[1])
    return shape


def mend(shape: tuple[int, ...], other: tuple[int, ...]) -> str | None:
    """What would give a map `[N, *S, C]` the sizes of another, in words, where one setting would do."""
    if len(shape) != len(other) or len(shape) < 3:
        return None
    pairs = list(zip(shape[1:-1], other[1:-1], strict=True))
    if all(a == b for a, b in pairs):
        return f"conv({other[-1]}, 1) gives it {counted(other[-1], 'channel')}"
    if all(a == b for a, b in pairs if not _halved(a, b)):
        odd, even = next((max(p), min(p)) for p in pairs if _halved(*p))
        return f"{odd} is odd: halved and doubled again it is {even}"
    if any(a > b for a, b in pairs):
        steps = {-(-a // b) for a, b in pairs}
        step = steps.pop()
        fits = not steps and step > 1 and all(-(-a // step) == b for a, b in pairs)
        return f"did you mean stride = {step}?" if fits else None
    strided = all(2 * a <= b + 1 for a, b in pairs)
    return "did you mean stride = 1?" if strided else "did you mean pad = same?"


def _halved(a: int, b: int) -> bool:
    """Whether one of two sizes is odd, and the other what halving and doubling makes of it."""
    return min(a, b) > 0 and abs(a - b) == 1 and max(a, b) % 2 == 1


@dataclass(frozen=True)
class Broadcast(LibraryOp):
    """Base: an operation on elements, operands broadcast.

    Shapes may differ where one has size 1; a vector per sample `[C]` broadcasts over the map `[*S, C]` of another
    operand, a number over anything.
    """

    numbers: ClassVar[bool] = True
    scalars: ClassVar[bool] = True
    #: what cannot be done with operands that do not fit
    verb: ClassVar[str] = "broadcast"

    def scalar(self, *operands: Expr) -> Expr:
        """The operation on one element of each operand."""
        raise NotImplementedError(f"{self.name} has no expression")

    def check(self, types: Sequence[TensorType]) -> None:
        """Raise ShapeError unless the operands are numbers."""
        for k, t in enumerate(types):
            self.check_numbers(t, k)

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        if not types or (self.operands is not None and len(types) != self.operands):
            wanted = "one or more operands" if self.operands is None else counted(self.operands, "operand")
            raise ShapeError(f"{self.name} takes {wanted}, not {len(types)}")
        self.check(types)
        rank = max(t.rank for t in types)
        shape: tuple[int, ...] = ()
        for k, t in enumerate(types):
            try:
                if t.rank not in (0, 2, rank):
                    raise ValueError(f"rank {t.rank} does not broadcast to rank {rank}")
                shape = broadcast_shapes(shape, spread(t.shape, rank))
            except ValueError:
                message = f"cannot {self.verb} {list(types[0].shape[1:])} and {list(t.shape[1:])}"
                raise ShapeError(message, operand=k, hint=mend(t.shape, types[0].shape)) from None
        return (TensorType(shape),)

    @override
    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        if types[0].shape == result.shape:
            return ()
        shapes = [(1,) * (result.rank - t.rank) + spread(t.shape, result.rank) for t in types]
        sizes = [(axis_name(at, result.rank), [s[at] for s in shapes]) for at in range(1, result.rank)]
        return [
            f"{name}: {' and '.join(map(str, ns))} broadcast to {max(ns)}"
            for name, ns in sizes
            if len(set(ns)) > 1
        ]

    @override
    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        rank = max(b.type(v).rank for v in values)
        return (b.map(self.scalar, *(b.reshape(v, spread(b.type(v).shape, rank)) for v in values)),)

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...] | None:
        """Cell by cell, unless the one cell of an operand is repeated over a map."""
        maps = [t.shape[1:-1] for t in types if t.rank == result.rank]
        alone = all(spatial == result.shape[1:-1] for spatial in maps)
        return (Reach(),) * (result.rank - 2) if alone else None

    @staticmethod
    def onnx_aligned(m: OnnxBuilder, types: Sequence[TensorType], names: Sequence[str]) -> list[str]:
        """The operands with vectors spread out."""
        rank = max(t.rank for t in types)
        return [
            x if spread(t.shape, rank) == t.shape else m.node("Reshape", x, m.const(spread(t.shape, rank)))
            for x, t in zip(names, types, strict=True)
        ]

    @staticmethod
    def aligned(arrays: Sequence[Array]) -> list[Array]:
        """The arrays with vectors spread out."""
        rank = max(a.ndim for a in arrays)
        return [a.reshape(spread(a.shape, rank)) for a in arrays]
