"""`drop_aux`: leave out the outputs that exist in training only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netdsl.compat import override
from netdsl.ir import Graph
from netdsl.passes.base import Pass
from netdsl.passes.log import Log


@dataclass(frozen=True)
class DropAux(Pass):
    """Removes auxiliary heads from the outputs; `dead_code` then removes what only they needed."""

    name: ClassVar[str] = "drop_aux"

    @override
    def run(self, graph: Graph, log: Log) -> Graph:
        if not graph.aux:
            return graph
        for name in sorted(graph.aux):
            log.rewrote(self.name, [graph[graph.outputs[name].node]], f"auxiliary output {name} left out")
        return graph.with_outputs({k: v for k, v in graph.outputs.items() if k not in graph.aux})
