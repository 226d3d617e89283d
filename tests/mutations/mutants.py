"""What is changed: one comparison, constant, condition, operator or guard of a module at a time.

Left alone is what is no behaviour: annotations, docstrings, messages, assertions, sizes of caches, `strict` of zip.
"""

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_OPERATORS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "//"),
}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True)
class Mutant:
    """A file of the tree whose bytes from `start` to `stop` are replaced."""

    path: Path
    start: int
    stop: int
    text: str
    kind: str

    def applied(self, source: bytes) -> bytes:
        """The changed file."""
        return source[: self.start] + self.text.encode() + source[self.stop :]

    def diff(self, source: bytes) -> str:
        """What changes, with two lines around it."""
        before, after = (text.decode().splitlines() for text in (source, self.applied(source)))
        return "\n".join(difflib.unified_diff(before, after, str(self.path), self.kind, lineterm="", n=2))


def mutants(path: Path, source: bytes) -> list[Mutant]:
    """All mutants of a module, in the order of the text."""
    lines = [0]
    for line in source.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    found = _Mutations(source, lines).of(ast.parse(source))
    return [Mutant(path, *change) for change in sorted(set(found))]


@dataclass(frozen=True)
class _Mutations:
    source: bytes
    lines: list[int]

    def of(self, node: ast.AST) -> Iterator[tuple[int, int, str, str]]:
        """Start, end, new text and kind of every change in a part of the tree."""
        yield from self._own(node)
        for child in _code(node):
            yield from self.of(child)

    def _own(self, node: ast.AST) -> Iterator[tuple[int, int, str, str]]:
        match node:
            case ast.If(test=test, body=[*_, last], orelse=[]) if isinstance(last, _LEAVES):
                yield *self._span(test), "False", "guard removed"
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
                yield *self._span(test), f"not ({self._text(test)})", "condition negated"
            case ast.Compare(left=left, ops=ops, comparators=rights):
                for a, op, b in zip([left, *rights], ops, rights, strict=False):
                    yield from self._between(a, op, b, "comparison")
            case ast.BoolOp(op=op, values=[a, b, *_]):
                yield from self._between(a, op, b, "and, or")
            case ast.BinOp(left=a, op=op, right=b):
                yield from self._between(a, op, b, "arithmetic")
            case ast.Constant(value=bool(value)):
                yield *self._span(node), str(not value), "constant"
            case ast.Constant(value=int(value)):
                yield *self._span(node), str(value + 1), "off by one"
            case ast.Call(func=ast.Name(id=name) as function) if name in _NAMES:
                yield *self._span(function), _NAMES[name], "the other end"

    def _between(self, a: ast.AST, op: ast.AST, b: ast.AST, kind: str) -> Iterator[tuple[int, int, str, str]]:
        if type(op) not in _OPERATORS:
            return
        old, new = _OPERATORS[type(op)]
        start = self._span(a)[1]
        at = self.source.index(old.encode(), start, self._span(b)[0])
        yield at, at + len(old), new, kind

    def _span(self, node: ast.AST) -> tuple[int, int]:
        start = self.lines[node.lineno - 1] + node.col_offset
        return start, self.lines[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.AST) -> str:
        start, stop = self._span(node)
        return self.source[start:stop].decode()


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """The children of a node that are behaviour."""
    match node:
        case ast.JoinedStr() | ast.Assert() | ast.Raise() | ast.Import() | ast.ImportFrom():
            return
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.keyword(arg="strict" | "maxsize"):
            return
        case ast.AnnAssign(value=value):
            yield from () if value is None else (value,)
        case ast.FunctionDef(body=body, args=args):
            yield from (*(d for d in (*args.defaults, *args.kw_defaults) if d is not None), *body)
        case ast.ClassDef(body=body):
            yield from body
        case ast.Assign(value=ast.Subscript() | ast.BinOp(op=ast.BitOr())):
            return  # a name for a type
        case _:
            yield from ast.iter_child_nodes(node)
