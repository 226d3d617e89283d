"""Graphs of ops as ONNX models, op by op through their `onnx` facet.

Tensors keep netdsl's channels-last layout at the borders of the model; ops that ONNX defines channels first stand
between transposes, which cancel where two such ops follow each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from netdsl.arrays import Array
from netdsl.ir import Graph, Node, TensorType, Value
from netdsl.ops.base import LibraryOp

OPSET = 20
#: the IR version that came with opset 20, so that older runtimes load the model
IR_VERSION = 9
_ELEMENT = {"f32": TensorProto.FLOAT, "i64": TensorProto.INT64, "bool": TensorProto.BOOL}


class OnnxGraph:
    """An `OnnxBuilder`: collects nodes and initialisers and makes the model.

    Nodes are named after the `layer` that they compute: `stage1.conv1/Conv`, and of several `stage1.conv1/Add_1`.
    """

    def __init__(self) -> None:
        self.layer = "netdsl"
        self._taken: Counter[str] = Counter()
        self._nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._transposed: dict[str, tuple[str, tuple[int, ...]]] = {}

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one result; returns its name."""
        (name,) = self.nodes(op_type, 1, *inputs, **attributes)
        return name

    def nodes(self, op_type: str, results: int, *inputs: str, **attributes: Any) -> tuple[str, ...]:
        """Add a node with several results; returns their names."""
        name = f"{self.layer}/{op_type}"
        self._taken[name] += 1
        if self._taken[name] > 1:
            name = f"{name}_{self._taken[name] - 1}"
        names = (name, *(f"{name}.{k}" for k in range(1, results)))
        self._nodes.append(helper.make_node(op_type, list(inputs), list(names), name, **attributes))
        return names

    def name(self, value: str, name: str) -> None:
        """Give a value a name of the model's outputs."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))

    def const(self, array: Array | Sequence[int]) -> str:
        """An initialiser; integers are int64, floats float32."""
        values = np.asarray(array)
        dtype = np.float32 if values.dtype.kind == "f" else np.int64
        name = f"netdsl/const_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(values.astype(dtype), name))
        return name

    def transpose(self, x: str, order: Sequence[int]) -> str:
        """Axes in another order; nothing when it is the same, and undone transposes are dropped."""
        source, before = self._transposed.get(x, (x, tuple(range(len(order)))))
        total = tuple(before[k] for k in order)
        if total == tuple(range(len(total))):
            return source
        name = self.node("Transpose", source, perm=list(total))
        self._transposed[name] = (source, total)
        return name

    def channels_first(self, x: str, rank: int) -> str:
        """`[N, *S, C]` as `[N, C, *S]`; nothing below rank 3."""
        return self.transpose(x, (0, rank - 1, *range(1, rank - 1))) if rank > 2 else x

    def channels_last(self, x: str, rank: int) -> str:
        """`[N, C, *S]` as `[N, *S, C]`; nothing below rank 3."""
        return self.transpose(x, (0, *range(2, rank), 1)) if rank > 2 else x

    def model(self, inputs: Mapping[str, TensorType], outputs: Mapping[str, TensorType]) -> onnx.ModelProto:
        """The model, checked by onnx; transposes that were undone, and are read by nobody, are not in it.

        Runtimes would compute them, and fuse nothing with a layer that they read.
        """
        ins, outs = ([_info(name, t) for name, t in side.items()] for side in (inputs, outputs))
        graph = helper.make_graph(self._needed(outputs), "netdsl", ins, outs, self.initializers)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        onnx.checker.check_model(model, full_check=True)
        return model

    def _needed(self, outputs: Collection[str]) -> list[onnx.NodeProto]:
        """The nodes that outputs are made of."""
        wanted, found = {*outputs}, list[onnx.NodeProto]()
        for node in reversed(self._nodes):
            if not wanted.isdisjoint(node.output):
                wanted.update(node.input)
                found.append(node)
        return found[::-1]


def to_onnx(graph: Graph, weights: Mapping[str, Array] | None = None) -> onnx.ModelProto:
    """A graph of ops in inference as an ONNX model; every leaf is an input of it, by its id.

    Params and states in `weights` are part of the model instead.  ONNX takes a name once: an output that is called as
    an input is `NAME/output` there.  Raises ValueError naming the first op that ONNX has no counterpart of.
    """
    g = OnnxGraph()
    names: dict[Value, str] = {}
    for node in graph:
        g.layer = node.id
        names.update(zip(node.outputs, _translated(g, graph, node, names), strict=True))
    inputs = {n.id: n.types[0] for kind in ("input", "param", "state") for n in graph.leaves(kind)}
    outputs = {}
    for output, value in graph.outputs.items():
        name = f"{output}/output" if output in inputs else output
        g.name(names[value], name)
        outputs[name] = graph.type(value)
    known = {name: a for name, a in (weights or {}).items() if name in inputs}
    g.initializers += [numpy_helper.from_array(np.ascontiguousarray(a), name) for name, a in known.items()]
    inputs = {name: t for name, t in inputs.items() if name not in known}
    return g.model(inputs, outputs)


def _translated(g: OnnxGraph, graph: Graph, node: Node, names: Mapping[Value, str]) -> Sequence[str]:
    if node.op.name == "const":
        return [g.const(node.op.reference()[0])]
    if not node.inputs:
        return [node.id]
    operands = [names[v] for v in node.inputs]
    found = None
    if isinstance(node.op, LibraryOp):
        found = node.op.onnx(g, [graph.type(v) for v in node.inputs], *operands)
    if found is None:
        raise ValueError(f"{node.id}: ONNX has no counterpart of {node.op}")
    return found


def _info(name: str, t: TensorType) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, _ELEMENT[t.dtype], t.shape)
