"""Contractions in less than float32: how factors are rounded, and that gradients and expressions keep it.

The oracle is the exact distance, in float64, to the two neighbours with so many bits.
"""

import numpy as np
import pytest

from netdsl.autodiff import gradients
from netdsl.ir import TensorType, interpret
from netdsl.ir.op import ShapeError
from netdsl.primitives import Contract, Input, PrimitiveBuilder
from netdsl.primitives.precision import rounded
from netdsl.scalar import Arg

FRACTION = {"tf32": 10, "bf16": 7}


def nearest(x, precision):
    """The nearest number with so many bits; of two, the even one for bf16, the larger one for tf32."""
    if not np.isfinite(x) or x == 0:
        return x
    step = 2.0 ** (max(np.frexp(abs(float(x)))[1] - 1, -126) - FRACTION[precision])
    low = np.floor(abs(float(x)) / step)
    up = abs(float(x)) / step - low
    low += up > 0.5 or (up == 0.5 and (precision == "tf32" or low % 2 == 1))
    return np.copysign(np.float32(low * step), np.float32(x))


@pytest.mark.parametrize("precision", FRACTION)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding(precision, dtype):
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 3000, np.uint32)
    ties = (bits & np.uint32(0xFFFFE000 if precision == "tf32" else 0xFFFF0000)) | np.uint32(
        0x1000 if precision == "tf32" else 0x8000
    )
    x = np.concatenate([bits, ties]).view(np.float32)
    x = np.concatenate(
        [x, np.float32([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 1.1754944e-38, 3.4028235e38])]
    )
    with np.errstate(over="ignore"):
        expected = np.array([nearest(value, precision) for value in x], np.float32)
    with np.errstate(invalid="ignore"):  # NumPy says so of a NaN that signals
        found = rounded(x.astype(dtype), precision)
        expected = expected.astype(dtype)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found[~np.isnan(x)]), np.signbit(x[~np.isnan(x)]))


def test_f32_is_left_alone():
    x = np.random.default_rng(0).random(5)
    assert rounded(x, "f32") is x


@pytest.mark.parametrize("precision", FRACTION)
def test_products_and_their_gradients(precision):
    b = PrimitiveBuilder()
    x, w = (b.add1(Input(TensorType(shape)), name=name) for name, shape in {"x": (5, 7), "w": (7, 3)}.items())
    y = b.add1(Contract("forward", precision=precision), x, w)
    squares = b.reduce_expr("sum", Arg(0) * Arg(0), y, axes=(0, 1), shape=(5, 3))
    found = gradients(b, squares, [x, w])
    graph = b.finish({"y": y, "dx": found[x], "dw": found[w]})
    assert str(graph).count(f'precision="{precision}"') == 3
    rng = np.random.default_rng(1)
    feeds = {"x": rng.random((5, 7)), "w": rng.random((7, 3))}
    nearby = np.vectorize(lambda v: nearest(np.float32(v), precision), [np.float64])
    r = {k: nearby(v) for k, v in feeds.items()}
    got = interpret(graph, feeds, np.float64).outputs
    np.testing.assert_allclose(got["y"], r["x"] @ r["w"], rtol=1e-12)
    dy = nearby(2 * got["y"])
    np.testing.assert_allclose(got["dx"], dy @ r["w"].T, rtol=1e-12)
    np.testing.assert_allclose(got["dw"], r["x"].T @ dy, rtol=1e-12)


def test_an_unknown_precision_is_refused():
    with pytest.raises(ShapeError, match="contract multiplies in f32, tf32, bf16, not in fp16") as error:
        Contract("forward", precision="fp16").infer(TensorType((2, 3)), TensorType((3, 4)))
    assert error.value.setting == "precision"
