"""Small networks, one or more of each family of layers, whose gradients are compared with others'."""

import numpy as np
import pytest

from netdsl.api import Network
from netdsl.elaborate import elaborate
from netdsl.source import Source

#: name: (mode, inputs with their shapes, body up to `y`, loss)
NETS = {
    "dense": (False, "x: [5]", "x -> dense(4) -> tanh -> dense(3)", "cross_entropy(y, label)"),
    "conv": (
        False,
        "x: [6, 5, 2]",
        "x -> conv(3, 3, stride = 2, pad = 1) -> gelu -> conv(2, 2)",
        "mse(y, t)",
    ),
    "grouped": (
        False,
        "x: [5, 5, 4]",
        "x -> conv(6, 3, groups = 2, dilation = 2, bias = false) -> silu",
        "mse(y, t)",
    ),
    "depthwise": (
        False,
        "x: [5, 6, 3]",
        "x -> depthwise_conv(3, pad = 1) -> tanh -> conv(2, 1)",
        "mse(y, t)",
    ),
    "transposed": (False, "x: [3, 4, 3]", "x -> conv_transpose(2, 3, stride = 2) -> sigmoid", "mse(y, t)"),
    "norm trained": (
        True,
        "x: [4, 3, 2]",
        "x -> conv(3, 2) -> batch_norm -> tanh -> flatten -> dense(3)",
        "CE",
    ),
    "norm used": (
        False,
        "x: [4, 3, 2]",
        "x -> conv(3, 2) -> batch_norm -> tanh -> flatten -> dense(3)",
        "CE",
    ),
    "max pool": (
        False,
        "x: [6, 7, 3]",
        "x -> conv(4, 2) -> max_pool(3, stride = 2, pad = 1) -> softplus",
        "mse(y, t)",
    ),
    "average pool": (
        False,
        "x: [6, 7, 3]",
        "x -> conv(4, 2) -> avg_pool(3, stride = 2, pad = 1, include_pad = false) -> tanh",
        "mse(y, t)",
    ),
    "other pools": (
        False,
        "x: [7, 6, 2]",
        "x -> conv(3, 2)"
        " -> concat { | adaptive_avg_pool(2) | adaptive_max_pool(2) | lp_pool(2) -> adaptive_max_pool(2) }"
        " -> global_avg_pool -> dense(3)",
        "CE",
    ),
    "binary": (False, "x: [4]", "x -> dense(2) -> mish -> dense(2)", "binary_cross_entropy(y, t)"),
    "norms": (
        False,
        "x: [3, 3, 4]",
        "x -> group_norm(2) -> layer_norm -> instance_norm -> lrn(3) -> l2_normalize -> conv(2, 2)",
        "mse(y, t)",
    ),
    "gates": (
        False,
        "x: [4, 4, 4]",
        "x -> mul { | identity | global_avg_pool -> dense(4) -> sigmoid -> reshape([1, 1, 4]) }"
        " -> add { | conv(4, 1) -> prelu | identity } -> hard_swish",
        "mse(y, t)",
    ),
    "moves": (
        False,
        "x: [4, 4, 4]",
        "x -> concat { | crop(1) -> pad(1) | gather([3, 0, 3, 1], axis = 1) }"
        " -> channel_shuffle(2) -> pixel_shuffle(2) -> resize([5, 5], bilinear)"
        " -> flatten -> dense(3) -> softmax",
        "mse(y, t)",
    ),
    "dropped": (
        True,
        "x: [8]",
        "x -> dense(9) -> dropout(0.3) -> tanh -> gaussian_noise(0.1) -> dense(3)",
        "CE",
    ),
    "regions": (
        False,
        "x: [6, 6, 4]\n  input boxes: [2, 4]",
        "concat((x -> conv(4, 1), boxes) -> roi_align(2), (x, boxes) -> roi_pool(2)) -> flatten -> dense(3)",
        "CE",
    ),
}
SAMPLES = 4
#: those that every run of the tests compiles; the others are slow in their sum
FEW = {"dense", "norm trained", "max pool", "dropped", "regions"}
EACH = [pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in NETS]


def network(name: str) -> tuple[Network, bool]:
    """One of them, for batches of `SAMPLES`, and whether it is to be trained."""
    training, inputs, body, loss = NETS[name]
    loss = "cross_entropy(y, label)" if loss == "CE" else loss
    text = f"net N {{\n  input {inputs}\n  output y = {body}\n}}\ntrain {{ loss = {loss} }}\n"
    return Network(**vars(elaborate(Source("n.net", text), SAMPLES))), training


def numbers(gradient) -> dict[str, np.ndarray]:
    """What a gradient is fed, in float32; its statistics are set too."""
    rng = np.random.default_rng(6)
    feeds = {}
    for name, t in gradient.inputs.items():
        values = (
            rng.integers(0, 3, t.shape) if t.dtype == "i64" else rng.normal(size=t.shape).astype(np.float32)
        )
        if name == "boxes":
            values = (
                np.sort(rng.uniform(0, 6, (*t.shape[:-1], 2, 2)), axis=-2).reshape(t.shape).astype(np.float32)
            )
        feeds[name] = values
    for name, array in gradient.state_dict().items():
        low, high = (0.5, 1.5) if name.endswith(("running_var", "running_mean")) else (-0.2, 0.2)
        gradient.set(name, array + rng.uniform(low, high, array.shape).astype(np.float32))
    return feeds
