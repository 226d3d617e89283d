"""The op contract: what every op must define.

An op is a frozen dataclass whose fields are its settings.  Primitives and library ops share this contract;
library ops add `expand`, `params`, costs and samples (see `netdsl.ops`).
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl.arrays import Array
from netdsl.ir.literal import format_setting
from netdsl.ir.settings import Init
from netdsl.ir.types import TensorType
from netdsl.source import brief

if TYPE_CHECKING:
    from netdsl.ir.graph import Value


Check = Callable[[Any], Any]
_REQUIRED: Any = dataclasses.MISSING


class ShapeError(Exception):
    """An operand or a setting does not fit.  It names the wrong operand or setting, but no place in a source text.

    `hint` suggests a fix if there is one ("did you mean stride = 1?").
    """

    def __init__(
        self, message: str, operand: int | None = None, setting: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operand = operand
        self.setting = setting
        self.hint = hint


def setting(doc: str, default: Any = _REQUIRED, check: Check | None = None) -> Any:
    """A field with documentation; `check` returns the value to store or raises ValueError with the reason."""
    return field(default=default, metadata={"doc": doc, "check": check})


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """A weight or a statistic that an op owns.

    `name` is the last part of its path (`weight`, `bias`, `running_mean`), `init` the name of an initialiser
    with its number where it takes one, or the numbers themselves, `fan` the pair (fan_in, fan_out) that he and
    glorot scale by,
    `decay` whether weight decay applies, `trainable` False for running statistics.
    """

    name: str
    shape: tuple[int, ...]
    init: Init = "zeros"
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
    #: settings that may be written without their name, in this order
    positional: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def make(cls, args: Sequence[Any], named: Mapping[str, Any]) -> typing.Self:
        """The op with settings as a text has them, checked; raises ShapeError naming the wrong setting."""
        known = {f.name: f for f in fields(cls)}
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
        return cls(**{key: _checked(cls, known[key], value) for key, value in values.items()})

    def check_operands(self, *types: TensorType) -> None:
        """Raise ShapeError unless the op takes so many operands, and the weights among them are its own."""

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
        inner = ", ".join(f"{k}={format_setting(v)}" for k, v in self.settings())
        return f"{self.name}{{{inner}}}" if inner else self.name


def _too_many(name: str, positional: Sequence[str], known: Iterable[str]) -> ShapeError:
    """What to raise where more settings come without their names than may."""
    others = ", ".join(key for key in known if key not in positional)
    if not positional and not others:
        return ShapeError(f"{name} has no settings")
    first = " and ".join(positional) or "no settings"
    return ShapeError(
        f"{name} takes {first} without a name", hint=f"others by name: {others}" if others else None
    )


def _checked(op: type[Op], f: dataclasses.Field[Any], value: Any) -> Any:
    check = f.metadata.get("check")
    if value is None and f.default is None:
        return None
    if check is None:
        if not _fits(value, _hints(op)[f.name]):  # type: ignore[arg-type]
            raise ShapeError(f"{f.name} must be {f.type}, not {brief(repr(value))}", setting=f.name)
        return value
    try:
        return check(value)
    except ValueError as error:
        # As the language writes them: none, true, false.
        shown = str(value).lower() if value is None or isinstance(value, bool) else brief(repr(value))
        reason = str(error).replace(repr(value), shown)
        raise ShapeError(f"{f.name} {reason}", setting=f.name) from None


@functools.cache
def _hints(op: type[Op]) -> dict[str, Any]:
    return typing.get_type_hints(op)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the type that an annotation says; true and false are no numbers."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, a) for a in args)
    if origin is typing.Literal:
        return value in args
    if origin is tuple:
        wanted = (args[0],) * len(value) if isinstance(value, tuple) and args[1:] == (...,) else args
        return isinstance(value, tuple) and len(value) == len(wanted) and all(map(_fits, value, wanted))
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
