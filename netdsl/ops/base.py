"""The contract of library ops, beyond that of `netdsl.ir.op`.

An op is one frozen dataclass.  Its fields are its settings as the language writes them (`kernel = 3`,
`pad = same`); `setting` gives each a default, its documentation and a check.  Everything else of an op - gradient,
fusion, kernels - follows from `expand`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from netdsl.ir import Op, ParamSpec, Sample, ShapeError, TensorType, Value
from netdsl.ir.op import setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.primitives import PrimitiveBuilder
from netdsl.source import counted

__all__ = ["LibraryOp", "Reach", "setting"]


@dataclass(frozen=True, slots=True)
class Reach:
    """A window along one axis: cell i sees the places `(i * stride - pad + k * dilation) / unit`, k below size.

    `unit` is above 1 behind upsampling.  A place between two cells stands for the one before it, for "both"
    (interpolation) or for "none" (a transposed convolution): `between`.
    """

    size: int = 1
    stride: int = 1
    dilation: int = 1
    pad: int = 0
    unit: int = 1
    between: Literal["before", "both", "none"] = "before"

    def cells(self, cell: int, tap: int) -> tuple[int, ...]:
        """The operand's cells, those in its padding too, that tap number `tap` of a result cell sees."""
        low, rest = divmod(cell * self.stride - self.pad + tap * self.dilation, self.unit)
        if not rest or self.between == "before":
            return (low,)
        return (low, low + 1) if self.between == "both" else ()


@dataclass(frozen=True)
class LibraryOp(Op):
    """Base of the ops that people write in `.net` files."""

    #: number of tensor operands, params apart; None: one or more
    operands: ClassVar[int | None] = 1
    #: whether numbers may stand for tensors among the operands
    numbers: ClassVar[bool] = False
    #: whether operands may be single values, such as a loss, that have no batch axis
    scalars: ClassVar[bool] = False
    #: leading operands whose cells the result is made of, None: all; others only say which
    seen_operands: ClassVar[int | None] = None

    def check_operands(self, *types: TensorType) -> None:
        """As many data operands as `operands` says, then the weights that `params` names."""
        data = types if self.operands is None else types[: self.operands]
        if len(data) < (1 if self.operands is None else self.operands):
            many = "one or more tensors" if self.operands is None else counted(self.operands, "tensor")
            raise ShapeError(f"{self.name} takes {many}, not {len(data)}")
        self.check_samples(*data)
        wanted = [TensorType(spec.shape) for spec in self.params(*data)]
        given = list(types[len(data) :])
        if given != wanted:
            shown = [", ".join(map(str, side)) or "none" for side in (wanted, given)]
            raise ShapeError(f"the weights of {self.name} are {shown[0]}, not {shown[1]}")

    def check_samples(self, *data: TensorType) -> None:
        """Raise ShapeError for a single value where samples belong; what follows may rely on a batch axis."""
        for k, t in enumerate(data):
            if t.rank == 0 and not self.scalars:
                raise ShapeError(f"{self.name} takes samples, not a single value", operand=k)

    def params(self, *data: TensorType) -> tuple[ParamSpec, ...]:
        """The weights and statistics that the op owns for data operands of these types."""
        return ()

    def check_numbers(self, x: TensorType, operand: int = 0) -> None:
        """Raise ShapeError where an operand is labels or conditions."""
        if x.dtype != "f32":
            raise ShapeError(f"{self.name} takes numbers, not {x.words}", operand=operand)

    def check_channels(self, x: TensorType) -> None:
        """Raise ShapeError unless the first operand is numbers along an axis of channels."""
        if x.rank < 2 or x.dtype != "f32":
            raise ShapeError(f"{self.name} takes channels, not {x.words}", operand=0)

    def frozen(self) -> LibraryOp:
        """The op under `@freeze`: besides frozen weights, training changes nothing else of it, such as statistics."""
        return self

    def check_training(self, *types: TensorType) -> None:
        """Raise ShapeError where operands of these types, fit for inference, cannot be trained on."""
        return

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """The results, made of primitives; `values` are the data operands followed by the params."""
        raise NotImplementedError(f"{self.name} has no expansion")

    def published_flops(self, *types: TensorType) -> int | None:
        """Floating-point operations in inference where a publication counts otherwise than `expand` adds up."""
        return None

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...] | None:
        """The results in inference as ONNX nodes, from the types and names of all operands.

        None where ONNX has no such op, or not with these settings.
        """
        return None

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...] | None:
        """What one cell of the result sees, per spatial axis; None: every cell of its sample.

        By default, one cell where the spatial size stays, else everything.  Ops with windows, and ops that read other
        cells although the size stays, override it.
        """
        shape = types[0].shape
        same = len(shape) == result.rank and shape[1:-1] == result.shape[1:-1]
        return (Reach(),) * (len(shape) - 2) if same else None

    def explain(self, types: Sequence[TensorType], result: TensorType) -> Sequence[str]:
        """How the shape of the result comes about, a line per axis that changes, with the numbers put in."""
        return ()

    @classmethod
    def samples(cls) -> Sequence[Sample]:
        """Settings and shapes that the conformance suite runs, refused ones included."""
        raise NotImplementedError(f"{cls.name} has no samples")
