"""Argument blocks in Numba: an address whose fields a kernel reads and writes by name."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeVar, cast, get_type_hints

from llvmlite import ir
from numba import types
from numba.core.imputils import lower_builtin, lower_getattr_generic, lower_setattr_generic
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global
from numba.extending import intrinsic, models, register_model

from netdsl.backend.arguments import Block, Field, Kind, Rows, layout_of

B = TypeVar("B", bound=Block)
I64, F32 = ir.IntType(64), ir.FloatType()
INT = types.int64


def signature_of(function: Callable[..., None], arguments: int) -> Any:
    """Of a kernel of so many int64s, the first of which is an argument block where it is annotated as one."""
    first = next(iter(get_type_hints(function).values()), int)
    block = BlockType(first) if isinstance(first, type) and issubclass(first, Block) else INT
    return types.void(block, *[INT] * (arguments - 1))


class BlockType(types.Type):  # type: ignore[misc]  # Numba has no types
    """The address of an argument block, by whose fields it reads and writes memory."""

    def __init__(self, block: type[Block]) -> None:
        super().__init__(block.__name__)
        self.layout = layout_of(block)


class TableType(types.Type):  # type: ignore[misc]
    """The address of int64s, or of rows that are blocks."""

    def __init__(self, row: type[Block] | None) -> None:
        super().__init__("Ints" if row is None else f"Rows_{row.__name__}")
        self.element = INT if row is None else BlockType(row)
        self.bytes = 8 if row is None else 8 * layout_of(row).words


@register_model(BlockType)
@register_model(TableType)
class _AddressModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, I64)


def _field_type(field: Field) -> Any:
    if field.kind in (Kind.INTS, Kind.ROWS):
        return TableType(field.row)
    return {Kind.BOOL: types.boolean, Kind.FLOAT: types.float32}.get(field.kind, INT)


def _pointer(b: Any, address: Any, offset: Any, kind: Any = I64) -> Any:
    offset = I64(offset) if isinstance(offset, int) else offset
    return b.inttoptr(b.add(address, offset), kind.as_pointer())


@infer_getattr
class _Fields(AttributeTemplate):  # type: ignore[misc]
    key = BlockType

    def generic_resolve(self, kind: BlockType, name: str) -> Any:
        return _field_type(kind.layout[name])


@lower_getattr_generic(BlockType)
def _get_field(context: Any, b: Any, kind: BlockType, block: Any, name: str) -> Any:
    field = kind.layout[name]
    if field.count is not None:
        return b.add(block, I64(8 * field.word))
    value = b.load(_pointer(b, block, 8 * field.word, F32 if field.kind is Kind.FLOAT else I64))
    return b.icmp_signed("!=", value, I64(0)) if field.kind is Kind.BOOL else value


@lower_setattr_generic(BlockType)
def _set_field(context: Any, b: Any, signature: Any, args: Any, name: str) -> None:
    block, value = args
    b.store(value, _pointer(b, block, 8 * signature.args[0].layout[name].word, value.type))


@infer_global(operator.getitem)
class _GetElement(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        return args[0].element(args[0], INT) if isinstance(args[0], TableType) else None


@infer_global(operator.setitem)
class _SetElement(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        return types.void(args[0], INT, INT) if isinstance(args[0], TableType) else None


@lower_builtin(operator.getitem, TableType, types.Integer)
def _get_element(context: Any, b: Any, signature: Any, args: Any) -> Any:
    table = signature.args[0]
    offset = b.mul(args[1], I64(table.bytes))
    return b.load(_pointer(b, args[0], offset)) if table.element == INT else b.add(args[0], offset)


@lower_builtin(operator.setitem, TableType, types.Integer, types.Integer)
def _set_element(context: Any, b: Any, signature: Any, args: Any) -> None:
    b.store(args[2], _pointer(b, args[0], b.mul(args[1], I64(8))))


def block_at(kind: type[B]) -> Callable[[int], B]:
    """Make the function that takes an address for a block."""
    return cast("Callable[[int], B]", _taken_for(BlockType(kind)))


def rows_at(kind: type[B]) -> Callable[[int], Rows[B]]:
    """Make the function that takes an address for rows of a table."""
    return cast("Callable[[int], Rows[B]]", _taken_for(TableType(kind)))


def _taken_for(kind: Any) -> Any:
    @intrinsic
    def taken(typing: Any, address: Any) -> Any:
        return kind(INT), _same

    return taken


def _same(context: Any, b: Any, signature: Any, args: Any) -> Any:
    return args[0]


@intrinsic
def address(typing: Any, block: Any) -> Any:
    """The address of a block or a table, as int64."""
    return INT(block), _same
