"""The op library: what people write in `.net` files, each op made of primitives.

A module of ops is imported when one of its ops is used: a network needs ten of them, and a report should not wait
for a hundred.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

from netdsl.ir import Op
from netdsl.ops.activation import ACTIVATIONS
from netdsl.ops.elementwise import FUNCTIONS
from netdsl.primitives import LEAVES

if TYPE_CHECKING:
    from netdsl.ops.base import LibraryOp

    #: every op of the language, in the order of the documentation
    LIBRARY: tuple[type[LibraryOp], ...]

#: where each op is, in the order of the documentation: module and class, or the table that has its row
PLACES: Mapping[str, tuple[str, str]] = {
    "conv": ("conv", "Conv"),
    "conv_transpose": ("conv_transpose", "ConvTranspose"),
    "depthwise_conv": ("separable_conv", "DepthwiseConv"),
    "separable_conv": ("separable_conv", "SeparableConv"),
    "dense": ("dense", "Dense"),
    "matmul": ("matmul", "MatMul"),
    "max_pool": ("pool", "MaxPool"),
    "avg_pool": ("pool", "AvgPool"),
    "adaptive_max_pool": ("adaptive_pool", "AdaptiveMaxPool"),
    "adaptive_avg_pool": ("adaptive_pool", "AdaptiveAvgPool"),
    "lp_pool": ("lp_pool", "LpPool"),
    "stochastic_pool": ("stochastic_pool", "StochasticPool"),
    "max_unpool": ("unpool", "MaxUnpool"),
    "global_avg_pool": ("global_pool", "GlobalAvgPool"),
    "global_max_pool": ("global_pool", "GlobalMaxPool"),
    "batch_norm": ("norm", "BatchNorm"),
    "group_norm": ("group_norm", "GroupNorm"),
    "instance_norm": ("group_norm", "InstanceNorm"),
    "layer_norm": ("group_norm", "LayerNorm"),
    "lrn": ("channel_norm", "Lrn"),
    "l2_normalize": ("channel_norm", "L2Normalize"),
    "dropout": ("noise", "Dropout"),
    "spatial_dropout": ("noise", "SpatialDropout"),
    "drop_path": ("noise", "DropPath"),
    "gaussian_noise": ("noise", "GaussianNoise"),
    "add": ("merge", "Add"),
    "sub": ("merge", "Sub"),
    "mul": ("merge", "Mul"),
    "div": ("merge", "Div"),
    "concat": ("merge", "Concat"),
    "greater": ("compare", "Greater"),
    "greater_equal": ("compare", "GreaterEqual"),
    "less": ("compare", "Less"),
    "less_equal": ("compare", "LessEqual"),
    "equal": ("compare", "Equal"),
    "not_equal": ("compare", "NotEqual"),
    "where": ("where", "Where"),
    "split": ("cut", "Split"),
    "slice": ("cut", "Slice"),
    "stack": ("cut", "Stack"),
    "gather": ("cut", "Gather"),
    "flatten": ("shape", "Flatten"),
    "reshape": ("shape", "Reshape"),
    "transpose": ("rearrange", "Transpose"),
    "channel_shuffle": ("rearrange", "ChannelShuffle"),
    "pixel_shuffle": ("rearrange", "PixelShuffle"),
    "upsample": ("resize", "Upsample"),
    "resize": ("resize", "Resize"),
    "pad": ("border", "Pad"),
    "crop": ("cut", "Crop"),
    "reduce_sum": ("reduction", "ReduceSum"),
    "reduce_mean": ("reduction", "ReduceMean"),
    "reduce_max": ("reduction", "ReduceMax"),
    "argmax": ("argmax", "ArgMax"),
    "one_hot": ("one_hot", "OneHot"),
    "sequence_mask": ("sequence_mask", "SequenceMask"),
    "top_k": ("top_k", "TopK"),
    **dict.fromkeys(FUNCTIONS, ("elementwise", "FUNCTIONS")),
    "softmax": ("softmax", "Softmax"),
    "log_softmax": ("softmax", "LogSoftmax"),
    **dict.fromkeys(ACTIVATIONS, ("activation", "ACTIVATIONS")),
    "prelu": ("learnt_activation", "PRelu"),
    "apl": ("learnt_activation", "Apl"),
    "maxout": ("learnt_activation", "Maxout"),
    "roi_align": ("roi_align", "RoiAlign"),
    "roi_pool": ("roi_pool", "RoiPool"),
    "ps_roi_pool": ("roi_pool", "PsRoiPool"),
    "anchors": ("anchors", "Anchors"),
    "box_decode": ("box_decode", "BoxDecode"),
    "yolo_decode": ("yolo", "YoloDecode"),
    "nms": ("nms", "Nms"),
    "cross_entropy": ("cross_entropy", "CrossEntropy"),
    "binary_cross_entropy": ("elementwise_loss", "BinaryCrossEntropy"),
    "mse": ("elementwise_loss", "Mse"),
    "mae": ("elementwise_loss", "Mae"),
    "huber": ("elementwise_loss", "Huber"),
    "smooth_l1": ("elementwise_loss", "SmoothL1"),
    "focal": ("elementwise_loss", "Focal"),
    "hinge": ("elementwise_loss", "Hinge"),
    "kl_divergence": ("elementwise_loss", "KlDivergence"),
    "dice": ("dice", "Dice"),
    "iou": ("iou", "Iou"),
    "giou": ("iou", "Giou"),
    "l1": ("penalty", "L1"),
    "l2": ("penalty", "L2"),
    "accuracy": ("metric", "Accuracy"),
    "binary_accuracy": ("binary_accuracy", "BinaryAccuracy"),
    "top_k_accuracy": ("metric", "TopKAccuracy"),
    "precision": ("per_class", "Precision"),
    "recall": ("per_class", "Recall"),
    "f1": ("per_class", "F1"),
    "mean_iou": ("per_class", "MeanIou"),
    "dice_score": ("per_class", "DiceScore"),
    "auc": ("auc", "Auc"),
    "rmse": ("regression", "Rmse"),
    "r2": ("regression", "R2"),
    "confusion_matrix": ("confusion_matrix", "ConfusionMatrix"),
}

#: headings of the documentation, each at the op that it begins with
HEADINGS: Mapping[str, str] = {
    "conv": "convolution",
    "dense": "dense layers and matrix products",
    "max_pool": "pooling",
    "batch_norm": "normalisation layers",
    "dropout": "dropout and noise",
    "add": "arithmetic and concatenation",
    "greater": "comparison and choice",
    "split": "parts of tensors",
    "flatten": "shape and order",
    "upsample": "resizing, padding and cropping",
    "reduce_sum": "reductions and indices",
    "exp": "elementwise functions",
    "softmax": "softmax and activations",
    "roi_align": "regions and detection",
    "cross_entropy": "losses",
    "l1": "penalties on weights",
    "accuracy": "metrics",
}


def heading(name: str) -> str:
    """The heading of the documentation that an op is under."""
    names = list(PLACES)
    return next(HEADINGS[n] for n in reversed(names[: names.index(name) + 1]) if n in HEADINGS)


@cache
def _imported(name: str) -> type[LibraryOp]:
    module, kind = PLACES[name]
    found = getattr(importlib.import_module(f"netdsl.ops.{module}"), kind)
    op: type[LibraryOp] = found[name].made(name, f"netdsl.ops.{module}") if isinstance(found, dict) else found
    return op


class Library(Mapping[str, "type[LibraryOp]"]):
    """The ops of the language by name."""

    def __getitem__(self, name: str) -> type[LibraryOp]:
        return _imported(name)

    def __contains__(self, name: object) -> bool:
        return name in PLACES

    def __iter__(self) -> Iterator[str]:
        return iter(PLACES)

    def __len__(self) -> int:
        return len(PLACES)


class Ops(Mapping[str, type[Op]]):
    """The ops of a graph as elaborated, by name: leaves and the library."""

    def __init__(self) -> None:
        self._leaves: dict[str, type[Op]] = {op.name: op for op in LEAVES}

    def __getitem__(self, name: str) -> type[Op]:
        return self._leaves[name] if name in self._leaves else BY_NAME[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*self._leaves, *PLACES))

    def __len__(self) -> int:
        return len(self._leaves) + len(PLACES)


BY_NAME: Mapping[str, type[LibraryOp]] = Library()
OPS: Mapping[str, type[Op]] = Ops()


def __getattr__(name: str) -> object:
    if name == "LIBRARY":
        return tuple(BY_NAME.values())
    raise AttributeError(f"module {__name__} has no attribute {name}")


__all__ = ["BY_NAME", "LIBRARY", "OPS", "PLACES"]
