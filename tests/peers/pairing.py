"""The same weights for a network of ours and one of PyTorch's that was built apart from it."""

import numpy as np
import torch

from netdsl.ops import LIBRARY
from netdsl.ops.initializers import initialize

OWNERS = {op.name for op in LIBRARY} & {"conv", "conv_transpose", "dense", "batch_norm", "prelu"}


def paired(graph, model):
    """Our layers with PyTorch's: the first one left, in the order of registration, whose weight is as large.

    Of layers that share their weights only the first counts.
    """
    kinds = ("Conv2d", "ConvTranspose2d", "Linear", "BatchNorm2d", "PReLU")
    left = [m for m in model.modules() if type(m).__name__ in kinds]
    seen = set()
    for node in (n for n in graph if n.op.name in OWNERS):
        weight = graph[node.inputs[1].node]
        if weight.id in seen:
            continue
        seen.add(weight.id)
        size = weight.types[0].size
        module = next(m for m in left if m.weight.numel() == size)
        left.remove(module)
        yield node, module
    assert not left


def load(graph, node, module, weights):
    """Put our weights of a layer into PyTorch's."""
    own = [graph[v.node] for v in node.inputs if graph[v.node].op.name in ("param", "state")]
    by_name = {n.id.rpartition(".")[2]: weights[n.id] for n in own}
    for name, array in by_name.items():
        target = getattr(module, name)
        if name == "weight" and array.ndim > 1:
            array = channels_first(graph, node, array)
        target.data.copy_(torch.from_numpy(np.ascontiguousarray(array)).reshape(target.shape))


def channels_first(graph, node, array):
    """A kernel `[*K, C, F]` as `[F, C, *K]`; a dense weight behind flatten with its inputs in PyTorch's order."""
    before = graph[node.inputs[0].node]
    while before.op.name == "dropout":
        before = graph[before.inputs[0].node]
    if before.op.name == "flatten" and node.op.name == "dense":
        shape = graph.type(before.inputs[0]).shape[1:]
        array = np.moveaxis(array.reshape(*shape, -1), -2, 0).reshape(array.shape)
    return np.moveaxis(array, (-1, -2), (0, 1))


def random_weights(graph, rng):
    """Weights and statistics of every leaf, none of them at its neutral value."""
    weights = {}
    for leaf in (*graph.leaves("param"), *graph.leaves("state")):
        array = initialize(leaf, 0)
        spread = 0.1 if leaf.id.endswith(("bias", "running_mean")) else 0.0
        # Below 1, or the deepest networks grow so large that rounding alone makes a difference.
        array = array * (0.5 if array.ndim == 1 and leaf.id.endswith("weight") else 1.0)
        weights[leaf.id] = (array + rng.uniform(-spread, spread, array.shape)).astype(np.float32)
    return weights


def share(graph, model, weights):
    """Give all our weights to PyTorch's network."""
    for node, module in paired(graph, model):
        module.eps = getattr(node.op, "eps", None)
        load(graph, node, module, weights)
