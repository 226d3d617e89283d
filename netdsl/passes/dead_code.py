"""`dead_code`: remove nodes that no output and no update depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netdsl.cost import nbytes
from netdsl.ir import Graph
from netdsl.ir.graph import RESULTS
from netdsl.passes.base import Pass
from netdsl.passes.log import Log
from netdsl.primitives.builder import KEY


@dataclass(frozen=True)
class DeadCode(Pass):
    """Keeps outputs, updates with their leaves, and all they depend on.

    The inputs that a network declares stay even when unused, so that the program takes what the text says; the
    random key is no such input and goes with the last op that draws from it.
    """

    name: ClassVar[str] = "dead_code"

    def run(self, graph: Graph, log: Log) -> Graph:
        """Keep what is reached backwards from the results."""
        import networkx

        inputs = {n.id for n in graph.leaves("input") if n.id != KEY}
        live = networkx.ancestors(graph.nx, RESULTS) | graph.updates.keys() | inputs
        dead = [n for n in graph if n.id not in live]
        if not dead:
            return graph
        for node in dead:
            written = nbytes(node.types) if node.inputs else 0
            log.rewrote(self.name, [node], "removed: no result depends on it", written)
        kept = (n for n in graph if n.id in live)
        return Graph(kept, graph.outputs, graph.updates, graph.aux, graph.scopes)
