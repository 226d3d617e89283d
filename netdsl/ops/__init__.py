"""The op library: what people write in `.net` files, each op made of primitives."""

from collections.abc import Mapping

from netdsl.ir import Op
from netdsl.ops.activation import HardSigmoid, Identity, Sigmoid, Softplus, Softsign, Tanh
from netdsl.ops.base import LibraryOp
from netdsl.ops.border import Pad
from netdsl.ops.channel_norm import L2Normalize, Lrn
from netdsl.ops.conv import Conv
from netdsl.ops.conv_transpose import ConvTranspose
from netdsl.ops.cross_entropy import CrossEntropy
from netdsl.ops.cut import Crop, Slice, Split, Stack
from netdsl.ops.dense import Dense
from netdsl.ops.dice import Dice
from netdsl.ops.elementwise import Abs, Clip, Exp, Log, Power, Sqrt
from netdsl.ops.gate import Gelu, HardSwish, Mish, Silu, Swish
from netdsl.ops.group_norm import GroupNorm, InstanceNorm, LayerNorm
from netdsl.ops.layout import ChannelShuffle, PixelShuffle, Transpose
from netdsl.ops.loss import (
    BinaryCrossEntropy,
    Focal,
    Hinge,
    Huber,
    KlDivergence,
    Loss,
    Mae,
    Mse,
    SmoothL1,
)
from netdsl.ops.merge import Add, Concat, Div, Mul, Sub
from netdsl.ops.metric import Accuracy, TopK
from netdsl.ops.noise import Dropout, DropPath, GaussianNoise, SpatialDropout
from netdsl.ops.norm import BatchNorm
from netdsl.ops.pool import AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool
from netdsl.ops.rectifier import (
    Apl,
    Elu,
    LeakyRelu,
    Maxout,
    PRelu,
    Relu,
    Relu6,
    RRelu,
    Selu,
    ThresholdedRelu,
    VRelu,
)
from netdsl.ops.reduction import ReduceMax, ReduceMean, ReduceSum
from netdsl.ops.resize import Resize, Upsample
from netdsl.ops.separable_conv import DepthwiseConv, SeparableConv
from netdsl.ops.shape import Flatten, Reshape
from netdsl.ops.softmax import LogSoftmax, Softmax
from netdsl.primitives import LEAVES

#: every op of the language, in the order of the documentation
LIBRARY: tuple[type[LibraryOp], ...] = (
    Conv,
    ConvTranspose,
    DepthwiseConv,
    SeparableConv,
    Dense,
    MaxPool,
    AvgPool,
    GlobalAvgPool,
    GlobalMaxPool,
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    Lrn,
    L2Normalize,
    Dropout,
    SpatialDropout,
    DropPath,
    GaussianNoise,
    Add,
    Sub,
    Mul,
    Div,
    Concat,
    Split,
    Slice,
    Stack,
    Flatten,
    Reshape,
    Transpose,
    ChannelShuffle,
    PixelShuffle,
    Upsample,
    Resize,
    Pad,
    Crop,
    ReduceSum,
    ReduceMean,
    ReduceMax,
    Exp,
    Log,
    Sqrt,
    Abs,
    Power,
    Clip,
    Softmax,
    LogSoftmax,
    Identity,
    Sigmoid,
    HardSigmoid,
    Tanh,
    Softsign,
    Softplus,
    Relu,
    Relu6,
    ThresholdedRelu,
    LeakyRelu,
    VRelu,
    RRelu,
    PRelu,
    Elu,
    Selu,
    Apl,
    Maxout,
    Gelu,
    Silu,
    Swish,
    HardSwish,
    Mish,
    CrossEntropy,
    BinaryCrossEntropy,
    Mse,
    Mae,
    Huber,
    SmoothL1,
    Focal,
    Hinge,
    KlDivergence,
    Dice,
    Accuracy,
    TopK,
)

#: the ops of a graph as elaborated, by name: leaves and the library
OPS: Mapping[str, type[Op]] = {
    **{op.name: op for op in LEAVES},
    **{op.name: op for op in LIBRARY},
}

__all__ = ["LIBRARY", "OPS", "LibraryOp", "Loss"]
