"""Penalties in a loss, and kernels given as numbers, against NumPy."""

import numpy as np
import pytest

from netdsl.autodiff import grad
from netdsl.elaborate import elaborate
from netdsl.ir import interpret
from netdsl.ops.expand import expand
from netdsl.ops.initializers import initialize
from netdsl.ops.rebatch import with_batch
from netdsl.source import NetError, Source

NET = """
net N {
  input image: [6, 6, 1]
  output logits = image -> conv(2, 3) -> batch_norm -> flatten -> dense(4) -> dense(3)
}
train { loss = %s }
"""
SUMS = {"l1": lambda w: np.abs(w).sum(), "l2": lambda w: np.square(w).sum()}
SLOPES = {"l1": np.sign, "l2": lambda w: 2 * w}
DECAYING = ["conv1.weight", "dense1.weight", "dense2.weight"]


def loss_and_gradients(loss, batch):
    """The loss, the gradients and the weights of a batch of equal samples."""
    objective = with_batch(elaborate(Source("n.net", NET % loss)).objective, batch)
    graph = expand(objective)
    weights = [n.id for n in graph.leaves("param")]
    leaves = (*graph.leaves("param"), *graph.leaves("state"))
    feeds = {n.id: initialize(n, 3).astype(np.float64) for n in leaves}
    feeds |= {"image": np.ones((batch, 6, 6, 1)), "label": np.ones(batch, np.int64)}
    got = interpret(grad(graph, "loss", weights), feeds, np.float64).outputs
    return got["loss"], {w: got[f"grad/{w}"] for w in weights}, feeds


@pytest.mark.parametrize(
    "call, counted",
    [
        ("l1(weights)", DECAYING),
        ("l2(weights)", DECAYING),
        ('l2(weights, "conv1")', ["conv1.weight"]),
        ('l1(weights, "dense*")', ["dense1.weight", "dense2.weight"]),
        ('l2(weights, of = "*.bias")', ["conv1.bias", "batch_norm1.bias", "dense1.bias", "dense2.bias"]),
        ('l2(weights, "dense2.weight")', ["dense2.weight"]),
    ],
)
@pytest.mark.parametrize("batch", [1, 3])
def test_a_penalty_in_the_loss(call, counted, batch):
    """It is the same for every batch."""
    kind = call[:2]
    plain, before, weights = loss_and_gradients("cross_entropy(logits, label)", batch)
    total, after, _ = loss_and_gradients(f"cross_entropy(logits, label) + 0.25 * {call}", batch)
    np.testing.assert_allclose(total - plain, 0.25 * sum(SUMS[kind](weights[w]) for w in counted), atol=1e-9)
    for name, gradient in after.items():
        slope = SLOPES[kind](weights[name]) if name in counted else 0
        np.testing.assert_allclose(gradient - before[name], 0.25 * slope, rtol=1e-6, atol=1e-9)


def test_labels_as_rows():
    """A net of zeros but for its last bias: the mean of the squared distances to (0, 1, 0)."""
    loss, _, feeds = loss_and_gradients("mse(logits, one_hot(label, 3))", 2)
    x = np.ones((6, 6))
    kernel = feeds["conv1.weight"][:, :, 0]
    cells = np.array(
        [[(x[i : i + 3, k : k + 3, None] * kernel).sum((0, 1)) for k in range(4)] for i in range(4)]
    )
    hidden = (cells / np.sqrt(1 + 1e-5)).reshape(-1) @ feeds["dense1.weight"]
    np.testing.assert_allclose(loss, np.square(hidden @ feeds["dense2.weight"] - [0, 1, 0]).mean(), rtol=1e-6)


@pytest.mark.parametrize(
    "loss, message",
    [
        ("cross_entropy(logits, label) + l2(logits)", "l2 sums weights alone"),
        ("cross_entropy(logits, label) + l2(weight)", "l2 sums weights alone"),
        ('cross_entropy(logits, label) + l2(weights, "conv2")', "no weight that learns is called conv2"),
        ("cross_entropy(logits, label) + l2(weights, 3)", "no weight that learns is called 3"),
        ("mse(logits, one_hot(logits, 3))", "one_hot takes labels"),
    ],
)
def test_what_means_nothing_in_a_loss(loss, message):
    with pytest.raises(NetError, match=message):
        elaborate(Source("n.net", NET % loss))


@pytest.mark.parametrize(
    "layer, expected",
    [
        ("depthwise_conv(2, init = [[1, 2], [3, 4]])", np.array([[1, 2], [3, 4]])[:, :, None, None]),
        ("conv(4, (1, 2), init = [[1, -1]])", np.array([[1, -1]])[:, :, None, None]),
        ("conv(2, 1, init = [[[[1, 2], [3, 4], [5, 6]]]])", np.array([[[[1, 2], [3, 4], [5, 6]]]])),
        ("conv(2, 1, bias = false, init = [[[[0.5, 2]]]])", np.array([[[[0.5, 2]]]])),
        ("flatten -> dense(2, init = [1/4])", 0.25),
        ("flatten -> dense(2, init = [[1, 2]])", np.array([[1, 2]])),
    ],
)
def test_kernels_given_as_numbers(layer, expected):
    text = f"net N {{\n input x: [4, 4, 3]\n output y = x -> {layer} @freeze\n}}"
    graph = elaborate(Source("n.net", text)).graph
    weight = next(n for n in graph.leaves("param") if n.id.endswith("weight"))
    got = initialize(weight, 0)
    assert got.dtype == np.float32 and not weight.op.trainable
    np.testing.assert_array_equal(got, np.broadcast_to(expected, weight.types[0].shape))


@pytest.mark.parametrize(
    "init, message",
    [
        ("[[1, 2], [3]]", "rows of the same length"),
        ("[]", "rows of the same length"),
        ('[["a"]]', "must be a number"),
        ("[[1, 2, 3]]", r"numbers of shape \[1, 3\] do not fill a weight \[2, 2, 3, 1\]"),
        ("[[[[[1]]]]]", "do not fill a weight"),
        ("[1e300]", "as tensors hold them"),
    ],
)
def test_numbers_that_are_no_kernel(init, message):
    text = f"net N {{\n input x: [4, 4, 3]\n output y = x -> conv(1, 2, init = {init})\n}}"
    with pytest.raises(NetError, match=message):
        elaborate(Source("n.net", text))
