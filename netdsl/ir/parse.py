"""Read the text form of graphs."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from netdsl.arrays import np
from netdsl.ir.builder import Builder
from netdsl.ir.graph import Graph, Value
from netdsl.ir.op import Op, ShapeError
from netdsl.ir.types import TensorType
from netdsl.scalar import parse_expr
from netdsl.syntax.grammar import grammar_text

_ARRAY_DTYPES = ("float32", "float64", "int64", "bool")


@cache
def _parser() -> Lark:
    return Lark(grammar_text("ir.lark"), parser="lalr", maybe_placeholders=False)


def parse_graph(text: str, ops: Mapping[str, type[Op]]) -> Graph:
    """The graph that `format_graph` wrote.  `ops` maps names to op classes; raises ValueError."""
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        place = f"line {error.line}, column {error.column}"
        raise ValueError(f"graph text, {place}: {error.get_context(text).strip()}") from None
    return _Reader(ops).graph(tree)


class _Reader:
    def __init__(self, ops: Mapping[str, type[Op]]) -> None:
        self.ops = ops
        self.builder = Builder()
        self.outputs: dict[str, Value] = {}
        self.aux: list[str] = []

    def graph(self, tree: Tree[Token]) -> Graph:
        for item in tree.children:
            assert isinstance(item, Tree)
            line = f"graph text, line {getattr(item.children[0], 'line', '?')}"
            try:
                self.item(item)
            except ShapeError as error:
                raise ValueError(f"{line}: {error.message}") from None
            except (TypeError, AttributeError, ValueError) as error:
                # A setting of the wrong kind is met by the op's own rules.
                raise ValueError(f"{line}: {error}") from error
        return self.builder.finish(self.outputs, self.aux)

    def item(self, tree: Tree[Token]) -> None:
        first, *rest = tree.children
        match tree.data:
            case "node":
                name = str(rest[0])
                if name not in self.ops:
                    raise ValueError(f"no op is called {name}")
                self.add(_value(first).node, self.ops[name], rest[1:])
            case "result":
                self.outputs[str(first)] = self.value(rest[0])
            case "aux":
                self.aux = [str(name) for name in tree.children]
            case "update":
                self.builder.update(self.value(first), self.value(rest[0]))

    def add(self, node: str, op: type[Op], rest: Sequence[object]) -> None:
        if node in self.builder.nodes:
            raise ValueError(f"%{node} is there already")
        settings = {str(s.children[0]): _setting(s.children[1]) for s in rest if isinstance(s, Tree)}
        inputs = [self.value(t) for t in rest if isinstance(t, Token) and t.type == "VALUE"]
        types = [str(t) for t in rest if isinstance(t, Token) and t.type == "TYPE"]
        self.builder.add(op(**settings), *inputs, name=node)
        inferred = [str(t) for t in self.builder.nodes[node].types]
        if types != inferred:
            raise ValueError(f"%{node}: the text says {', '.join(types)}, the rule {', '.join(inferred)}")

    def value(self, token: object) -> Value:
        value = _value(token)
        if value.node not in self.builder.nodes or value.port >= len(self.builder.nodes[value.node].types):
            raise ValueError(f"{value} is not defined before")
        return value


def _value(token: object) -> Value:
    name, _, port = str(token)[1:].partition(":")
    return Value(name, int(port or 0))


def _type(token: object) -> TensorType:
    dtype, _, dims = str(token).rstrip("]").partition("[")
    return TensorType(tuple(int(d) for d in dims.split(",") if d), dtype)  # type: ignore[arg-type]


def _setting(tree: Any) -> Any:
    if tree.data == "tuple":
        return tuple(_setting(child) for child in tree.children)
    if tree.data == "array":
        return _array(*tree.children)
    if tree.data in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[tree.data]
    text = str(tree.children[0])
    match tree.data:
        case "type":
            return _type(text)
        case "expr":
            return parse_expr(text[1:-1])
        case "string":
            return _string(text)
        case "integer":
            return int(text)
    return float(text)


def _string(text: str) -> str:
    return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")


def _array(dtype: object, shape: Any, data: object) -> np.ndarray[Any, Any]:
    name, dims = _string(str(dtype)), _setting(shape)
    raw = base64.b64decode(_string(str(data)), validate=True)
    if name not in _ARRAY_DTYPES or len(raw) != math.prod(dims) * np.dtype(name).itemsize:
        raise ValueError(f"array of {name} with shape {dims} does not match its {len(raw)} bytes")
    return np.frombuffer(raw, np.dtype(name)).reshape(dims)
