"""Second derivatives of every op: products with the Hessian against second differences, and at special numbers."""

import math

import numpy as np
import pytest

from netdsl import passes
from netdsl.autodiff import gradients, hessian_vector
from netdsl.ir import Sample, TensorType, Value, interpret, verify
from netdsl.ops import LIBRARY, OPS
from netdsl.ops.elementwise_loss import ElementwiseLoss
from netdsl.ops.unary import Unary
from netdsl.primitives import Input, PrimitiveBuilder
from netdsl.runtime import Program
from tests.ops.samples import GOOD, expanded


def with_products(graph, loss, wrt):
    """`graph` with the outputs `product/NAME`: the Hessian of `loss` times the inputs `vector/NAME`."""
    b = PrimitiveBuilder(graph)
    grads = gradients(b, loss, [Value(name) for name in wrt])
    vectors = {v: b.add1(Input(b.type(v)), name=f"vector/{v.node}") for v in grads}
    products = hessian_vector(b, grads, vectors)
    return verify(b.finish({f"product/{v.node}": p for v, p in products.items()}))


#: ops whose derivative is 0 wherever there is one, or is so by decree
FLAT = {"greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "argmax", "stop_gradient"}
FLAT |= {"accuracy", "binary_accuracy", "top_k_accuracy"}
COUNTS = {"precision", "recall", "f1", "mean_iou", "dice_score", "auc", "confusion_matrix", "rmse", "r2"}


def why_not(sample: Sample) -> str | None:
    """Why differences of a sample say nothing of its second derivatives."""
    if sample.op.name in FLAT:
        return "its derivative is 0"
    if sample.op.name in COUNTS:
        return "it is a metric of counts and sums, by which nothing is learnt"
    if not sample.smooth:
        return "its numbers lie at kinks, or are too large for differences, or are none of floats"
    if sample.low == sample.high == 0:
        return "a root has no second derivative at 0"
    return None


def test_every_op_has_a_sample_that_is_checked():
    assert {s.op.name for s in GOOD if why_not(s) is None} == {op.name for op in LIBRARY} - FLAT - COUNTS


@pytest.mark.parametrize("sample", GOOD, ids=str)
def test_the_hessian_equals_second_differences(sample: Sample):
    """Products with the Hessian, in float64 by the meaning of each primitive in NumPy."""
    if reason := why_not(sample):
        pytest.skip(reason)
    _, primitives, feeds, names = expanded(sample)
    rng = np.random.default_rng(1)
    b = PrimitiveBuilder(primitives)
    y = primitives.outputs["y0"]
    shape = b.type(y).shape
    weights = b.const(rng.standard_normal(shape))
    loss = b.reduce("sum", lambda a, w: a * a * w, y, weights, axes=range(len(shape))) if shape else y
    graph = b.finish({"loss": loss})
    varied = [n for k, n in enumerate(names) if k not in sample.fixed and primitives[n].op.name != "state"]
    wrt = [n for n in varied if primitives[n].types[0].dtype == "f32"]
    one, other = ({n: rng.standard_normal(feeds[n].shape) for n in wrt} for _ in range(2))
    given = {**feeds, **{f"vector/{n}": v for n, v in one.items()}}
    products = interpret(with_products(graph, loss, wrt), given, np.float64).outputs
    found = sum(float((products[f"product/{n}"] * other[n]).sum()) for n in wrt)
    assert math.isclose(found, curvature(graph, feeds, one, other), rel_tol=1e-4, abs_tol=1e-4)


def curvature(graph, feeds, one, other, step=1e-5):
    """The second difference of the loss along two directions."""
    total = 0.0
    for s, t in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        moved = {n: feeds[n] + step * (s * one[n] + t * other[n]) for n in one}
        total += s * t * float(interpret(graph, {**feeds, **moved}, np.float64).outputs["loss"])
    return total / (4 * step * step)


def second_derivatives(name, x, *others, **settings):
    """Those of an op, added up over its result, in float32 as compiled."""
    b = PrimitiveBuilder(training=True)
    leaves = [b.add1(Input(TensorType(a.shape)), name=f"x{k}") for k, a in enumerate((x, *others))]
    (y,) = OPS[name](**settings).expand(b, *leaves)
    total = b.sum(y, range(b.type(y).rank))
    products = hessian_vector(
        b, gradients(b, total, leaves[:1]), {leaves[0]: b.const(np.ones(x.shape, np.float32))}
    )
    graph = passes.training().run(b.finish({"found": products[leaves[0]]}))
    return Program(graph, threads=1).run({f"x{k}": a for k, a in enumerate((x, *others))})["found"]


def test_smooth_functions_are_smooth_at_zero():
    """Where a formula has an |x| or a max in it, but the function has no kink; by hand."""
    zero, ones = np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)
    assert second_derivatives("softplus", zero) == 0.25
    np.testing.assert_allclose(second_derivatives("mish", zero), 0.64, rtol=1e-6)  # 1 - tanh(log 2)^2
    for target in (zero, ones):
        assert second_derivatives("binary_cross_entropy", zero, target) == 0.25
    assert second_derivatives("huber", ones, ones) == 1
    assert second_derivatives("smooth_l1", ones, ones, beta=0.5) == 2
    assert second_derivatives("mse", ones, ones) == 2
    row = np.float32([3, 4, 0, 0]).reshape(1, 2, 2, 1)
    # d2|x| = 1/|x| - x x'/|x|^3 along (1, 1, 1, 1)
    expected = 1 / 5 - np.float32([3, 4, 0, 0]) * 7 / 125
    np.testing.assert_allclose(second_derivatives("lp_pool", row, size=2).ravel(), expected, rtol=1e-5)


SPECIAL = [0.0, 1e-45, 1e-38, 1e-20, 1e-7, 0.5, 1.0, 9.0, 20.0, 50.0, 88.0, 104.0, 1e4, 1e10, 1e19, 3.4e38]
WITHOUT = {"log", "sqrt", "power", "exp"}  # they have poles, or overflow
SCALAR = [op for op in LIBRARY if issubclass(op, (Unary, ElementwiseLoss)) and op.name not in WITHOUT]


@pytest.mark.parametrize(
    "op", dict.fromkeys(s.op for op in SCALAR for s in op.samples() if not s.error), ids=str
)
def test_second_derivatives_are_finite(op):
    x = np.float32([*SPECIAL, *(-v for v in SPECIAL)]).reshape(-1, 1)
    settings = dict(op.settings())
    for target in (0.0, 1.0) if isinstance(op, ElementwiseLoss) else (None,):
        others = () if target is None else (np.full_like(x, target),)
        assert np.isfinite(second_derivatives(op.name, x, *others, **settings)).all()
