"""The tree: literals, operands, coordinates, random numbers, unary and binary functions, `where`.

Python's operators build trees and simplify `x + 0`, `x * 1` and operations on two literals.  The result has the
type and the value of the original, except that the sign of a zero may change.  So `x * 1.0` becomes `float(x)`
where x may be an integer, and `x * 0.0` is kept, because it is NaN where x is infinite.  Derivatives are simplified
further (see `algebra.py`).  `==` compares trees; `eq(a, b)` compares scalars.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netdsl.scalar.operators import COMPARE, FLOAT_ONLY, LOGIC, Dtype, Number, literal_dtype, unary_dtype


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
        """As numbers are written: of one type, 0.0 is not -0.0, and NaN is itself."""
        if not isinstance(other, Lit):
            return False
        a, b = self.value, other.value
        if type(a) is not type(b):
            return False
        return (a == b and (a != 0 or repr(a) == repr(b))) or (a != a and b != b)

    def __hash__(self) -> int:
        return hash(self.value) if self.value == self.value else 0  # Python's NaNs have different hashes


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
    """The type of an expression; None where it depends on the operands, or on a subexpression below `depth`."""
    match x:
        case Lit(value=v):
            return literal_dtype(v)
        case Index():
            return "i64"
        case Uniform():
            return "f32"
        case Unary(op=op, x=y):
            known = op in FLOAT_ONLY or op in ("not", "int", "float")
            inner = "f32" if known else kind_of(y, depth - 1) if depth else None
            return None if inner is None else unary_dtype(op, inner)
        case Binary(op=op, a=a, b=b):
            if op in COMPARE or op in LOGIC or op == "div":
                return "f32" if op == "div" else "bool"
            sides = [kind_of(a, depth - 1), kind_of(b, depth - 1)] if depth else [None]
            return "f32" if "f32" in sides else None if None in sides else "i64"
    return None


def _is(x: Expr, value: float) -> bool:
    return isinstance(x, Lit) and not isinstance(x.value, bool) and x.value == value


def _alone(x: Expr, neutral: Expr) -> Expr | None:
    """`x + neutral` or `x * neutral` simplified to x, cast to the result's type; None where the type is unknown."""
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
    """Integers modulo 2**64, as 64-bit arithmetic has them."""
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
