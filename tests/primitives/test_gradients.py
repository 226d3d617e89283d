"""Every primitive's gradient rule against finite differences in float64."""

import math

import numpy as np
import pytest

from netdsl import passes
from netdsl.autodiff import grad, gradients, hessian_vector
from netdsl.ir import TensorType, Value, interpret, verify
from netdsl.primitives import (
    PRIMITIVES,
    Concat,
    Contract,
    Gather,
    Input,
    Map,
    NonMaxSuppression,
    Pad,
    PrimitiveBuilder,
    Reduce,
    ReduceWindow,
    ReduceWindowGrad,
    Reshape,
    RoiReduce,
    RoiReduceGrad,
    ScatterAdd,
    Slice,
    TopK,
    Transfer,
    Transpose,
)
from netdsl.runtime import Program
from netdsl.scalar import Arg, Index, Lit, Uniform, cast_float, exp, maximum, sigmoid, where

X, Y, Z = Arg(0), Arg(1), Arg(2)
GEOMETRY = ((2, 1), ((1, 0), (1, 2)), (1, 2), 2)
AVG = ("avg", (2, 3), (2, 1), ((1, 0), (1, 1)), (1, 1), (1, 0))
MAX = ("max", (2, 3), (1, 2), ((0, 1), (1, 1)), (1, 1), (0, 1))
FAR = ("max", (2, 2), (1, 2), ((0, 1), (1, 1)), (2, 3), (0, 1))

ROWS = np.array([[[[0.5, 0, 2], [0, 0, 0]], [[0, 1, 1], [1, 0, 0]]]])
COLUMNS = np.array([[[[1, 0.5]], [[0, 1]]]])

DATA = np.random.default_rng(1).normal(size=(2, 4, 5, 3))
#: two cells of each window are the largest
TIED = np.round(DATA)
LEFT = np.random.default_rng(2).normal(size=(1, 3, 2, 4))


def pooled(x, settings=MAX):
    return ReduceWindow(*settings).reference(x)[0]


def largest(x):
    return RoiReduce("max", True).reference(x, ROWS, COLUMNS)[0]


CASES = [
    (Map((X * Y + exp(X), sigmoid(Y))), ((2, 3), (2, 3))),
    (Map((X * Y * Z,)), ((4, 1, 3), (1, 5, 1), ())),
    (Map((X * cast_float(Index(1)) + Uniform(1, Lit(5)) * X,), (2, 4)), ((2, 1),)),
    (Map((Lit(2.0),), (3,)), ()),
    (Reduce("sum", X * Y, (1,)), ((2, 3, 4), (3, 1))),
    (Reduce("sum", X * X, (0, 2), True), ((2, 3, 4),)),
    (Reduce("sum", X * cast_float(Index(0)), (0,), False, (3, 2)), ((2,),)),
    (Reduce("max", X * Y, (1,)), ((3, 4), (4,))),
    (Reduce("min", where(X > 0.0, X, Y), (0,), True), ((3, 4), (3, 4))),
    (Contract("forward"), ((3, 4), (4, 5))),
    (Contract("backward_data", size=()), ((3, 5), (4, 5))),
    (Contract("backward_weights", size=()), ((3, 4), (3, 5))),
    (Contract("forward", *GEOMETRY), ((2, 5, 6, 4), (2, 3, 2, 6))),
    (Contract("backward_data", *GEOMETRY, (5, 6)), ((2, 3, 5, 6), (2, 3, 2, 6))),
    (Contract("backward_weights", *GEOMETRY, (2, 3)), ((2, 5, 6, 4), (2, 3, 5, 6))),
    (Contract("forward", (1,), ((2, 2),), (1,)), ((2, 4, 3), (3, 3, 2))),
    (Contract("forward", (1, 2, 1), ((0, 0), (1, 1), (0, 1)), (1, 1, 1)), ((1, 3, 4, 3, 2), (2, 3, 2, 2, 3))),
    (ReduceWindow(*AVG), ((2, 4, 5, 3),)),
    (ReduceWindow(*AVG, False), ((2, 4, 5, 3),)),
    (ReduceWindow(*MAX), ((2, 4, 5, 3),)),
    (ReduceWindowGrad(*AVG, input=(4, 5)), ((2, *ReduceWindow(*AVG).out_size((4, 5)), 3),)),
    (ReduceWindowGrad(*MAX, input=(4, 5)), (DATA, pooled(DATA), pooled(DATA).shape)),
    (ReduceWindowGrad(*FAR, input=(4, 5)), (DATA, pooled(DATA, FAR), pooled(DATA, FAR).shape)),
    (ReduceWindowGrad(*MAX, input=(4, 5)), (TIED, pooled(TIED), pooled(DATA).shape)),
    (ReduceWindowGrad(*MAX, input=(4, 5)), (-DATA - 9, pooled(-DATA - 9), pooled(DATA).shape)),
    (RoiReduce("sum"), ((1, 3, 2, 4), ROWS, COLUMNS)),
    (RoiReduce("max", True), ((1, 3, 2, 4), ROWS, COLUMNS)),
    (RoiReduce("sum", True), ((1, 3, 2, 4), ROWS, COLUMNS)),
    (RoiReduce("max"), ((1, 3, 2, 4), ROWS, COLUMNS)),
    (RoiReduceGrad("sum"), (ROWS, COLUMNS, (1, 2, 2, 1, 4))),
    (RoiReduceGrad("max", True), (ROWS, COLUMNS, (1, 2, 2, 1, 2), LEFT, largest(LEFT))),
    (RoiReduceGrad("max", True), (ROWS, COLUMNS, (1, 2, 2, 1, 2), LEFT * 0, largest(LEFT * 0))),
    (Reshape((4, 3)), ((2, 6),)),
    (Concat(1), ((2, 3), (2, 1), (2, 4))),
    (Slice((1, -1), (2, 1), (2, 6)), ((5, 4),)),
    (Slice((4, 3), (-1, -2), (5, 2)), ((5, 4),)),
    (Pad((1, -1), (2, 1), (6, 4)), ((3, 6),)),
    (Transpose((2, 0, 1)), ((2, 3, 4),)),
    (Transfer(), ((2, 3),)),
    (Gather(1), ((2, 4, 3), np.array([[3, 0, 3], [1, -1, 9]]))),
    (ScatterAdd(1, 4), ((2, 2, 3, 3), np.array([[3, 0, 3], [1, -1, 9]]))),
]


IDS = [f"{k}-{op.name}" for k, (op, _) in enumerate(CASES)]


def test_every_primitive_is_here():
    # Their results are places, which do not move by little.
    without = {NonMaxSuppression.name, TopK.name}
    assert {op.name for op in PRIMITIVES} - {op.name for op, _ in CASES} == without


def scalar_of(op, shapes, power):
    """A weighted sum of the results of a primitive, or of their squares, and numbers for its inputs."""
    rng = np.random.default_rng(3)
    b = PrimitiveBuilder()
    inputs = [
        b.const(s) if isinstance(s, np.ndarray) else b.add1(Input(TensorType(s)), name=f"x{k}")
        for k, s in enumerate(shapes)
    ]
    loss = b.const(0.0)
    for y in b.add(op, *inputs):
        shape = b.type(y).shape
        weights = b.const(rng.normal(size=shape))
        part = b.reduce("sum", lambda a, w: a**power * w, y, weights, axes=range(len(shape)))
        loss = b.map(lambda a, c: a + c, loss, part)
    feeds = {f"x{k}": rng.normal(size=s) for k, s in enumerate(shapes) if not isinstance(s, np.ndarray)}
    return b.finish({"loss": loss}), feeds, rng


@pytest.mark.parametrize("op, shapes", CASES, ids=IDS)
def test_gradient(op, shapes):
    graph, feeds, rng = scalar_of(op, shapes, 1)
    found = interpret(verify(grad(graph, "loss", list(feeds))), feeds, np.float64).outputs
    for name, x in feeds.items():
        for index in rng.permutation(x.size)[:8]:
            at = np.unravel_index(index, x.shape)
            assert math.isclose(
                found[f"grad/{name}"][at], slope(graph, feeds, name, at), rel_tol=1e-6, abs_tol=1e-8
            )


def with_products(graph, wrt):
    """The graph with the outputs `product/NAME`: the Hessian times the inputs `vector/NAME`."""
    b = PrimitiveBuilder(graph)
    grads = gradients(b, graph.outputs["loss"], [Value(name) for name in wrt])
    vectors = {v: b.add1(Input(b.type(v)), name=f"vector/{v.node}") for v in grads}
    products = hessian_vector(b, grads, vectors)
    return verify(b.finish({f"product/{v.node}": p for v, p in products.items()}))


@pytest.mark.parametrize("op, shapes", CASES, ids=IDS)
def test_second_derivative(op, shapes):
    """Every gradient has a gradient: products with the Hessian against second differences of the loss."""
    graph, feeds, rng = scalar_of(op, shapes, 2)
    if not feeds:
        pytest.skip("a constant has no derivative")
    vectors, others = ({name: rng.normal(size=x.shape) for name, x in feeds.items()} for _ in range(2))
    hessian = with_products(graph, list(feeds))
    given = {**feeds, **{f"vector/{name}": v for name, v in vectors.items()}}
    found = interpret(hessian, given, np.float64).outputs
    product = sum((found[f"product/{name}"] * u).sum() for name, u in others.items())
    assert math.isclose(product, curvature(graph, feeds, vectors, others), rel_tol=1e-5, abs_tol=1e-5)
    compiled = Program(passes.training().run(hessian), threads=1).run(given)
    for name, array in found.items():
        np.testing.assert_allclose(compiled[name], array, rtol=1e-4, atol=1e-4 * np.abs(array).max())


def curvature(graph, feeds, one, other, step=1e-4):
    """The second difference of the loss along two directions."""
    total = 0.0
    for s, t in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        moved = {name: x + step * (s * one[name] + t * other[name]) for name, x in feeds.items()}
        total += s * t * float(interpret(graph, moved, np.float64).outputs["loss"])
    return total / (4 * step * step)


def slope(graph, feeds, name, at, step=1e-6):
    values = []
    for h in (step, -step):
        moved = {**feeds, name: feeds[name].copy()}
        moved[name][at] += h
        values.append(float(interpret(graph, moved, np.float64).outputs["loss"]))
    return (values[0] - values[1]) / (2 * step)


def gradient_of(op, x):
    b = PrimitiveBuilder()
    value = b.add1(Input(TensorType(x.shape)), name="x")
    y = b.add1(op, value)
    loss = b.sum(y, range(b.type(y).rank))
    return interpret(grad(b.finish({"loss": loss}), "loss", ["x"]), {"x": x}, np.float64).outputs["grad/x"]


def test_ties():
    # A reduction shares the gradient among equals, pooling gives it to the first: PyTorch's amax and max_pool.
    np.testing.assert_allclose(gradient_of(Reduce("max", X, (0,)), np.array([2.0, 1.0, 2.0])), [0.5, 0, 0.5])
    pool = ReduceWindow("max", (2,), (2,), ((0, 0),), (1,), (0,))
    np.testing.assert_allclose(gradient_of(pool, np.ones((1, 4, 1)))[0, :, 0], [1, 0, 1, 0])


def test_relu_is_flat_at_zero():
    assert list(gradient_of(Map((maximum(X, 0.0),)), np.array([-1.0, 0.0, 1.0]))) == [0, 0, 1]
