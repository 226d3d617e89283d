"""Scalar expressions: what a `map`, a `reduce` or an epilogue computes for one element.

A small typed tree with one symbolic derivative, one NumPy meaning, one text form that parses back and one
printer per backend.  No string is ever evaluated.
"""

from netdsl.scalar.algebra import product, total
from netdsl.scalar.derivative import derivative, partial
from netdsl.scalar.evaluate import evaluate
from netdsl.scalar.expr import Arg, Binary, Expr, Index, Lit, Unary, Uniform, Where, as_expr, power
from netdsl.scalar.functions import (
    absolute,
    cast_float,
    cast_int,
    ceil,
    cos,
    eq,
    erf,
    exp,
    expm1,
    floor,
    log,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    ne,
    round_even,
    sigmoid,
    sign,
    sin,
    sqrt,
    stationary,
    stop_gradient,
    tanh,
    where,
)
from netdsl.scalar.operators import Number
from netdsl.scalar.text import format_expr, parse_expr
from netdsl.scalar.walk import dtype_of, dtype_of_last, substitute, walk

__all__ = [
    "Arg",
    "Binary",
    "Expr",
    "Index",
    "Lit",
    "Number",
    "Unary",
    "Uniform",
    "Where",
    "absolute",
    "as_expr",
    "cast_float",
    "cast_int",
    "ceil",
    "cos",
    "derivative",
    "dtype_of",
    "dtype_of_last",
    "eq",
    "erf",
    "evaluate",
    "exp",
    "expm1",
    "floor",
    "format_expr",
    "log",
    "log1p",
    "logical_and",
    "logical_not",
    "logical_or",
    "maximum",
    "minimum",
    "ne",
    "parse_expr",
    "partial",
    "power",
    "product",
    "round_even",
    "sigmoid",
    "sign",
    "sin",
    "sqrt",
    "stationary",
    "stop_gradient",
    "substitute",
    "tanh",
    "total",
    "walk",
    "where",
]
