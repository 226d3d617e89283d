"""Initialisers of weights: He, Glorot, zeros, ones, constant, normal, rademacher.

Every leaf draws from a generator keyed by the seed and its own name, so a weight starts the same whatever is added
or removed elsewhere in the network.
"""

from __future__ import annotations

import hashlib
import math
import operator
from collections.abc import Mapping
from dataclasses import replace

from netdsl.arrays import Array, np
from netdsl.ir import Graph, Node
from netdsl.primitives import Param, State
from netdsl.primitives.leaf import spread_numbers

RELU_LIKE = frozenset(
    {"relu", "relu6", "thresholded_relu", "leaky_relu", "vrelu", "rrelu", "prelu", "elu", "apl", "maxout"}
    | {"gelu", "silu", "swish", "hard_swish", "mish", "softplus"}
)
LOOK_THROUGH = frozenset(
    {"batch_norm", "group_norm", "instance_norm", "layer_norm", "lrn", "add", "identity", "concat"}
    | {"dropout", "spatial_dropout", "drop_path", "gaussian_noise", "flatten", "reshape"}
    | {"max_pool", "avg_pool", "global_avg_pool", "global_max_pool"}
)

FAN = "`fan_in` is how many values one result sums up: `K * K * C / groups` of a convolution, `C` of a dense layer."
#: what each does, when to take it and who found it; those with a number have an example of it
TEXTS: Mapping[str, str] = {
    "auto": "`he_normal` where a ReLU-like activation comes next, `glorot_uniform` elsewhere: the default.\n\n"
    "What lies between is looked through: norms, pools, dropout, `flatten`, `reshape`, `add` and `concat`.\n"
    f"ReLU-like are {', '.join(sorted(RELU_LIKE))}.",
    "he_normal": "Normal, mean 0, variance `2 / fan_in`, not truncated.\n\n"
    "For layers before a ReLU, which halves the variance: so it stays the same from layer to layer.\n"
    f"{FAN}\nHe et al. 2015; PyTorch kaiming_normal_.  Keras' HeNormal cuts the tails off at two deviations.",
    "he_uniform": "Uniform between `-sqrt(6 / fan_in)` and `sqrt(6 / fan_in)`, which is variance `2 / fan_in`.\n\n"
    f"As `he_normal`, without rare large weights.\n{FAN}\n"
    "He et al. 2015; PyTorch kaiming_uniform_ with its defaults.",
    "glorot_normal": "Normal, mean 0, variance `2 / (fan_in + fan_out)`, not truncated.\n\n"
    "For layers before tanh, sigmoid, softmax or nothing: halfway between what keeps the variance of values and\n"
    f"what keeps that of gradients.  {FAN}\n`fan_out` is in how many sums each value is.\n"
    "Glorot and Bengio 2010; PyTorch xavier_normal_.",
    "glorot_uniform": "Uniform between plus and minus `sqrt(6 / (fan_in + fan_out))`.\n\n"
    "As `glorot_normal`, without rare large weights: the variance is the same, `2 / (fan_in + fan_out)`.\n"
    f"{FAN}\n`fan_out` is in how many sums each value is.\n"
    "Glorot and Bengio 2010; PyTorch xavier_uniform_, the default of Keras.",
    "normal(std = 0.02)": "Normal, mean 0, standard deviation `std`, not truncated.\n\n"
    "For papers that state one: 0.01 in AlexNet (Krizhevsky et al. 2012), 0.02 in DCGAN (Radford et al. 2015).",
    "constant(x = 0.1)": "Every weight is `x`.\n\n"
    "For biases and scales; kernels that start equal stay equal.  For different numbers write a list:\n"
    "`init = [[-1, 0, 1]]`.",
    "zeros": "Every weight is 0.\n\nThe default of biases; also for weights that should have no effect at first.",
    "ones": "Every weight is 1.\n\nThe default of the scales of norms.",
    "rademacher": "-1 or 1, equally likely.\n\n"
    "For random projections that stay as they are, with `@freeze` (Achlioptas 2003).",
}


def initialize(node: Node, seed: int) -> Array:
    """The first value of a `param` or `state` leaf, float32.

    he_normal, he_uniform: variance 2 / fan_in (He et al. 2015).  glorot_normal, glorot_uniform: variance
    2 / (fan_in + fan_out) (Glorot and Bengio 2010).  normal(std) and the normal ones are not truncated.
    rademacher: -1 or 1, equally likely.  Numbers are broadcast: axes that are missing at the end count as 1.
    Raises ValueError for an initialiser that was not resolved.
    """
    op, seed = node.op, operator.index(seed)  # NumPy's integers have no room for a key
    assert isinstance(op, (Param, State))
    shape = node.types[0].shape
    if isinstance(op.init, tuple):
        numbers = np.array(op.init, np.float32).reshape(spread_numbers(op.init, shape))
        return np.broadcast_to(numbers, shape).copy()
    kind, value = _parse(op.init, op.value)
    if kind in ("zeros", "ones", "constant"):
        return np.full(shape, {"zeros": 0.0, "ones": 1.0, "constant": value}[kind], np.float32)
    rng = np.random.Generator(np.random.Philox(key=[seed & (2**64 - 1), _digest(node.id)]))
    if kind == "normal":
        return _scaled(rng.standard_normal(shape, np.float32), value)
    if kind == "rademacher":
        return (rng.integers(0, 2, shape) * 2 - 1).astype(np.float32)
    fan_in, fan_out = op.fan if isinstance(op, Param) else (1, 1)
    variances = {"he": 2.0 / fan_in, "glorot": 2.0 / (fan_in + fan_out)}
    family, _, distribution = kind.partition("_")
    if family not in variances:
        raise ValueError(f"{node.id} has the initialiser {op.init}, which says nothing")
    std = math.sqrt(variances[family])
    if distribution == "normal":
        return _scaled(rng.standard_normal(shape, np.float32), std)
    # A uniform distribution on [-a, a] has variance a^2 / 3.
    sample = rng.random(shape, np.float32)
    sample *= 2
    sample -= 1
    return _scaled(sample, std * math.sqrt(3.0))


def _scaled(sample: Array, by: float) -> Array:
    """The sample times a number, in its own memory: the largest weights are hundreds of megabytes."""
    sample *= np.float32(by)
    return sample


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def _parse(init: str, value: float) -> tuple[str, float]:
    """`normal(0.02)` as name and number."""
    name, bracket, rest = init.partition("(")
    return (name, float(rest.rstrip(")"))) if bracket else (init, value)


def resolve_initializers(graph: Graph) -> Graph:
    """Replace every `auto`: he_normal where a ReLU-like activation comes next, glorot_uniform elsewhere."""
    before = _before_relu(graph)
    nodes = (_resolved(node, node.id in before) for node in graph)
    return Graph(nodes, graph.outputs, graph.updates, graph.aux, graph.scopes)


def _resolved(node: Node, before_relu: bool) -> Node:
    if not isinstance(node.op, Param) or node.op.init != "auto":
        return node
    return replace(node, op=replace(node.op, init="he_normal" if before_relu else "glorot_uniform"))


def _before_relu(graph: Graph) -> set[str]:
    """The nodes whose results reach a ReLU-like activation first, and the weights of those nodes."""
    before: set[str] = set()
    for node in reversed([*graph]):
        is_relu = node.op.name in RELU_LIKE
        if is_relu or node.id in before:
            through = is_relu or node.op.name in LOOK_THROUGH
            before.update(v.node for v in node.inputs if through or graph[v.node].op.name == "param")
    return before
