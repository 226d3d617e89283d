"""Settings as written in a `.net` file: what is stored, and what is refused in words."""

import pytest

from netdsl.ir import ShapeError, TensorType
from netdsl.ops import BY_NAME
from netdsl.ops.border import Pad
from netdsl.ops.conv import Conv
from netdsl.ops.cross_entropy import CrossEntropy
from netdsl.ops.dense import Dense
from netdsl.ops.noise import Dropout
from netdsl.ops.norm import BatchNorm
from netdsl.ops.pool import MaxPool
from netdsl.ops.shape import Reshape


def test_positional_and_named():
    assert Conv.make([6, 5], {"pad": "same"}) == Conv(6, 5, pad="same")
    assert Conv.make([6], {"kernel": [3, 2], "pad": [1, [0, 2]]}) == Conv(6, (3, 2), pad=(1, (0, 2)))
    assert MaxPool.make([2], {}).stride is None
    assert BatchNorm.make([], {"eps": 1}).eps == 1.0
    assert CrossEntropy.make([], {"class_weights": [1, 2]}).class_weights == (1.0, 2.0)


@pytest.mark.parametrize("init", ["zeros", "he_normal", "constant(-0.5)", "normal(0.02)", "normal(1e-3)"])
def test_initialisers(init):
    assert Dense.make([3], {"init": init}).init == init


REFUSED = [
    (Dense, [], {}, "dense needs units", "units"),
    (Dense, [1, 2], {}, "takes units without a name", None),
    (Dense, [3], {"unit": 3}, "dense has no setting unit", "unit"),
    (Dense, [3], {"units": 3}, "dense got units twice", "units"),
    (Dense, [0], {}, "units must be a positive integer, not 0", "units"),
    (Dense, [True], {}, "units must be a positive integer, not true", "units"),
    (Dense, [3], {"bias": 1}, "bias must be true or false, not 1", "bias"),
    (Dense, [3], {"init": "he"}, "init must be one of he_normal", "init"),
    (Dense, [3], {"init": "normal()"}, "init must be one of", "init"),
    (Dense, [3], {"init": "normal(-1)"}, "init must be one of", "init"),
    (Dense, [3], {"init": "constant(x)"}, "init must be one of", "init"),
    (Conv, [3, 0], {}, "kernel must be a positive integer or one per axis, not 0", "kernel"),
    (Conv, [3, 3], {"pad": "sam"}, "pad must be one of same", "pad"),
    (Conv, [3, 3], {"pad": -1}, "pad must count cells, 0 or more, not -1", "pad"),
    (Conv, [3, 3], {"stride": [1, 0]}, "stride must be", "stride"),
    (Dropout, [1.0], {}, "rate must be at least 0 and below 1", "rate"),
    (BatchNorm, [], {"eps": 0}, "eps must be above 0, not 0", "eps"),
    (BY_NAME["gelu"], [], {"approximate": "tanh"}, "approximate must be true or false", "approximate"),
    (BatchNorm, [], {"eps": 1e-60}, "eps must be at least 1.18e-38, as tensors hold numbers", "eps"),
    (
        BY_NAME["leaky_relu"],
        [1e39],
        {},
        "must be a number up to 3.40e+38, as tensors hold them, not 1e+39",
        "negative_slope",
    ),
    (
        BY_NAME["leaky_relu"],
        [2**1024],
        {},
        "negative_slope must be a number up to 3.40e+38",
        "negative_slope",
    ),
    (Dense, [3], {"init": "constant(-1e39)"}, "init must have a number up to 3.40e+38", "init"),
    (
        Conv,
        [3, 1],
        {"stride": 2**70},
        "stride must be at most 16777216, not 1180591620717411303424",
        "stride",
    ),
    (MaxPool, [1], {"dilation": [1, 2**63]}, "dilation must be at most 16777216", "dilation"),
    (Pad, [10**12], {"mode": "edge"}, "pad must count 16777216 cells at most, not 1000000000000", "pad"),
    (Reshape, [[-1, -1]], {}, "one size open", "shape"),
    (Reshape, [[0]], {}, "shape must be sizes", "shape"),
    (CrossEntropy, [], {"class_weights": 3}, "class_weights must be a list", "class_weights"),
]


@pytest.mark.parametrize("op, args, named, message, setting", REFUSED)
def test_refused(op, args, named, message, setting):
    with pytest.raises(ShapeError) as caught:
        op.make(args, named)
    assert message in caught.value.message and caught.value.setting == setting


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("pad", ["same", "same_upper", "same_lower"])
def test_same_gives_size_over_stride(size, stride, pad):
    op = Conv(1, 3, stride=stride, pad=pad, dilation=2)
    assert op.infer(TensorType((1, size, 1)))[0].shape == (1, -(-size // stride), 1)


def test_same_pads_after_when_odd():
    assert Conv(1, 4, pad="same").contraction(TensorType((1, 9, 1))).pad == ((1, 2),)
    assert Conv(1, 3, 2, pad="same").contraction(TensorType((1, 8, 1))).pad == ((1, 1),)
    assert Conv(1, 3, 2, pad="same_upper").contraction(TensorType((1, 8, 1))).pad == ((0, 1),)
    assert Conv(1, 3, 2, pad="same_lower").contraction(TensorType((1, 8, 1))).pad == ((1, 0),)
