"""Scalar expressions in NumPy: the reference that every backend is compared with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from netdsl.arrays import Array, DTypeLike, np
from netdsl.scalar.expr import Arg, Binary, Expr, Index, Lit, Unary, Uniform, Where
from netdsl.scalar.operators import FIXED, FLOAT_ONLY
from netdsl.scalar.walk import children, walk


def _sigmoid(x: Array) -> Array:
    z = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + z), z / (1 + z)).astype(x.dtype)


def _erf(x: Array) -> Array:
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x)).astype(x.dtype)


@cache
def _unary() -> Mapping[str, Callable[[Array], Array]]:
    return {
        "neg": np.negative,
        "abs": np.abs,
        "sign": np.sign,
        "exp": np.exp,
        "expm1": np.expm1,
        "log": np.log,
        "log1p": np.log1p,
        "sqrt": np.sqrt,
        "sin": np.sin,
        "cos": np.cos,
        "tanh": np.tanh,
        "sigmoid": _sigmoid,
        "erf": _erf,
        "floor": np.floor,
        "ceil": np.ceil,
        "round": np.rint,
        "not": np.logical_not,
        "int": lambda x: x.astype(np.int64),
        **dict.fromkeys(FIXED, lambda x: x),
    }


@cache
def _binary() -> Mapping[str, Callable[[Array, Array], Array]]:
    return {
        "add": np.add,
        "sub": np.subtract,
        "mul": np.multiply,
        "div": np.true_divide,
        "pow": np.power,
        "max": np.maximum,
        "min": np.minimum,
        "floordiv": np.floor_divide,
        "mod": np.mod,
        "lt": np.less,
        "le": np.less_equal,
        "gt": np.greater,
        "ge": np.greater_equal,
        "eq": np.equal,
        "ne": np.not_equal,
        "and": np.logical_and,
        "or": np.logical_or,
    }


def evaluate(
    e: Expr, args: Sequence[Array], shape: tuple[int, ...], floating: DTypeLike = "float32"
) -> Array:
    """The value of `e` over operands that broadcast to `shape`; `floating` is the type of its floats."""
    memo: dict[int, Array] = {}
    with np.errstate(all="ignore"):
        for x in walk(e):
            memo[id(x)] = _node(x, [memo[id(k)] for k in children(x)], args, shape, floating)
    return np.broadcast_to(memo[id(e)], shape)


def _node(
    x: Expr, kids: list[Array], args: Sequence[Array], shape: tuple[int, ...], floating: DTypeLike
) -> Array:
    match x:
        case Arg(index=i):
            return args[i]
        case Lit(value=v):
            return np.asarray(v, None if isinstance(v, (bool, int)) else floating)
        case Index(axis=axis):
            return np.arange(shape[axis]).reshape([-1 if k == axis else 1 for k in range(len(shape))])
        case Uniform(stream=stream, word=word):
            return uniform(int(kids[0]), stream, word, shape).astype(floating)
        case Where():
            a, b = _floats(kids[1:], floating)
            return np.where(kids[0], a, b)
        case Unary(op="float"):
            return kids[0].astype(floating)
        case Unary(op=op):
            return _unary()[op](
                kids[0].astype(floating) if op in FLOAT_ONLY and kids[0].dtype.kind != "f" else kids[0]
            )
        case Binary(op=op):
            a, b = _floats(kids, floating)
            if op == "div":
                a, b = a.astype(floating), b.astype(floating)
            return _binary()[op](a, b)
    raise TypeError(f"not an expression: {x!r}")


def _floats(pair: list[Array], floating: DTypeLike) -> list[Array]:
    """Convert both to `floating` if one is a float.  NumPy would widen i64 with f32 to f64."""
    if any(k.dtype.kind == "f" for k in pair):
        return [k.astype(floating) if k.dtype.kind != "f" else k for k in pair]
    return pair


_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry(k0: int | Array, k1: int | Array, c0: Array, c1: Array) -> tuple[Array, Array]:
    """Threefry-2x32 with 20 rounds over uint32 counters (Salmon et al., SC 2011); keys may be arrays, too."""
    keys = [np.uint32(k & 0xFFFFFFFF) for k in (k0, k1, 0x1BD11BDA ^ k0 ^ k1)]
    with np.errstate(over="ignore"):
        x0 = (c0 + keys[0]).astype(np.uint32)
        x1 = (c1 + keys[1]).astype(np.uint32)
        for group in range(5):
            for r in _ROTATIONS[group % 2]:
                x0 = x0 + x1
                x1 = ((x1 << np.uint32(r)) | (x1 >> np.uint32(32 - r))) ^ x0
            x0 = x0 + keys[(group + 1) % 3]
            x1 = x1 + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x0, x1


def uniform(key: int, stream: int, word: int, shape: tuple[int, ...]) -> Array:
    """Uniform numbers in [0, 1) of the given shape: the definition of the `Uniform` leaf."""
    flat = np.arange(math.prod(shape), dtype=np.uint32)
    bits = threefry(key >> 32, key, flat, np.full_like(flat, stream & 0xFFFFFFFF))[word]
    return ((bits >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)).reshape(shape)
