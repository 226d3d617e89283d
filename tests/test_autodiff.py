"""Reverse mode over graphs: sums over uses, leaves without influence, whole networks."""

import math

import numpy as np
import pytest

from netdsl import autodiff
from netdsl.autodiff import grad
from netdsl.ir import TensorType, interpret, verify
from netdsl.ops import BY_NAME
from netdsl.ops.conv import Conv
from netdsl.ops.cross_entropy import CrossEntropy
from netdsl.ops.dense import Dense
from netdsl.ops.elementwise_loss import BinaryCrossEntropy
from netdsl.ops.expand import expand
from netdsl.ops.global_pool import GlobalAvgPool
from netdsl.ops.merge import Add, Mul
from netdsl.ops.noise import Dropout
from netdsl.ops.norm import BatchNorm
from netdsl.ops.pool import MaxPool
from netdsl.primitives import Input, Param, PrimitiveBuilder, State
from netdsl.primitives.builder import KEY
from netdsl.scalar import stop_gradient


def leaf(b, name, *shape, op=Param):
    return b.add1(op(TensorType(shape)), name=name)


def gradients(b, loss, feeds, *wrt):
    graph = verify(grad(b.finish({"loss": loss}), "loss", list(wrt)))
    outputs = interpret(graph, feeds, np.float64).outputs
    return [outputs[f"grad/{name}"] for name in wrt]


def test_uses_add_up():
    b = PrimitiveBuilder()
    w = leaf(b, "w", 3)
    square = b.map(lambda x, y: x * y, w, w)
    loss = b.sum(b.map(lambda x, y: x + y, square, w), (0,))
    (g,) = gradients(b, loss, {"w": np.array([1.0, -2.0, 3.0])}, "w")
    np.testing.assert_allclose(g, [3, -3, 7])


def test_leaf_without_influence_has_gradient_zero():
    b = PrimitiveBuilder()
    w, idle = leaf(b, "w", 2), leaf(b, "idle", 2, 3)
    loss = b.sum(b.map(lambda x: stop_gradient(x) * 2.0, w), (0,))
    b.map(lambda x: x, idle)
    one, other = gradients(b, loss, {"w": np.ones(2), "idle": np.ones((2, 3))}, "w", "idle")
    assert one.shape == (2,) and other.shape == (2, 3) and not one.any() and not other.any()


def test_what_stands_before_stop_gradient_learns_nothing():
    b = PrimitiveBuilder()
    w = leaf(b, "w", 1, 3)
    held = b.add1(BY_NAME["stop_gradient"](), w)
    product = b.add1(Mul(), w, b.add1(BY_NAME["relu"](), held))
    graph = expand(b.finish({"loss": product, "held": held}), training=True)
    b = PrimitiveBuilder(graph)
    x = np.array([[1.0, -2.0, 3.0]])
    (g,) = gradients(b, b.sum(graph.outputs["loss"], (0, 1)), {"w": x}, "w")
    np.testing.assert_array_equal(g, [[1, 0, 3]])
    (g,) = gradients(b, b.sum(graph.outputs["held"], (0, 1)), {"w": x}, "w")
    np.testing.assert_array_equal(g, [[0, 0, 0]])


def test_vectors_of_one_gradient_add_up():
    """Where two leaves have one gradient; by hand: the Hessian of the sum of (x + y)^3 is 6 (x + y) everywhere."""
    b = PrimitiveBuilder()
    x, y = leaf(b, "x", 2), leaf(b, "y", 2)
    loss = b.sum(b.map(lambda s: s * s * s, b.map(lambda p, q: p + q, x, y)), (0,))
    grads = autodiff.gradients(b, loss, [x, y])
    assert grads[x] == grads[y]
    products = autodiff.hessian_vector(
        b, grads, {x: b.const(np.float32([1, 2])), y: b.const(np.float32([3, 5]))}
    )
    graph = b.finish({v.node: p for v, p in products.items()})
    found = interpret(graph, {"x": np.array([1.0, 2.0]), "y": np.array([0.0, -1.0])}, np.float64).outputs
    np.testing.assert_allclose(found["x"], [24, 42])
    np.testing.assert_allclose(found["y"], [24, 42])


def test_gradient_of_an_inner_use_and_of_the_loss_itself():
    b = PrimitiveBuilder()
    loss = leaf(b, "loss_weight")
    (g,) = gradients(b, loss, {"loss_weight": np.asarray(4.0)}, "loss_weight")
    assert g == 1.0


def test_only_scalars_have_gradients():
    b = PrimitiveBuilder()
    w = leaf(b, "w", 3)
    with pytest.raises(ValueError, match="only a scalar"):
        grad(b.finish({"loss": w}), "loss", ["w"])


def test_results_updates_and_scopes_are_kept():
    b = PrimitiveBuilder(training=True)
    w, s = leaf(b, "w", 3), leaf(b, "s", 3, op=State)
    b.update(s, w)
    graph = b.finish({"loss": b.sum(w, (0,)), "w": w}, aux=["w"])
    new = grad(graph, "loss", ["w"])
    assert list(new.outputs) == ["loss", "w", "grad/w"]
    assert new.updates == graph.updates and new.aux == {"w"}


def test_binary_cross_entropy_at_zero_logits():
    # Logits of a fresh network may be exactly 0: the gradient is sigmoid(0) - t there, not a kink.
    b = PrimitiveBuilder()
    x, t = leaf(b, "x", 1, 2), leaf(b, "t", 1, 2, op=Input)
    (loss,) = BinaryCrossEntropy().expand(b, x, t)
    (g,) = gradients(b, loss, {"x": np.zeros((1, 2)), "t": np.array([[0.0, 1.0]])}, "x")
    np.testing.assert_allclose(g, [[0.25, -0.25]])


@pytest.mark.parametrize("x", [-100.0, -20.0, 0.0, 20.0, 100.0])
def test_softplus_slope_is_the_sigmoid_everywhere(x):
    b = PrimitiveBuilder()
    (y,) = BY_NAME["softplus"]().expand(b, leaf(b, "x", 1, 1))
    (g,) = gradients(b, b.sum(y, (0, 1)), {"x": np.array([[x]])}, "x")
    assert math.isclose(g[0, 0], 1 / (1 + math.exp(-x)), rel_tol=1e-12, abs_tol=1e-40)


def network():
    """Convolution, batch norm, a shortcut, dropout, pooling and a shared layer, in training."""
    b, leaves = PrimitiveBuilder(), []
    x = leaf(b, "x", 3, 6, 6, 2, op=Input)
    label = b.add1(Input(TensorType((3,), "i64")), name="label")

    def layer(op, name, *values):
        own = []
        for spec in op.params(b.type(values[0])):
            own.append(leaf(b, f"{name}.{spec.name}", *spec.shape, op=Param if spec.trainable else State))
            leaves.append(own[-1].node)
        return b.add1(op, *values, *own, name=name)

    h = layer(Conv(4, 3, pad="same"), "conv", x)
    h = b.add1(BY_NAME["relu"](), layer(BatchNorm(), "norm", h))
    h = b.add1(Add(), layer(Conv(4, 1, bias=False), "short", x), h)
    h = b.add1(MaxPool(2), b.add1(Dropout(0.3), h))
    shared = Dense(4)
    own = [leaf(b, "fc.weight", 4, 4), leaf(b, "fc.bias", 4)]
    leaves.extend(v.node for v in own)
    h = b.add1(GlobalAvgPool(), h)
    h = b.add1(shared, b.add1(shared, h, *own), *own)
    return b.finish({"loss": b.add1(CrossEntropy(label_smoothing=0.1), h, label)}), leaves


def test_network_against_finite_differences():
    ops, leaves = network()
    graph = expand(ops, training=True)
    rng = np.random.default_rng(5)
    feeds = {n: rng.normal(size=graph[n].types[0].shape) for n in ["x", *leaves]}
    feeds |= {"label": np.array([0, 3, 1]), KEY: np.asarray(77)}
    wrt = [n for n in leaves if graph[n].op.name == "param"]
    found = interpret(verify(grad(graph, "loss", wrt)), feeds, np.float64)
    assert set(found.updates) == {"norm.running_mean", "norm.running_var"}
    for name in wrt:
        direction = rng.normal(size=feeds[name].shape)
        values = []
        for h in (1e-6, -1e-6):
            moved = {**feeds, name: feeds[name] + h * direction}
            values.append(float(interpret(graph, moved, np.float64).outputs["loss"]))
        expected = (found.outputs[f"grad/{name}"] * direction).sum()
        assert math.isclose((values[0] - values[1]) / 2e-6, expected, rel_tol=1e-5, abs_tol=1e-8), name
