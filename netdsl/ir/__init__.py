"""The graph of ops and of primitives: types, op contract, builder, verifier, text form, interpreter."""

from netdsl.ir.builder import Builder
from netdsl.ir.graph import Graph, Node, Scope, TaggedGpu, Value
from netdsl.ir.interpret import Interpreted, interpret
from netdsl.ir.op import Op, ParamSpec, Sample, ShapeError
from netdsl.ir.rewrite import transform
from netdsl.ir.text import format_graph
from netdsl.ir.types import TensorType, broadcast_shapes
from netdsl.ir.verify import VerifyError, verify

__all__ = [
    "Builder",
    "Graph",
    "Interpreted",
    "Node",
    "Op",
    "ParamSpec",
    "Sample",
    "Scope",
    "ShapeError",
    "TaggedGpu",
    "TensorType",
    "Value",
    "VerifyError",
    "broadcast_shapes",
    "format_graph",
    "interpret",
    "transform",
    "verify",
]
