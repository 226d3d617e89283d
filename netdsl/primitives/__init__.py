"""The primitives that ops are made of: shape rule, NumPy meaning and gradient of each."""

from netdsl.primitives.builder import PrimitiveBuilder
from netdsl.primitives.contract import Contract
from netdsl.primitives.gather import Gather, ScatterAdd
from netdsl.primitives.leaf import Const, Input, Param, State
from netdsl.primitives.map import Map
from netdsl.primitives.non_max_suppression import NonMaxSuppression
from netdsl.primitives.reduce import Reduce
from netdsl.primitives.reduce_window import ReduceWindow, ReduceWindowGrad
from netdsl.primitives.roi_reduce import RoiReduce, RoiReduceGrad
from netdsl.primitives.slice import Concat, Pad, Reshape, Slice
from netdsl.primitives.top_k import TopK
from netdsl.primitives.transfer import Transfer
from netdsl.primitives.transpose import Transpose

LEAVES = (Input, Param, State, Const)
PRIMITIVES = (
    Map,
    Reduce,
    Contract,
    ReduceWindow,
    ReduceWindowGrad,
    RoiReduce,
    RoiReduceGrad,
    NonMaxSuppression,
    Reshape,
    Concat,
    Slice,
    Pad,
    Gather,
    ScatterAdd,
    TopK,
    Transpose,
    Transfer,
)

__all__ = [
    "LEAVES",
    "PRIMITIVES",
    "Concat",
    "Const",
    "Contract",
    "Gather",
    "Input",
    "Map",
    "NonMaxSuppression",
    "Pad",
    "Param",
    "PrimitiveBuilder",
    "Reduce",
    "ReduceWindow",
    "ReduceWindowGrad",
    "Reshape",
    "RoiReduce",
    "RoiReduceGrad",
    "ScatterAdd",
    "Slice",
    "State",
    "TopK",
    "Transfer",
    "Transpose",
]
