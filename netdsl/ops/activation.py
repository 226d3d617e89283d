"""The table of activations: one row each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from netdsl.arrays import Array, np
from netdsl.ir import ShapeError
from netdsl.ops.base import setting
from netdsl.ops.logistic import softplus
from netdsl.ops.onnx import OnnxBuilder
from netdsl.ops.settings import boolean, number, positive_number
from netdsl.ops.unary import ANYWHERE, Row, case
from netdsl.scalar import Expr, absolute, erf, expm1, maximum, minimum, sigmoid, tanh, where

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def _gelu(x: Expr, approximate: bool) -> Expr:
    if not approximate:
        return 0.5 * x * (1.0 + erf(x * math.sqrt(0.5)))
    # (1 + tanh(u)) / 2 is sigmoid(2u), which keeps its digits to the left.  From 12 on it is 0 or 1, and x^3
    # may overflow.
    near = minimum(maximum(x, -12.0), 12.0)
    return x * sigmoid(math.sqrt(8 / math.pi) * (near + 0.044715 * (near * near * near)))


def _gelu_in_numpy(x: Array, approximate: bool) -> Any:
    if approximate:
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    phi = [0.5 * (1 + math.erf(float(v) / math.sqrt(2))) for v in x.ravel()]
    return x * np.array(phi, x.dtype).reshape(x.shape)


def _elu_in_numpy(x: Array, alpha: float) -> Any:
    return np.maximum(x, 0) + alpha * (np.exp(np.minimum(x, 0)) - 1)


def _swish_in_onnx(m: OnnxBuilder, x: str, beta: float) -> str:
    """Products: `Swish` is newer than the opset."""
    scaled = x if beta == 1.0 else m.node("Mul", x, m.const(np.array(beta)))
    return m.node("Mul", x, m.node("Sigmoid", scaled))


def _ordered(low: float, high: float) -> None:
    if low > high:
        raise ShapeError(f"low = {low} is above high = {high}", setting="low")


ACTIVATIONS: Mapping[str, Row] = {
    "identity": Row(
        "`x`: a branch that does nothing.",
        scalar=lambda x: x,
        reference=lambda x: x,
        onnx="Identity",
    ),
    "sigmoid": Row(
        "The logistic function `1 / (1 + exp(-x))`.",
        scalar=sigmoid,
        reference=lambda x: 0.5 * (1 + np.tanh(0.5 * x)),  # by tanh, which does not overflow
        onnx="Sigmoid",
    ),
    "hard_sigmoid": Row(
        """`min(max(alpha * x + beta, 0), 1)`.  ONNX's defaults are 0.2 and 0.5, PyTorch's and MobileNet v3's
        alpha 1/6.

        The default is MobileNet's, Howard et al. 2019.
        """,
        scalar=lambda x, alpha, beta: minimum(maximum(alpha * x + beta, 0.0), 1.0),
        reference=lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
        onnx=lambda m, x, alpha, beta: m.node("HardSigmoid", x, alpha=alpha, beta=beta),
        settings={
            "alpha": setting("slope in the middle", 1.0 / 6.0, positive_number),
            "beta": setting("value at zero", 0.5, number),
        },
        positional=0,
        samples=(*ANYWHERE, case((2, 9), {"alpha": 0.2}, low=-4.0, high=4.0)),
    ),
    "tanh": Row(
        "The hyperbolic tangent.",
        scalar=tanh,
        reference=lambda x: np.tanh(x),
        onnx="Tanh",
    ),
    "softsign": Row(
        "`x / (1 + |x|)`.  Bergstra et al. 2009.",
        scalar=lambda x: x / (1.0 + absolute(x)),
        reference=lambda x: x / (1 + np.abs(x)),
        onnx="Softsign",
    ),
    "softplus": Row(
        "`log(1 + exp(x))`, computed without overflow.  Dugas et al. 2001.",
        scalar=softplus,
        reference=lambda x: np.logaddexp(x, 0),
        onnx="Softplus",
    ),
    "relu": Row(
        "`max(x, 0)`; its derivative at 0 is 0.  Nair and Hinton 2010.",
        scalar=lambda x: maximum(x, 0.0),
        reference=lambda x: np.maximum(x, 0),
        onnx="Relu",
    ),
    "relu6": Row(
        "`min(max(x, 0), 6)`.  MobileNet v2, Sandler et al. 2018.",
        scalar=lambda x: minimum(maximum(x, 0.0), 6.0),
        reference=lambda x: np.clip(x, 0, 6),
        onnx=lambda m, x: m.node("Clip", x, m.const(np.array(0.0)), m.const(np.array(6.0))),
        samples=(case((2, 3, 4, 5), low=-4.0, high=9.0),),
    ),
    "thresholded_relu": Row(
        "`x` above `theta`, else 0.  Konda et al. 2014; Keras and ONNX ThresholdedRelu.",
        scalar=lambda x, theta: where(x > theta, x, 0.0),
        reference=lambda x, theta: x * (x > theta),
        onnx=lambda m, x, theta: m.node("ThresholdedRelu", x, alpha=theta),
        settings={"theta": setting("where the line begins", 1.0, number)},
    ),
    "leaky_relu": Row(
        "`x` where positive, else `negative_slope * x`.  Maas et al. 2013.",
        scalar=lambda x, negative_slope: where(x > 0.0, x, negative_slope * x),
        reference=lambda x, negative_slope: np.maximum(x, 0) + negative_slope * np.minimum(x, 0),
        onnx=lambda m, x, negative_slope: m.node("LeakyRelu", x, alpha=negative_slope),
        settings={"negative_slope": setting("slope left of zero", 0.01, number)},
    ),
    "vrelu": Row(
        "The very leaky ReLU: `x` where positive, else `x / 3`.  Lasagne's very_leaky_rectify.",
        scalar=lambda x: where(x > 0.0, x, (1.0 / 3.0) * x),
        reference=lambda x: np.maximum(x, 0) + np.minimum(x, 0) / 3,
        onnx=lambda m, x: m.node("LeakyRelu", x, alpha=1.0 / 3.0),
    ),
    "rrelu": Row(
        """`x` where positive, else a slope times `x`: random per element in training, their mean in inference.

        The slopes are uniform between `low` and `high`.  Xu et al. 2015; PyTorch RReLU.
        """,
        scalar=lambda x, low, high: where(x > 0.0, x, (0.5 * (low + high)) * x),
        training=lambda x, u, low, high: where(x > 0.0, x, (low + (high - low) * u) * x),
        reference=lambda x, low, high: np.maximum(x, 0) + 0.5 * (low + high) * np.minimum(x, 0),
        onnx=lambda m, x, low, high: m.node("LeakyRelu", x, alpha=0.5 * (low + high)),
        settings={
            "low": setting("smallest slope", 1.0 / 8.0, number),
            "high": setting("largest slope", 1.0 / 3.0, number),
        },
        check=_ordered,
        samples=(
            *ANYWHERE,
            case((40, 100), {"low": 0.1, "high": 0.5}, low=-1.0, high=-1.0, training=True, random=True),
            case((3, 4), {"low": 0.5, "high": 0.1}, error="is above high"),
        ),
    ),
    "elu": Row(
        "`x` where positive, else `alpha * (exp(x) - 1)`.  Clevert et al. 2015.",
        scalar=lambda x, alpha: where(x > 0.0, x, alpha * expm1(x)),
        reference=_elu_in_numpy,
        onnx=lambda m, x, alpha: m.node("Elu", x, alpha=alpha),
        settings={"alpha": setting("the limit to the left is -alpha", 1.0, number)},
    ),
    "selu": Row(
        "`scale * elu(x, alpha)` with the self-normalising constants.  Klambauer et al. 2017.",
        scalar=lambda x: where(x > 0.0, SELU_SCALE * x, (SELU_SCALE * SELU_ALPHA) * expm1(x)),
        reference=lambda x: SELU_SCALE * _elu_in_numpy(x, SELU_ALPHA),
        onnx=lambda m, x: m.node("Selu", x, alpha=SELU_ALPHA, gamma=SELU_SCALE),
    ),
    "gelu": Row(
        """`x * Phi(x)` with the normal distribution function Phi.  Hendrycks and Gimpel 2016.

        `approximate` uses their tanh formula.
        """,
        scalar=_gelu,
        reference=_gelu_in_numpy,
        onnx=lambda m, x, approximate: m.node("Gelu", x, approximate="tanh" if approximate else "none"),
        settings={"approximate": setting("use the tanh formula", False, boolean)},
        positional=0,
        samples=(*ANYWHERE, case((2, 9), {"approximate": True}, low=-4.0, high=4.0)),
    ),
    "silu": Row(
        "`x * sigmoid(x)`, swish with `beta = 1`.  Elfwing et al. 2017, Ramachandran et al. 2017.",
        scalar=lambda x: x * sigmoid(x),
        reference=lambda x: 0.5 * x * (1 + np.tanh(0.5 * x)),
        onnx=lambda m, x: _swish_in_onnx(m, x, 1.0),
    ),
    "swish": Row(
        "`x * sigmoid(beta * x)`, with a fixed `beta`.  Ramachandran et al. 2017.",
        scalar=lambda x, beta: x * sigmoid(beta * x),
        reference=lambda x, beta: 0.5 * x * (1 + np.tanh(0.5 * beta * x)),
        onnx=_swish_in_onnx,
        settings={"beta": setting("sharpness of the gate", 1.0, positive_number)},
        samples=(*ANYWHERE, case((2, 9), {"beta": 1.702}, low=-4.0, high=4.0)),
    ),
    "hard_swish": Row(
        "`x * min(max(x / 6 + 1/2, 0), 1)`.  MobileNet v3, Howard et al. 2019.",
        scalar=lambda x: x * minimum(maximum(x * (1.0 / 6.0) + 0.5, 0.0), 1.0),
        reference=lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
        onnx="HardSwish",
    ),
    "mish": Row(
        "`x * tanh(log(1 + exp(x)))`.  Misra 2019.",
        scalar=lambda x: x * tanh(softplus(x)),
        reference=lambda x: x * np.tanh(np.logaddexp(x, 0)),
        onnx="Mish",
    ),
}
