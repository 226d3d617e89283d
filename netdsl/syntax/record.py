"""Immutable classes with named fields, cheap to make."""

from dataclasses import field
from typing import Any, ClassVar, NoReturn, dataclass_transform

from netdsl.source import Span


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Record:
    """Base of the tree's classes: fields by position, as annotated, and the `span` by keyword.

    It behaves as a frozen dataclass whose span is not compared and not shown.  It is not a dataclass because those
    compile six methods per class: for the forty classes of the tree, that takes longer than reading a file.
    """

    _fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        # Annotations with a value in the class, such as the span, are not positional fields.
        own = (name for name in cls.__annotations__ if name not in vars(cls))
        cls._fields = (*cls._fields, *own)

    def __init__(self, *values: Any, span: Span) -> None:
        vars(self).update(zip(self._fields, values, strict=True), span=span)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be assigned")

    def _values(self) -> tuple[Any, ...]:
        return tuple(vars(self)[name] for name in self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        parts = (f"{name}={value!r}" for name, value in zip(self._fields, self._values(), strict=True))
        return f"{type(self).__name__}({', '.join(parts)})"
