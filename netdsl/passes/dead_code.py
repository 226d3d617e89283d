"""`dead_code`: remove nodes that no output and no update depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netdsl.cost import nbytes
from netdsl.ir import Graph
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
        live = {n.id for n in graph.leaves("input") if n.id != KEY}
        stack = [v.node for v in graph.outputs.values()]
        for leaf, value in graph.updates.items():
            stack += [leaf, value.node]
        while stack:
            name = stack.pop()
            if name not in live:
                live.add(name)
                stack.extend(v.node for v in graph[name].inputs)
        dead = [n for n in graph if n.id not in live]
        if not dead:
            return graph
        for node in dead:
            written = nbytes(node.types) if node.inputs else 0
            log.rewrote(self.name, [node], "removed: no result depends on it", written)
        kept = (n for n in graph if n.id in live)
        return Graph(kept, graph.outputs, graph.updates, graph.aux, graph.scopes)
