"""Gradients and products with the Hessian against PyTorch's double backward, in float64."""

import numpy as np
import pytest

from tests.runtime.gradient_nets import network, numbers

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.torch


def first(x):
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def conv(w, name, x, function=F.conv2d, **settings):
    """A convolution over channels that are last here and second there; kernels are [K, K, C, F] and [F, C, K, K]."""
    return last(
        function(first(x), w[f"{name}.weight"].permute(3, 2, 0, 1), w.get(f"{name}.bias"), **settings)
    )


def dense(w, name, x):
    return x @ w[f"{name}.weight"] + w[f"{name}.bias"]


def batch_norm(w, name, x, training):
    statistics = (w[f"{name}.running_mean"].clone().detach(), w[f"{name}.running_var"].clone().detach())
    return last(
        F.batch_norm(first(x), *statistics, w[f"{name}.weight"], w[f"{name}.bias"], training, eps=1e-5)
    )


def normed(w, x, training):
    x = torch.tanh(batch_norm(w, "batch_norm1", conv(w, "conv1", x), training))
    return dense(w, "dense1", x.flatten(1))


def pools(w, x):
    x = first(conv(w, "conv1", x))
    powers = F.lp_pool2d(x, 2, 2)
    parts = [F.adaptive_avg_pool2d(x, 2), F.adaptive_max_pool2d(x, 2), F.adaptive_max_pool2d(powers, 2)]
    return dense(w, "dense1", torch.cat(parts, 1).mean((2, 3)))


def norms(w, x):
    x = F.group_norm(first(x), 2, w["group_norm1.weight"], w["group_norm1.bias"])
    x = first(F.layer_norm(last(x), (4,), w["layer_norm1.weight"], w["layer_norm1.bias"]))
    x = F.instance_norm(x, weight=w["instance_norm1.weight"], bias=w["instance_norm1.bias"])
    return conv(w, "conv1", last(F.normalize(F.local_response_norm(x, 3), dim=1)))


def gates(w, x):
    gate = torch.sigmoid(dense(w, "dense1", x.mean((1, 2))))[:, None, None]
    x = x * gate
    return F.hardswish(last(F.prelu(first(conv(w, "conv1", x)), w["prelu1.weight"])) + x)


def moves(w, x):
    inner = F.pad(first(x)[:, :, 1:-1, 1:-1], (1, 1, 1, 1))
    x = torch.cat([inner, first(x[:, :, [3, 0, 3, 1]])], 1)
    x = x.reshape(len(x), 2, 4, 4, 4).transpose(1, 2).reshape(len(x), 8, 4, 4)
    x = F.interpolate(F.pixel_shuffle(x, 2), (5, 5), mode="bilinear", align_corners=False)
    return dense(w, "dense1", last(x).flatten(1)).softmax(-1)


PEERS = {
    "dense": lambda w, x: dense(w, "dense2", torch.tanh(dense(w, "dense1", x))),
    "conv": lambda w, x: conv(w, "conv2", F.gelu(conv(w, "conv1", x, stride=2, padding=1))),
    "grouped": lambda w, x: F.silu(conv(w, "conv1", x, groups=2, dilation=2)),
    "depthwise": lambda w, x: conv(
        w, "conv1", torch.tanh(conv(w, "depthwise_conv1", x, padding=1, groups=3))
    ),
    "transposed": lambda w, x: torch.sigmoid(conv(w, "conv_transpose1", x, F.conv_transpose2d, stride=2)),
    "norm trained": lambda w, x: normed(w, x, True),
    "norm used": lambda w, x: normed(w, x, False),
    "max pool": lambda w, x: F.softplus(last(F.max_pool2d(first(conv(w, "conv1", x)), 3, 2, 1))),
    "average pool": lambda w, x: torch.tanh(
        last(F.avg_pool2d(first(conv(w, "conv1", x)), 3, 2, 1, count_include_pad=False))
    ),
    "other pools": pools,
    "binary": lambda w, x: dense(w, "dense2", F.mish(dense(w, "dense1", x))),
    "norms": norms,
    "gates": gates,
    "moves": moves,
}


def loss_of(name, y, feeds):
    if "label" in feeds:
        return F.cross_entropy(y, feeds["label"])
    return (F.binary_cross_entropy_with_logits if name == "binary" else F.mse_loss)(y, feeds["t"])


@pytest.mark.parametrize("name", PEERS)
def test_gradients_and_products(name):
    net, training = network(name)
    wrt = ["weights", *(n for n in net.gradient(training=training).inputs if n in ("x", "t"))]
    gradient = net.gradient(wrt=wrt, training=training)
    feeds = numbers(gradient)
    values, slopes = gradient(feeds)
    rng = np.random.default_rng(1)
    vectors = {n: rng.normal(size=a.shape) for n, a in slopes.items()}
    products = gradient.hvp(feeds, vectors)
    arrays = {**gradient.state_dict(), **feeds}
    theirs = {n: torch.tensor(a if a.dtype == np.int64 else a.astype(np.float64)) for n, a in arrays.items()}
    leaves = [theirs[n].requires_grad_() for n in slopes]
    loss = loss_of(name, PEERS[name](theirs, theirs["x"]), theirs)
    first_order = torch.autograd.grad(loss, leaves, create_graph=True)
    along = sum((g * torch.tensor(v)).sum() for g, v in zip(first_order, vectors.values(), strict=True))
    second_order = torch.autograd.grad(along, leaves)
    np.testing.assert_allclose(values["loss"], loss.item(), rtol=1e-5)
    for found, expected in ((slopes, first_order), (products, second_order)):
        scale = max(float(tensor.abs().max()) for tensor in expected)
        for leaf, tensor in zip(found, expected, strict=True):
            wanted = tensor.detach().numpy()
            np.testing.assert_allclose(found[leaf], wanted, rtol=1e-3, atol=1e-4 * scale, err_msg=leaf)
