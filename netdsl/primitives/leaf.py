"""The leaves of a graph: inputs, trained parameters, states and constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeGuard

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir.op import Op, ShapeError, setting
from netdsl.ir.settings import Init, boolean, fans, leaf_initializer, number, numbers_shape, tensor_type
from netdsl.ir.types import TensorType


def _constant(value: Any) -> Any:
    """A number of 64 bits at most, or an array."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("must be an integer of 64 bits at most")
    if not isinstance(value, (float, int, np.ndarray)):
        raise ValueError(f"must be a number or an array, not {value!r}")
    return value


def spread_numbers(numbers: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape under which numbers broadcast to a weight: axes that are missing at the end are 1.

    Raises ShapeError where they do not.
    """
    own = numbers_shape(numbers)
    full = (*own, *(1,) * (len(shape) - len(own)))
    if len(full) > len(shape) or any(n not in (1, s) for n, s in zip(full, shape, strict=True)):
        message = f"numbers of shape {list(own)} do not fill a weight {list(shape)}"
        raise ShapeError(message, setting="init", hint="axes that are missing at the end count as 1")
    return full


@dataclass(frozen=True)
class Leaf(Op):
    """A node without operands whose type is a setting."""

    type: TensorType = setting("its type", check=tensor_type)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The type as set; numbers that it starts from must fill it."""
        init = getattr(self, "init", None)
        if isinstance(init, tuple):
            spread_numbers(init, self.type.shape)
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
    init: Init = setting("its initialiser", "zeros", leaf_initializer)
    value: float = setting("the value of constant", 0.0, number)
    fan: tuple[int, int] = setting("what he and glorot scale by", (1, 1), fans)
    decay: bool = setting("whether weight decay applies", True, boolean)
    trainable: bool = setting("whether it learns", True, boolean)
    lr: float = setting("a factor of the learning rate", 1.0, number)


def learns(op: Op) -> TypeGuard[Param]:
    """Whether a leaf is a weight that training changes."""
    return isinstance(op, Param) and op.trainable


@dataclass(frozen=True)
class State(Leaf):
    """A value that is kept between steps but not trained by gradient: running statistics, optimiser slots."""

    name: ClassVar[str] = "state"
    init: Init = setting("its initialiser", "zeros", leaf_initializer)
    value: float = setting("the value of constant", 0.0, number)


@dataclass(frozen=True, eq=False)
class Const(Op):
    """A fixed scalar or array; float, int or bool."""

    name: ClassVar[str] = "const"
    value: Array | float | int | bool = setting("the number or the array", check=_constant)

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

    @override
    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        array = np.asarray(self.value)
        return (array.astype(np.float32) if array.dtype.kind == "f" else array,)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Const):
            return NotImplemented
        a, b = np.asarray(self.value), np.asarray(other.value)
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()

    def __hash__(self) -> int:
        return hash(np.asarray(self.value).tobytes())
