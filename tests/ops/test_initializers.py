"""How weights start: moments, bits that depend on seed and name alone, and what `auto` becomes."""

import math

import numpy as np
import pytest

from netdsl.ir import TensorType
from netdsl.ops import OPS
from netdsl.ops.conv import Conv
from netdsl.ops.dense import Dense
from netdsl.ops.initializers import initialize, resolve_initializers
from netdsl.ops.merge import Add
from netdsl.primitives import Input, Param, PrimitiveBuilder, State


def first(init, seed=1, name="fc.weight", op=Param, **settings):
    b = PrimitiveBuilder()
    if op is Param:
        settings = {"fan": (300, 200), **settings}
    b.add(op(TensorType((300, 200)), init, **settings), name=name)
    return initialize(b.nodes[name], seed)


@pytest.mark.parametrize(
    "init, std",
    [
        ("he_normal", math.sqrt(2 / 300)),
        ("he_uniform", math.sqrt(2 / 300)),
        ("glorot_normal", math.sqrt(2 / 500)),
        ("glorot_uniform", math.sqrt(2 / 500)),
        ("normal(0.02)", 0.02),
    ],
)
def test_moments(init, std):
    w = first(init)
    assert w.dtype == np.float32 and abs(w.mean()) < 0.02 * std and abs(w.std() / std - 1) < 0.01
    if "uniform" in init:
        assert np.abs(w).max() <= std * math.sqrt(3) * (1 + 1e-6)
    else:
        assert np.abs(w).max() > 3.5 * std  # not truncated


@pytest.mark.parametrize(
    ("layer", "channels", "fan"),
    [
        (Dense(5), None, (16, 5)),
        (Conv(8, 3), 16, (9 * 16, 9 * 8)),
        (Conv(8, (1, 5), stride=2), 16, (5 * 16, 5 * 8)),
        # With 4 groups an output sums 16 / 4 channels under its kernel, and an input is in 8 / 4 of them.
        (Conv(8, 3, groups=4), 16, (9 * 4, 9 * 2)),
        (OPS["depthwise_conv"](3), 16, (9, 9)),
        (OPS["conv_transpose"](8, 2), 16, (4 * 16, 4 * 8)),
        (OPS["conv_transpose"](8, 2, groups=4), 16, (4 * 4, 4 * 2)),
    ],
    ids=str,
)
def test_fans(layer, channels, fan):
    """Values that a result sums up, as `torch.nn.init` counts them for a convolution, and sums that a value is in."""
    shape = (2, 16) if channels is None else (2, 9, 9, channels)
    weight, *_ = layer.params(TensorType(shape))
    assert weight.fan == fan


def test_constants():
    assert not first("zeros").any() and (first("ones") == 1).all()
    assert (first("constant(-0.5)") == -0.5).all() and (first("constant", value=0.25) == 0.25).all()
    assert (first("ones", op=State) == 1).all()


def test_signs():
    w = first("rademacher")
    assert w.dtype == np.float32 and set(np.unique(w)) == {-1, 1} and abs(w.mean()) < 0.02


def test_bits_depend_on_seed_and_name_alone():
    assert np.array_equal(first("he_normal"), first("he_normal"))
    assert not np.array_equal(first("he_normal"), first("he_normal", seed=2))
    assert not np.array_equal(first("he_normal"), first("he_normal", name="fc2.weight"))


def test_unresolved_is_an_error():
    with pytest.raises(ValueError, match=r"fc\.weight has the initialiser auto"):
        first("auto")


def chosen(*layers):
    """What `auto` becomes for a layer followed by others."""
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((2, 8, 8, 4))), name="x")
    for k, op in enumerate((Conv(4, 3, pad="same"), *layers)):
        values = (x, x) if isinstance(op, Add) else (x,)
        params = [
            b.add1((Param if s.trainable else State)(TensorType(s.shape), s.init), name=f"{k}.{s.name}")
            for s in op.params(b.type(x))
        ]
        x = b.add1(op, *values, *params)
    return resolve_initializers(b.finish({"y": x}))["0.weight"].op.init


def op(name, *args):
    return OPS[name](*args)


@pytest.mark.parametrize(
    "layers, init",
    [
        ([op("relu")], "he_normal"),
        ([op("batch_norm"), op("add"), op("relu")], "he_normal"),
        ([op("max_pool", 2), op("dropout"), op("leaky_relu")], "he_normal"),
        ([op("prelu")], "he_normal"),
        ([op("tanh"), op("relu")], "glorot_uniform"),
        ([op("sigmoid")], "glorot_uniform"),
        ([Conv(4, 3), op("relu")], "glorot_uniform"),
        ([op("flatten"), Dense(3), op("relu")], "glorot_uniform"),
        ([], "glorot_uniform"),
    ],
)
def test_auto_follows_the_next_activation(layers, init):
    assert chosen(*layers) == init
