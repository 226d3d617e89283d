"""Ops that are one scalar expression of one operand, made from the rows of a table.

A row says everything of an op.  Its class is made when it is asked for: a network needs a few of them, and a class of
settings takes as long to make as some layers to report.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from netdsl.arrays import Array, np
from netdsl.compat import override
from netdsl.ir import Sample, TensorType, Value
from netdsl.ops.base import LibraryOp
from netdsl.ops.onnx import OnnxBuilder
from netdsl.primitives import PrimitiveBuilder
from netdsl.scalar import Expr

Case = Callable[[type[LibraryOp]], Sample]


def case(shape: tuple[int, ...], settings: Mapping[str, Any] | None = None, **about: Any) -> Case:
    """A sample of an op with these settings; `about` are other fields of `Sample`."""
    return lambda op: Sample(op(**settings or {}), (shape,), **about)


#: two ranks, and a wide range
ANYWHERE = (case((2, 3, 4, 5), low=-4.0, high=4.0), case((3, 7), low=-30.0, high=30.0, smooth=False))


@dataclass(frozen=True)
class Row:
    """An op of one operand: its text, scalar expression, meaning in NumPy and in ONNX, and what it is tested with.

    `scalar`, `reference` and `onnx` take the operand (`onnx` behind a builder), then the settings by name; `onnx` may
    be the name of an op without attributes.  `settings` are fields by name, in order, the first `positional` of which
    (None: all) may come without their names.  `training` is the expression in training where it is another one, of
    the operand and a uniform random number; `check` raises ShapeError where settings do not fit together.
    """

    text: str
    scalar: Callable[..., Expr]
    reference: Callable[..., Array]
    onnx: str | Callable[..., str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    positional: int | None = None
    samples: Sequence[Case] = ANYWHERE
    training: Callable[..., Expr] | None = None
    check: Callable[..., None] | None = None

    def made(self, name: str, module: str) -> type[LibraryOp]:
        """The class of the op."""
        members = {
            "__doc__": inspect.cleandoc(self.text),
            "name": name,
            "positional": tuple(self.settings)[: self.positional],
            "row": self,
        }
        fields = [(setting, Any, value) for setting, value in self.settings.items()]
        title = name.title().replace("_", "")
        op = dataclasses.make_dataclass(title, fields, bases=(Unary,), namespace=members, frozen=True)
        op.__module__ = module
        return op


@dataclass(frozen=True)
class Unary(LibraryOp):
    """Base of the ops made from rows: a scalar expression applied to every element."""

    scalars: ClassVar[bool] = True
    row: ClassVar[Row]

    def _values(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @override
    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        (x,) = types
        if self.row.check is not None:
            self.row.check(**self._values())
        self.check_numbers(x)
        return (x,)

    def expand(self, b: PrimitiveBuilder, *values: Value) -> tuple[Value, ...]:
        """One map, which in training may draw a random number for each element."""
        settings, training = self._values(), self.row.training
        if training is None or not b.training:
            return (b.map(lambda x: self.row.scalar(x, **settings), *values),)
        return (b.map(lambda x, key: training(x, b.uniform(key), **settings), *values, b.key()),)

    def onnx(self, m: OnnxBuilder, types: Sequence[TensorType], *names: str) -> tuple[str, ...]:
        """One node, or those that the row makes."""
        if isinstance(self.row.onnx, str):
            return (m.node(self.row.onnx, *names),)
        return (self.row.onnx(m, *names, **self._values()),)

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        """What the row says, in the precision of the operand."""
        (x,) = arrays
        return (np.asarray(self.row.reference(x, **self._values()), x.dtype),)

    @classmethod
    @override
    def samples(cls) -> Sequence[Sample]:
        return tuple(make(cls) for make in cls.row.samples)
