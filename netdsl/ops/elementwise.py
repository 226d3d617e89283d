"""The table of functions of single elements that are no activations: powers, roots, exponentials, bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netdsl.arrays import Array, np
from netdsl.ops.base import setting
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import number
from netdsl.ops.unary import Row, case
from netdsl.scalar import Expr, absolute, exp, log, power, sqrt, stop_gradient, where

POSITIVE = (case((2, 3, 4, 5), low=0.1, high=5.0), case((3, 7), low=0.1, high=2.0))


def _clip(x: Expr, low: float | None, high: float | None) -> Expr:
    above = x if low is None else where(x < low, low, x)
    return above if high is None else where(above > high, high, above)


def _clip_in_numpy(x: Array, low: float | None, high: float | None) -> Any:
    return np.clip(x, -np.inf if low is None else low, np.inf if high is None else high)


def _clip_in_onnx(m: OnnxBuilder, x: str, low: float | None, high: float | None) -> str:
    return m.node("Clip", x, *("" if v is None else m.const(np.array(v)) for v in (low, high)))


FUNCTIONS: Mapping[str, Row] = {
    "exp": Row(
        "The exponential function `e^x`.",
        scalar=exp,
        reference=lambda x: np.exp(x),
        onnx="Exp",
        samples=POSITIVE,
    ),
    "log": Row(
        "The natural logarithm; NaN below 0.",
        scalar=log,
        reference=lambda x: np.log(x),
        onnx="Log",
        samples=POSITIVE,
    ),
    "sqrt": Row(
        "The square root; NaN below 0.",
        scalar=sqrt,
        reference=lambda x: np.sqrt(x),
        onnx="Sqrt",
        samples=POSITIVE,
    ),
    "abs": Row(
        "`|x|`; its derivative at 0 is 0.",
        scalar=absolute,
        reference=lambda x: np.abs(x),
        onnx="Abs",
        samples=(case((2, 3, 4, 5), low=-2.0, high=2.0),),
    ),
    "power": Row(
        "`x ^ exponent`, for a fixed exponent; NaN below 0 unless the exponent is whole.",
        scalar=lambda x, exponent: power(x, exponent),
        reference=lambda x, exponent: np.power(x, np.asarray(exponent, x.dtype)),
        onnx=lambda m, x, exponent: m.node("Pow", x, m.const(np.array(exponent))),
        settings={"exponent": setting("the exponent", check=number)},
        samples=(
            *(case((2, 3, 5), {"exponent": n}, low=-2.0, high=2.0) for n in (1.0, 2.0, 3.0)),
            *(case((2, 9), {"exponent": n}, low=0.3, high=3.0) for n in (-1.0, 0.75, 2.5)),
        ),
    ),
    "clip": Row(
        """`min(max(x, low), high)`; without one of them only the other side is clipped.  ONNX Clip, PyTorch clamp.

        The derivative at a bound is 1, as in PyTorch.
        """,
        scalar=_clip,
        reference=_clip_in_numpy,
        onnx=_clip_in_onnx,
        settings={
            "low": setting("smallest value", None, number),
            "high": setting("largest value", None, number),
        },
        samples=[
            case((2, 3, 4, 5), bounds, low=-4.0, high=4.0)
            for bounds in ({"low": -1.0, "high": 2.0}, {"low": 0.5}, {"high": 0.25}, {})
        ],
    ),
    "stop_gradient": Row(
        "`x`, through which training learns nothing: its gradient is 0.  TensorFlow stop_gradient, PyTorch detach.",
        scalar=stop_gradient,
        reference=lambda x: x,
        onnx="Identity",
        # No finite differences: the gradient is not that of the function, on purpose.
        samples=(case((2, 3, 4, 5), smooth=False), case((3, 7), smooth=False)),
    ),
}
