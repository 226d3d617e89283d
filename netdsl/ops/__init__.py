"""The op library: what people write in `.net` files, each op made of primitives."""

from collections.abc import Mapping

from netdsl.ir import Op
from netdsl.ops.activation import (
    Elu,
    Gelu,
    Identity,
    LeakyRelu,
    PRelu,
    Relu,
    Selu,
    Sigmoid,
    Silu,
    Softplus,
    Tanh,
)
from netdsl.ops.base import LibraryOp
from netdsl.ops.conv import Conv
from netdsl.ops.dense import Dense
from netdsl.ops.loss import BinaryCrossEntropy, CrossEntropy, Huber, Loss, Mae, Mse
from netdsl.ops.merge import Add, Concat, Div, Mul, Sub
from netdsl.ops.metric import Accuracy, TopK
from netdsl.ops.noise import Dropout, GaussianNoise
from netdsl.ops.norm import BatchNorm
from netdsl.ops.pool import AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool
from netdsl.ops.shape import Flatten, Reshape
from netdsl.ops.softmax import LogSoftmax, Softmax
from netdsl.primitives import LEAVES

#: every op of the language, in the order of the documentation
LIBRARY: tuple[type[LibraryOp], ...] = (
    Conv,
    Dense,
    MaxPool,
    AvgPool,
    GlobalAvgPool,
    GlobalMaxPool,
    BatchNorm,
    Dropout,
    GaussianNoise,
    Add,
    Sub,
    Mul,
    Div,
    Concat,
    Flatten,
    Reshape,
    Softmax,
    LogSoftmax,
    Identity,
    Sigmoid,
    Tanh,
    Relu,
    LeakyRelu,
    PRelu,
    Elu,
    Selu,
    Softplus,
    Gelu,
    Silu,
    CrossEntropy,
    BinaryCrossEntropy,
    Mse,
    Mae,
    Huber,
    Accuracy,
    TopK,
)

#: the ops of a graph as elaborated, by name: leaves and the library
OPS: Mapping[str, type[Op]] = {
    **{op.name: op for op in LEAVES},
    **{op.name: op for op in LIBRARY},
}

__all__ = ["LIBRARY", "OPS", "LibraryOp", "Loss"]
