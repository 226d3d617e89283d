"""What a library op says of itself, beyond the contract of `netdsl.ir.op`.

An op is one frozen dataclass.  Its fields are its settings as the language writes them (`kernel = 3`,
`pad = same`); `setting` gives each a default, its documentation and a check.  Everything else of an op - gradient,
fusion, kernels - follows from `expand`.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from netdsl.ir import Op, ParamSpec, Sample, ShapeError, TensorType, Value
from netdsl.ops.onnx import OnnxBuilder
from netdsl.primitives import PrimitiveBuilder
from netdsl.source import brief

REQUIRED: Any = dataclasses.MISSING
Check = Callable[[Any], Any]


def setting(doc: str, default: Any = REQUIRED, check: Check | None = None) -> Any:
    """A field with documentation; `check` returns the value to store or raises ValueError with the reason."""
    return dataclasses.field(default=default, metadata={"doc": doc, "check": check})


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

    #: settings that may be written without their name, in this order
    positional: ClassVar[tuple[str, ...]] = ()
    #: number of tensor operands, params apart; None: one or more
    operands: ClassVar[int | None] = 1
    #: whether numbers may stand for tensors among the operands
    numbers: ClassVar[bool] = False
    #: leading operands whose cells the result is made of, None: all; others only say which
    seen_operands: ClassVar[int | None] = None

    def params(self, *data: TensorType) -> tuple[ParamSpec, ...]:
        """The weights and statistics that the op owns for data operands of these types."""
        return ()

    def frozen(self) -> LibraryOp:
        """The op as it is under `@freeze`, beside weights that stay: without anything else that training moves."""
        return self

    def check_training(self, *types: TensorType) -> None:
        """Raise ShapeError where operands of these types, fit for inference, cannot be trained on."""
        return

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """The results, made of primitives; `values` are the data operands followed by the params."""
        raise NotImplementedError(f"{self.name} has no expansion")

    def macs(self, *types: TensorType) -> int:
        """Multiply-adds in inference; `types` are those of all operands."""
        raise NotImplementedError(f"{self.name} has no cost rule")

    def flops(self, *types: TensorType) -> int:
        """Floating-point operations in inference: 2 for each multiply-add, 1 for any other operation."""
        raise NotImplementedError(f"{self.name} has no cost rule")

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...] | None:
        """The results in inference as ONNX nodes, from the types and names of all operands.

        None where ONNX has no such op, or not with these settings.
        """
        return None

    def reach(self, types: Sequence[TensorType], result: TensorType) -> tuple[Reach, ...] | None:
        """What one cell of the result sees, per spatial axis; None: every cell of its sample.

        Cell by cell where the spatial size stays, else all of it: ops with windows, and ops that look around
        although the size stays, say it themselves.
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

    @classmethod
    def make(cls, args: Sequence[Any], named: dict[str, Any]) -> typing.Self:
        """The op with settings as written; raises ShapeError naming the wrong setting."""
        known = {f.name: f for f in dataclasses.fields(cls)}
        if len(args) > len(cls.positional):
            raise _too_many(cls.name, cls.positional, known)
        values = dict(zip(cls.positional, args, strict=False))
        for key, value in named.items():
            if key not in known:
                raise ShapeError(f"{cls.name} has no setting {key}", setting=key)
            if key in values:
                raise ShapeError(f"{cls.name} got {key} twice", setting=key)
            values[key] = value
        for key, f in known.items():
            if key not in values and f.default is dataclasses.MISSING:
                raise ShapeError(f"{cls.name} needs {key}", setting=key)
        return cls(**{key: _checked(known[key], value) for key, value in values.items()})


def _too_many(name: str, positional: Sequence[str], known: Iterable[str]) -> ShapeError:
    """What to raise where more settings come without their names than may."""
    others = ", ".join(key for key in known if key not in positional)
    if not positional and not others:
        return ShapeError(f"{name} has no settings")
    first = " and ".join(positional) or "no settings"
    return ShapeError(
        f"{name} takes {first} without a name", hint=f"others by name: {others}" if others else None
    )


def _checked(f: dataclasses.Field[Any], value: Any) -> Any:
    check = f.metadata.get("check")
    if check is None:
        return value
    try:
        return check(value)
    except ValueError as error:
        reason = str(error).replace(repr(value), brief(repr(value)))
        raise ShapeError(f"{f.name} {reason}", setting=f.name) from None
