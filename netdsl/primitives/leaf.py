"""The leaves of a graph: what is fed, what is learnt, what is remembered, what is fixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netdsl.arrays import Array, np
from netdsl.ir.op import Op, ShapeError
from netdsl.ir.types import TensorType


@dataclass(frozen=True)
class Leaf(Op):
    """A node without operands whose type is a setting."""

    type: TensorType

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The type as set."""
        if types:
            raise ShapeError(f"{self.name} takes no operands")
        return (self.type,)


@dataclass(frozen=True)
class Input(Leaf):
    """A value fed at each run: an image, labels, a learning rate, the random key."""

    name: ClassVar[str] = "input"


@dataclass(frozen=True)
class Param(Leaf):
    """A trained weight.

    `init`, `value` and `fan` say how it starts (see `ParamSpec`), `decay` whether weight decay applies,
    `trainable` is False when frozen, `lr` multiplies the learning rate.
    """

    name: ClassVar[str] = "param"
    init: str = "zeros"
    value: float = 0.0
    fan: tuple[int, int] = (1, 1)
    decay: bool = True
    trainable: bool = True
    lr: float = 1.0


@dataclass(frozen=True)
class State(Leaf):
    """A value that is kept between steps but not trained by gradient: running statistics, optimiser slots."""

    name: ClassVar[str] = "state"
    init: str = "zeros"
    value: float = 0.0


@dataclass(frozen=True, eq=False)
class Const(Op):
    """A fixed scalar or array; float, int or bool."""

    name: ClassVar[str] = "const"
    value: Array | float | int | bool

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The type of the value; floats are f32."""
        if isinstance(self.value, float):
            return (TensorType(()),)
        array = np.asarray(self.value)
        match array.dtype.kind:
            case "f":
                return (TensorType(array.shape, "f32"),)
            case "i":
                return (TensorType(array.shape, "i64"),)
            case "b":
                return (TensorType(array.shape, "bool"),)
        raise ShapeError(f"a constant of type {array.dtype} is neither float, int nor bool")

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """The value itself."""
        array = np.asarray(self.value)
        return (array.astype(np.float32) if array.dtype.kind == "f" else array,)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Const):
            return NotImplemented
        a, b = np.asarray(self.value), np.asarray(other.value)
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()

    def __hash__(self) -> int:
        return hash(np.asarray(self.value).tobytes())
