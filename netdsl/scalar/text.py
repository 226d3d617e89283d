"""Scalar expressions as text, and back: `max(x0 + x1, 0.0)`, `where(x0 > 0.0, x0, 0.1 * x0)`.

Operands are `x0`, `x1`, ...; `i0`, `i1`, ... are coordinates; `uniform(stream, key, word)` is random.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from netdsl.scalar.expr import Arg, Binary, Expr, Index, Lit, Unary, Uniform, Where
from netdsl.scalar.operators import BINARY, UNARY
from netdsl.scalar.walk import children
from netdsl.source import counted

_INFIX = {
    "or": ("or", 1),
    "and": ("and", 2),
    "lt": ("<", 3),
    "le": ("<=", 3),
    "gt": (">", 3),
    "ge": (">=", 3),
    "eq": ("==", 3),
    "ne": ("!=", 3),
    "add": ("+", 4),
    "sub": ("-", 4),
    "mul": ("*", 5),
    "div": ("/", 5),
    "floordiv": ("//", 5),
    "mod": ("%", 5),
}
_SYMBOLS = {symbol: (op, level) for op, (symbol, level) in _INFIX.items()}
_TOKEN = re.compile(r"\s*(?:(\d[\d.]*(?:e[+-]?\d+)?|inf|nan)|([A-Za-z_]\w*)|(<=|>=|==|!=|//|[-+*/%<>(),]))")
_MAX_NESTING = 100
_MAX_DEPTH = 500


def format_expr(e: Expr, level: int = 0) -> str:
    """Text of an expression; `parse_expr` gives the same tree back."""
    match e:
        case Arg(index=i):
            return f"x{i}"
        case Index(axis=axis):
            return f"i{axis}"
        case Lit(value=v):
            text = repr(v).lower() if isinstance(v, bool) else repr(v)
            return f"({text})" if text.startswith("-") and level else text
        case Uniform(stream=stream, key=key, word=word):
            return f"uniform({stream}, {format_expr(key)}, {word})"
        case Where(cond=c, a=a, b=b):
            return f"where({format_expr(c)}, {format_expr(a)}, {format_expr(b)})"
        case Unary(op=op, x=x):
            return f"{op}({format_expr(x)})"
        case Binary(op=op, a=a, b=b) if op in _INFIX:
            symbol, own = _INFIX[op]
            text = f"{format_expr(a, own)} {symbol} {format_expr(b, own + 1)}"
            return f"({text})" if own < level else text
        case Binary(op=op, a=a, b=b):
            return f"{op}({format_expr(a)}, {format_expr(b)})"
    raise TypeError(f"not an expression: {e!r}")


def parse_expr(text: str) -> Expr:
    """The expression that `format_expr` wrote; raises ValueError for anything else."""
    return _Parser(text).whole()


def _tokens(text: str) -> Iterator[str]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"unexpected {text[position : position + 10]!r} in scalar expression")
        yield match.group(match.lastindex or 0)
        position = match.end()


class _Parser:
    """Precedence climbing over a list of tokens.  It is shorter than a second Lark grammar would be."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.position = 0
        self.depth = 0

    def whole(self) -> Expr:
        e = self.infix(0)
        if self.position != len(self.tokens):
            raise ValueError(f"unexpected {self.tokens[self.position]!r} in scalar expression")
        if _depth(e) > _MAX_DEPTH:
            raise ValueError("scalar expression is nested too deeply")
        return e

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.peek()
        if not token or (expected and token != expected):
            raise ValueError(f"expected {expected or 'an operand'}, found {token or 'the end'}")
        self.position += 1
        return token

    def infix(self, level: int) -> Expr:
        self.depth += 1
        if self.depth > _MAX_NESTING:
            raise ValueError("scalar expression is nested too deeply")
        left = self.atom()
        while (found := _SYMBOLS.get(self.peek())) and found[1] >= level:
            self.take()
            left = Binary(found[0], left, self.infix(found[1] + 1))
        self.depth -= 1
        return left

    def atom(self) -> Expr:
        token = self.take()
        if token == "(":
            inner = self.infix(0)
            self.take(")")
            return inner
        if token == "-":
            return Lit(-_number(self.take()))
        if token in ("true", "false"):
            return Lit(token == "true")
        if token[0].isdigit() or token in ("inf", "nan"):
            return Lit(_number(token))
        if self.peek() == "(":
            return self.call(token)
        if re.fullmatch(r"[xi]\d+", token):
            return Arg(int(token[1:])) if token[0] == "x" else Index(int(token[1:]))
        raise ValueError(f"unknown operand {token!r} in scalar expression")

    def call(self, name: str) -> Expr:
        self.take("(")
        args = [self.infix(0)]
        while self.peek() == ",":
            self.take()
            args.append(self.infix(0))
        self.take(")")
        if name == "where" and len(args) == 3:
            return Where(*args)
        if name == "uniform" and len(args) == 3:
            return _uniform(*args)
        if name in UNARY and len(args) == 1:
            return Unary(name, args[0])
        if name in BINARY and len(args) == 2:
            return Binary(name, args[0], args[1])
        raise ValueError(f"no scalar function {name} of {counted(len(args), 'operand')}")


def _uniform(stream: Expr, key: Expr, word: Expr) -> Expr:
    if isinstance(stream, Lit) and isinstance(word, Lit) and word.value in (0, 1):
        return Uniform(int(stream.value), key, int(word.value))
    raise ValueError("uniform takes a stream number, a key and a word 0 or 1")


def _depth(e: Expr) -> int:
    """The depth of the tree, without recursion, because a long sum is a deep tree too."""
    deepest, stack = 0, [(e, 1)]
    while stack:
        x, level = stack.pop()
        deepest = max(deepest, level)
        stack.extend((kid, level + 1) for kid in children(x))
    return deepest


def _number(token: str) -> float | int:
    try:
        return int(token) if token.isdigit() else float(token)
    except ValueError:
        raise ValueError(f"expected a number, found {token[:20]!r}") from None
