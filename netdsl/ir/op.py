"""The op contract: what an op must say of itself so that the rest of the house can work with it.

An op is a frozen dataclass whose fields are its settings.  Primitives and library ops share this contract;
library ops add `expand`, `params`, costs and samples (see `netdsl.ops`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl.arrays import Array
from netdsl.ir.types import TensorType

if TYPE_CHECKING:
    from netdsl.ir.graph import Value


class ShapeError(Exception):
    """An operand or a setting does not fit.  Knows no source text; names the guilty operand or setting.

    `hint` is a fix in words, where one can be named ("did you mean stride = 1?").
    """

    def __init__(
        self, message: str, operand: int | None = None, setting: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operand = operand
        self.setting = setting
        self.hint = hint


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """A weight or a statistic that an op owns.

    `name` is the last part of its path (`weight`, `bias`, `running_mean`), `init` the name of an initialiser
    with its number where it takes one, `fan` the pair (fan_in, fan_out) that he and glorot scale by,
    `decay` whether weight decay applies, `trainable` False for running statistics.
    """

    name: str
    shape: tuple[int, ...]
    init: str = "zeros"
    value: float = 0.0
    fan: tuple[int, int] = (1, 1)
    decay: bool = True
    trainable: bool = True


@dataclass(frozen=True)
class Sample:
    """A setting of an op and operand shapes to test it with.

    `data` are the shapes of the data operands (params come from the op), `low`/`high` the range of the random
    values, `integers` the operands that are labels below the given count, `boxes` those that are boxes within a
    square of the given size, `fixed` those that get no gradient by definition, `training` picks the mode, `error`
    is part of the message when the shape rule must refuse, `random` marks results that only have statistics,
    `smooth` False leaves out the finite-difference check (kinks everywhere).
    """

    op: Op
    data: tuple[tuple[int, ...], ...]
    low: float = -1.0
    high: float = 1.0
    integers: dict[int, int] = field(default_factory=dict)
    booleans: tuple[int, ...] = ()
    boxes: dict[int, float] = field(default_factory=dict)
    fixed: tuple[int, ...] = ()
    training: bool = False
    error: str | None = None
    random: bool = False
    smooth: bool = True

    def __str__(self) -> str:
        shapes = ",".join("x".join(map(str, s)) or "scalar" for s in self.data)
        return f"{self.op}({shapes})" + ("/training" if self.training else "")


@dataclass(frozen=True)
class Op:
    """Base of every op; see the module's text."""

    name: ClassVar[str] = ""

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """Types of the results from the types of the operands; raises ShapeError."""
        raise NotImplementedError(f"{self.name} has no shape rule")

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """The meaning in plain NumPy, in the precision of the operands."""
        raise NotImplementedError(f"{self.name} has no reference")

    def vjp(
        self, b: Any, inputs: Sequence[Value], outputs: Sequence[Value], grads: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        """Gradients of the operands from those of the results (None: no gradient flows)."""
        raise NotImplementedError(f"{self.name} has no gradient")

    def settings(self) -> Iterator[tuple[str, Any]]:
        """The settings that differ from their defaults, in order of declaration."""
        for f in fields(self):
            value = getattr(self, f.name)
            # 1 and True are equal, and no array is a default.
            if type(value) is not type(f.default) or value != f.default:
                yield f.name, value

    def __str__(self) -> str:
        from netdsl.ir.text import format_setting

        inner = ", ".join(f"{k}={format_setting(v)}" for k, v in self.settings())
        return f"{self.name}{{{inner}}}" if inner else self.name
