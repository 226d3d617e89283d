"""The few primitives under the many ops: shape rule, NumPy meaning and gradient of each, side by side."""

from netdsl.primitives.builder import PrimitiveBuilder
from netdsl.primitives.contract import Contract
from netdsl.primitives.gather import Concat, Gather, Reshape, Scatter
from netdsl.primitives.leaf import Const, Input, Param, State
from netdsl.primitives.map import Map
from netdsl.primitives.reduce import Reduce
from netdsl.primitives.region import Region, RegionGrad
from netdsl.primitives.suppress import Suppress
from netdsl.primitives.take import PutAdd, Take
from netdsl.primitives.top import TopIndices
from netdsl.primitives.transpose import Transpose
from netdsl.primitives.window import Window, WindowGrad

LEAVES = (Input, Param, State, Const)
PRIMITIVES = (
    Map,
    Reduce,
    Contract,
    Window,
    WindowGrad,
    Region,
    RegionGrad,
    Suppress,
    Reshape,
    Concat,
    Gather,
    Scatter,
    Take,
    PutAdd,
    TopIndices,
    Transpose,
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
    "Param",
    "PrimitiveBuilder",
    "PutAdd",
    "Reduce",
    "Region",
    "RegionGrad",
    "Reshape",
    "Scatter",
    "State",
    "Suppress",
    "Take",
    "TopIndices",
    "Transpose",
    "Window",
    "WindowGrad",
]
