"""Read the text form of graphs.  It may come from a file, so everything in it is checked."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lark import Token, Tree
from lark.exceptions import UnexpectedInput

from netdsl.arrays import np
from netdsl.ir.builder import Builder
from netdsl.ir.graph import Graph, Value
from netdsl.ir.op import Op, ShapeError
from netdsl.ir.types import TensorType
from netdsl.limits import MAX_GPU, MAX_GRAPH_TEXT, MAX_NESTING, MAX_NODES
from netdsl.scalar import parse_expr
from netdsl.source import Diagnostic, NetError, Source, Span, brief, counted
from netdsl.syntax.grammar import GRAPHS, parser_of

_ARRAY_DTYPES = ("float32", "float64", "int64", "bool")


def parse_graph(text: str, ops: Mapping[str, type[Op]], name: str = "graph text") -> Graph:
    """The graph that `format_graph` wrote, checked as a network of the language is.

    `ops` maps names to op classes; `name` is what messages call the text.  Raises NetError with the place.
    """
    source = Source(name, text)
    if len(text) > MAX_GRAPH_TEXT:
        raise NetError(
            Diagnostic("limit", f"{name} has {len(text):_} characters, at most {MAX_GRAPH_TEXT:_} are read")
        )
    try:
        tree = parser_of(GRAPHS).parse(text)
    except UnexpectedInput as error:
        at = error.pos_in_stream or 0
        raise NetError(
            Diagnostic("graph", "this is not how graphs are written", Span(source, at, at + 1))
        ) from None
    return _Reader(ops, source).graph(tree)


class _Reader:
    def __init__(self, ops: Mapping[str, type[Op]], source: Source) -> None:
        self.ops = ops
        self.source = source
        self.builder = Builder()
        self.outputs: dict[str, Value] = {}
        self.aux: list[str] = []

    def graph(self, tree: Tree[Token]) -> Graph:
        for item in tree.children:
            assert isinstance(item, Tree)
            with self.at(item):
                self.item(item)
        return self.builder.finish(self.outputs, self.aux)

    @contextmanager
    def at(self, tree: Tree[Token] | Token) -> Iterator[None]:
        """Add the place to an error that the body raises."""
        try:
            yield
        except (ShapeError, ValueError) as error:
            place = tree.meta if isinstance(tree, Tree) else tree
            start, end = place.start_pos or 0, place.end_pos or 0
            message = brief(str(error), 400)
            raise NetError(Diagnostic("graph", message, Span(self.source, start, end))) from None

    def item(self, tree: Tree[Token]) -> None:
        first, *rest = tree.children
        match tree.data:
            case "node":
                self.node(str(first)[1:], str(rest[0]), rest[1:])
            case "result":
                if str(first) in self.outputs:
                    raise ValueError(f"the output {first} is there already")
                self.outputs[str(first)] = self.value(rest[0])
            case "aux":
                self.aux = [str(name) for name in tree.children]
                if missing := [name for name in self.aux if name not in self.outputs]:
                    raise ValueError(f"there is no output {missing[0]}")
            case "update":
                self.update(self.value(first), self.value(rest[0]))

    def node(self, name: str, op: str, rest: Sequence[Any]) -> None:
        if op not in self.ops:
            raise ValueError(f"no op is called {op}")
        if name in self.builder.nodes:
            raise ValueError(f"%{name} is there already")
        if len(self.builder.nodes) >= MAX_NODES:
            raise ValueError(f"the graph has more than {MAX_NODES:_} nodes")
        inputs = [self.value(t) for t in rest if isinstance(t, Token) and t.type == "VALUE"]
        types = [_type(t) for t in rest if isinstance(t, Token) and t.type == "TYPE"]
        made = self.op(self.ops[op], [t for t in rest if isinstance(t, Tree)])
        made.check_operands(*(self.builder.type(v) for v in inputs))
        gpu = next((_gpu(t) for t in rest if isinstance(t, Token) and t.type == "GPU"), None)
        with self.builder.on(gpu):
            self.builder.add(made, *inputs, name=name)
        found = self.builder.nodes[name].types
        if types != list(found):
            shown = [", ".join(map(str, side)) for side in (types, found)]
            raise ValueError(f"%{name}: the text says {shown[0]}, the rule {shown[1]}")
        if problem := next(filter(None, (t.over_limits() for t in found)), None):
            raise ValueError(problem)

    def op(self, kind: type[Op], settings: Sequence[Tree[Token]]) -> Op:
        """The op with its settings; an error points at the wrong setting."""
        named: dict[str, Any] = {}
        for s in settings:
            with self.at(s):
                name = str(s.children[0])
                if name in named:
                    raise ValueError(f"{kind.name} got {name} twice")
                named[name] = _setting(s.children[1])
        try:
            return kind.make((), named)
        except ShapeError as error:
            guilty = next((s for s in settings if s.children[0] == error.setting), None)
            if guilty is None:
                raise
            with self.at(guilty):
                raise

    def value(self, token: object) -> Value:
        name, _, port = str(token)[1:].partition(":")
        value = Value(name, int(port or 0))
        if value.node not in self.builder.nodes or value.port >= len(self.builder.nodes[value.node].types):
            raise ValueError(f"{value} is not defined before")
        return value

    def update(self, leaf: Value, value: Value) -> None:
        if self.builder.nodes[leaf.node].op.name not in ("param", "state"):
            raise ValueError(f"{leaf} is neither a param nor a state")
        if self.builder.type(leaf) != self.builder.type(value):
            raise ValueError(f"{leaf} is {self.builder.type(leaf)}, its update {self.builder.type(value)}")
        self.builder.update(leaf, value)


def _gpu(token: Token) -> int:
    number = int(token.removeprefix("@gpu(").removesuffix(")"))
    if number > MAX_GPU:
        raise ValueError(f"a GPU has a number up to {MAX_GPU}, not {number}")
    return number


def _type(token: object) -> TensorType:
    dtype, _, dims = str(token).rstrip("]").partition("[")
    return TensorType(tuple(int(d) for d in dims.split(",") if d), dtype)  # type: ignore[arg-type]


def _setting(tree: Any, depth: int = 0) -> Any:
    if depth > MAX_NESTING:
        raise ValueError(f"brackets nested deeper than {MAX_NESTING}")
    if tree.data == "tuple":
        return tuple(_setting(child, depth + 1) for child in tree.children)
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
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _array(dtype: object, shape: Any, data: object) -> np.ndarray[Any, Any]:
    name, dims = _string(str(dtype)), _setting(shape)
    raw = base64.b64decode(_string(str(data)), validate=True)
    known = name in _ARRAY_DTYPES and isinstance(dims, tuple) and all(type(d) is int and d >= 0 for d in dims)
    if not known or len(raw) != math.prod(dims) * np.dtype(name).itemsize:
        raise ValueError(f"array of {name} with shape {dims} does not match its {counted(len(raw), 'byte')}")
    return np.frombuffer(raw, np.dtype(name)).reshape(dims)
