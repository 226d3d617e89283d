"""Read the text form of graphs."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from netdsl.ir.builder import Builder
from netdsl.ir.graph import Graph, Value
from netdsl.ir.op import Op
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

    def graph(self, tree: Tree[Token]) -> Graph:
        outputs: dict[str, Value] = {}
        aux: list[str] = []
        for item in tree.children:
            assert isinstance(item, Tree)
            match item.data:
                case "node":
                    self.node(item)
                case "result":
                    outputs[str(item.children[0])] = _value(item.children[1])
                case "aux":
                    aux = [str(name) for name in item.children]
                case "update":
                    self.builder.update(_value(item.children[0]), _value(item.children[1]))
        return self.builder.finish(outputs, aux)

    def node(self, tree: Tree[Token]) -> None:
        first, name, *rest = tree.children
        if str(name) not in self.ops:
            raise ValueError(f"graph text, line {getattr(name, 'line', '?')}: no op is called {name}")
        settings = {str(s.children[0]): _setting(s.children[1]) for s in rest if isinstance(s, Tree)}
        inputs = [_value(t) for t in rest if isinstance(t, Token) and t.type == "VALUE"]
        types = tuple(_type(t) for t in rest if isinstance(t, Token) and t.type == "TYPE")
        out = self.builder.add(self.ops[str(name)](**settings), *inputs, name=_value(first).node)
        node = self.builder.nodes[out[0].node]
        if node.types != types or node.id != _value(first).node:
            raise ValueError(f"%{node.id}: the text says {types}, the shape rule {node.types}")


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
