"""`multiply_in`: contractions multiply in the precision that the device was asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from netdsl.compat import override
from netdsl.ir import Graph
from netdsl.passes.base import Pass
from netdsl.passes.edit import Edit
from netdsl.passes.log import Log
from netdsl.primitives import Contract
from netdsl.primitives.precision import Precision


@dataclass(frozen=True)
class MultiplyIn(Pass):
    """Sets the precision of contractions of float32, gradients among them; whatever else is computed stays as it is.

    It runs first: what is folded or fused afterwards is rounded like what is not.
    """

    name: ClassVar[str] = "multiply_in"
    keeps_values: ClassVar[bool] = False

    precision: Precision = "f32"

    @override
    def run(self, graph: Graph, log: Log) -> Graph:
        if self.precision == "f32":
            return graph
        edit = Edit(graph)
        for node in graph:
            if isinstance(node.op, Contract) and node.op.precision == "f32":
                edit.replace(node, replace(node.op, precision=self.precision), node.inputs)
                log.rewrote(self.name, [node], self.precision)
        return edit.done()
