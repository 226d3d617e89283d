"""The tree: literals, operands, coordinates, random numbers, unary and binary functions, `where`.

Operators build trees and fold the obvious (`x + 0`, `x * 1`, two literals).  What they fold has the type and the
value of what was written, but for the sign of a zero: `x * 1.0` of an operand that may be an integer is `float(x)`,
and `x * 0.0` stays, for it is NaN where x is infinite.  Derivatives have an algebra of their own (`algebra.py`).
`==` compares trees; the scalar comparison is `eq(a, b)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Number = float | int | bool
Dtype = Literal["f32", "i64", "bool"]

UNARY: Mapping[str, Callable[[float], float] | None] = {
    "neg": lambda x: -x,
    "abs": abs,
    "sign": lambda x: math.copysign(1.0, x) if x else 0.0,
    "exp": math.exp,
    "expm1": math.expm1,
    "log": math.log,
    "log1p": math.log1p,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1.0 / (1.0 + math.exp(-x)),
    "erf": math.erf,
    "floor": lambda x: float(math.floor(x)),
    "ceil": lambda x: float(math.ceil(x)),
    "round": lambda x: float(round(x)),
    "not": None,
    "float": None,
    "int": None,
    "stop_gradient": None,
}
FLOAT_ONLY = frozenset(UNARY) - {
    "neg",
    "abs",
    "sign",
    "not",
    "float",
    "int",
    "stop_gradient",
}  # an i64 becomes f32
ARITHMETIC = ("add", "sub", "mul", "div", "pow", "max", "min", "floordiv", "mod")
COMPARE = ("lt", "le", "gt", "ge", "eq", "ne")
LOGIC = ("and", "or")
BINARY = (*ARITHMETIC, *COMPARE, *LOGIC)


class Expr:
    """Base of all scalar expressions; immutable, hashable, compared by structure."""

    __slots__ = ()

    def __add__(self, other: Expr | Number) -> Expr:
        return _add(self, as_expr(other))

    def __radd__(self, other: Number) -> Expr:
        return _add(as_expr(other), self)

    def __sub__(self, other: Expr | Number) -> Expr:
        return _sub(self, as_expr(other))

    def __rsub__(self, other: Number) -> Expr:
        return _sub(as_expr(other), self)

    def __mul__(self, other: Expr | Number) -> Expr:
        return _mul(self, as_expr(other))

    def __rmul__(self, other: Number) -> Expr:
        return _mul(as_expr(other), self)

    def __truediv__(self, other: Expr | Number) -> Expr:
        return _div(self, as_expr(other))

    def __rtruediv__(self, other: Number) -> Expr:
        return _div(as_expr(other), self)

    def __pow__(self, other: Expr | Number) -> Expr:
        return power(self, other)

    def __floordiv__(self, other: Expr | Number) -> Expr:
        return Binary("floordiv", self, as_expr(other))

    def __mod__(self, other: Expr | Number) -> Expr:
        return Binary("mod", self, as_expr(other))

    def __neg__(self) -> Expr:
        if isinstance(self, Lit) and not isinstance(self.value, bool):
            return Lit(_wrapped(-self.value))
        if isinstance(self, Unary) and self.op == "neg":
            return self.x
        return Unary("neg", self)

    def __lt__(self, other: Expr | Number) -> Expr:
        return Binary("lt", self, as_expr(other))

    def __le__(self, other: Expr | Number) -> Expr:
        return Binary("le", self, as_expr(other))

    def __gt__(self, other: Expr | Number) -> Expr:
        return Binary("gt", self, as_expr(other))

    def __ge__(self, other: Expr | Number) -> Expr:
        return Binary("ge", self, as_expr(other))

    def __bool__(self) -> bool:
        raise TypeError("a scalar expression has no truth value; use where()")


@dataclass(frozen=True, slots=True)
class Arg(Expr):
    """The element of operand number `index`, broadcast to the iteration space."""

    index: int


@dataclass(frozen=True, slots=True)
class Lit(Expr):
    """A literal; bool, int and float literals have the types bool, i64 and f32."""

    value: Number

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Lit):
            return False
        return type(self.value) is type(other.value) and repr(self.value) == repr(other.value)

    def __hash__(self) -> int:
        return hash((type(self.value), repr(self.value)))


@dataclass(frozen=True, slots=True)
class Index(Expr):
    """The coordinate along `axis` (counted from 0) of the iteration space; i64."""

    axis: int


@dataclass(frozen=True, slots=True)
class Uniform(Expr):
    """A uniform random number in [0, 1), 24 bits, from Threefry-2x32-20 (Salmon et al. 2011).

    `key` is an i64 scalar expression (seed in the high, step in the low 32 bits); the counter is the flat
    row-major index in the iteration space and `stream`; `word` (0 or 1) picks one of the two results.
    """

    stream: int
    key: Expr
    word: int = 0


@dataclass(frozen=True, slots=True)
class Unary(Expr):
    """A function of one operand, named in `UNARY`."""

    op: str
    x: Expr


@dataclass(frozen=True, slots=True)
class Binary(Expr):
    """A function of two operands, named in `BINARY`."""

    op: str
    a: Expr
    b: Expr


@dataclass(frozen=True, slots=True)
class Where(Expr):
    """`a` where `cond` holds, else `b`."""

    cond: Expr
    a: Expr
    b: Expr


def as_expr(x: Expr | Number) -> Expr:
    """A number as a literal; an expression as itself."""
    return x if isinstance(x, Expr) else Lit(x)


def kind_of(x: Expr, depth: int = 4) -> Dtype | None:
    """The type that an expression has over any operands; None where theirs decide, or it is not seen at once."""
    match x:
        case Lit() | Index() | Uniform():
            return _dtype(x, (), ())
        case Unary(op=op, x=y):
            known = op in FLOAT_ONLY or op in ("not", "int", "float")
            inner = "f32" if known else kind_of(y, depth - 1) if depth else None
            return None if inner is None else _unary_dtype(op, inner)
        case Binary(op=op, a=a, b=b):
            if op in COMPARE or op in LOGIC or op == "div":
                return "f32" if op == "div" else "bool"
            sides = [kind_of(a, depth - 1), kind_of(b, depth - 1)] if depth else [None]
            return "f32" if "f32" in sides else None if None in sides else "i64"
    return None


def _is(x: Expr, value: float) -> bool:
    return isinstance(x, Lit) and not isinstance(x.value, bool) and x.value == value


def _alone(x: Expr, neutral: Expr) -> Expr | None:
    """What is left of `x + 0` or `x * 1`: x in the type of the whole; None where this cannot be said."""
    assert isinstance(neutral, Lit)
    kind = kind_of(x)
    if kind == "f32" or (kind == "i64" and isinstance(neutral.value, int)):
        return x
    return Unary("float", x) if isinstance(neutral.value, float) else None


def _fold(op: str, x: Expr, y: Expr, function: Callable[[Number, Number], Number]) -> Expr:
    if isinstance(x, Lit) and isinstance(y, Lit):
        return Lit(_wrapped(function(x.value, y.value)))
    return Binary(op, x, y)


def _wrapped(value: Number) -> Number:
    """Integers as 64 bits hold them."""
    return value if isinstance(value, (bool, float)) else (value + 2**63) % 2**64 - 2**63


def _add(x: Expr, y: Expr) -> Expr:
    for zero, other in ((x, y), (y, x)):
        if _is(zero, 0) and not isinstance(other, Lit) and (left := _alone(other, zero)) is not None:
            return left
    if isinstance(y, Unary) and y.op == "neg":
        return _sub(x, y.x)
    return _fold("add", x, y, lambda p, q: p + q)


def _sub(x: Expr, y: Expr) -> Expr:
    if not (isinstance(x, Lit) and isinstance(y, Lit)):
        if _is(y, 0) and (left := _alone(x, y)) is not None:
            return left
        if _is(x, 0) and (left := _alone(y, x)) is not None:
            return -left
    return _fold("sub", x, y, lambda p, q: p - q)


def _mul(x: Expr, y: Expr) -> Expr:
    for one, other in ((x, y), (y, x)):
        if isinstance(other, Lit) or not (_is(one, 1) or _is(one, -1)):
            continue
        if (left := _alone(other, one)) is not None:
            return left if _is(one, 1) else -left
    return _fold("mul", x, y, lambda p, q: p * q)


def _div(x: Expr, y: Expr) -> Expr:
    if _is(y, 1) and not isinstance(x, Lit):
        return x if kind_of(x) == "f32" else Unary("float", x)
    if isinstance(y, Lit) and y.value == 0:
        return Binary("div", x, y)
    return _fold("div", x, y, lambda p, q: p / q)


def power(x: Expr | Number, y: Expr | Number) -> Expr:
    """`x ** y`; small integer powers become products."""
    base, exponent = as_expr(x), as_expr(y)
    if _is(exponent, 0) and (kind_of(base) == "f32" or kind_of(exponent) == "f32"):
        return Lit(1.0)
    if (_is(exponent, 1) or _is(exponent, 2)) and (left := _alone(base, exponent)) is not None:
        return left if _is(exponent, 1) else left * left
    if _is(exponent, 2) and isinstance(exponent, Lit) and isinstance(exponent.value, int):
        return base * base
    return Binary("pow", base, exponent)


def maximum(x: Expr | Number, y: Expr | Number) -> Expr:
    """The larger of two."""
    return Binary("max", as_expr(x), as_expr(y))


def minimum(x: Expr | Number, y: Expr | Number) -> Expr:
    """The smaller of two."""
    return Binary("min", as_expr(x), as_expr(y))


def eq(x: Expr | Number, y: Expr | Number) -> Expr:
    """Whether two scalars are equal."""
    return Binary("eq", as_expr(x), as_expr(y))


def ne(x: Expr | Number, y: Expr | Number) -> Expr:
    """Whether two scalars differ."""
    return Binary("ne", as_expr(x), as_expr(y))


def logical_and(x: Expr, y: Expr) -> Expr:
    """Both conditions."""
    return Binary("and", x, y)


def logical_or(x: Expr, y: Expr) -> Expr:
    """Either condition."""
    return Binary("or", x, y)


def logical_not(x: Expr) -> Expr:
    """The opposite condition."""
    return Unary("not", x)


def where(cond: Expr, x: Expr | Number, y: Expr | Number) -> Expr:
    """`x` where `cond` holds, else `y`."""
    a, b = as_expr(x), as_expr(y)
    if a == b:
        return a
    if isinstance(cond, Lit) and kind_of(a) is not None and kind_of(a) == kind_of(b):
        return a if cond.value else b
    return Where(cond, a, b)


def _unary(op: str) -> Callable[[Expr | Number], Expr]:
    def build(x: Expr | Number) -> Expr:
        return Unary(op, as_expr(x))

    build.__name__ = op
    build.__doc__ = f"The function `{op}` of one scalar."
    return build


absolute = _unary("abs")
sign = _unary("sign")
exp = _unary("exp")
expm1 = _unary("expm1")
log = _unary("log")
log1p = _unary("log1p")
sqrt = _unary("sqrt")
sin = _unary("sin")
cos = _unary("cos")
tanh = _unary("tanh")
sigmoid = _unary("sigmoid")
erf = _unary("erf")
floor = _unary("floor")
ceil = _unary("ceil")
round_even = _unary("round")
cast_float = _unary("float")
cast_int = _unary("int")
stop_gradient = _unary("stop_gradient")


def children(e: Expr) -> tuple[Expr, ...]:
    """The direct subexpressions."""
    match e:
        case Unary(x=x):
            return (x,)
        case Binary(a=a, b=b):
            return (a, b)
        case Where(cond=c, a=a, b=b):
            return (c, a, b)
        case Uniform(key=key):
            return (key,)
    return ()


def rebuild(e: Expr, kids: Sequence[Expr]) -> Expr:
    """The same expression over other subexpressions (not simplified)."""
    match e:
        case Unary(op=op):
            return Unary(op, kids[0])
        case Binary(op=op):
            return Binary(op, kids[0], kids[1])
        case Where():
            return Where(kids[0], kids[1], kids[2])
        case Uniform(stream=stream, word=word):
            return Uniform(stream, kids[0], word)
    return e


def walk(e: Expr) -> Iterator[Expr]:
    """Every distinct subexpression, operands before their users."""
    seen: set[int] = set()

    def visit(x: Expr) -> Iterator[Expr]:
        if id(x) in seen:
            return
        seen.add(id(x))
        for kid in children(x):
            yield from visit(kid)
        yield x

    yield from visit(e)


def size(e: Expr) -> int:
    """How many distinct operations an element costs (leaves are free)."""
    return sum(1 for x in set(walk(e)) if children(x))


def substitute(e: Expr, leaf: Callable[[Expr], Expr | None]) -> Expr:
    """Replace leaves (and random leaves) for which `leaf` returns an expression; sharing is kept."""
    memo: dict[int, Expr] = {}

    def visit(x: Expr) -> Expr:
        if id(x) not in memo:
            new = leaf(x)
            kids = children(x)
            memo[id(x)] = new if new is not None else rebuild(x, [visit(k) for k in kids]) if kids else x
        return memo[id(x)]

    return visit(e)


def _promote(a: Dtype, b: Dtype) -> Dtype:
    order: tuple[Dtype, ...] = ("bool", "i64", "f32")
    return order[max(order.index(a), order.index(b))]


def dtype_of(e: Expr, args: Sequence[Dtype]) -> Dtype:
    """The type of an expression over operands of the given types; raises TypeError for nonsense."""
    memo: dict[int, Dtype] = {}
    for x in walk(e):
        memo[id(x)] = _dtype(x, [memo[id(k)] for k in children(x)], args)
    return memo[id(e)]


def _dtype(x: Expr, kids: Sequence[Dtype], args: Sequence[Dtype]) -> Dtype:
    match x:
        case Arg(index=i):
            if not 0 <= i < len(args):
                raise TypeError(f"operand {i} of {len(args)}")
            return args[i]
        case Lit(value=v):
            return "bool" if isinstance(v, bool) else "i64" if isinstance(v, int) else "f32"
        case Index():
            return "i64"
        case Uniform():
            return "f32"
        case Where():
            return _promote(kids[1], kids[2])
        case Unary(op=op):
            return _unary_dtype(op, kids[0])
        case Binary(op=op):
            return _binary_dtype(op, kids[0], kids[1])
    raise TypeError(f"not an expression: {x!r}")


def _unary_dtype(op: str, x: Dtype) -> Dtype:
    if op not in UNARY:
        raise TypeError(f"no scalar function is called {op}")
    if op in ("not", "int", "float"):
        table: dict[str, Dtype] = {"not": "bool", "int": "i64", "float": "f32"}
        return table[op]
    return "f32" if op in FLOAT_ONLY else x


def _binary_dtype(op: str, a: Dtype, b: Dtype) -> Dtype:
    if op not in BINARY:
        raise TypeError(f"no scalar function is called {op}")
    if op in COMPARE or op in LOGIC:
        return "bool"
    return "f32" if op == "div" else _promote(_promote(a, b), "i64")
