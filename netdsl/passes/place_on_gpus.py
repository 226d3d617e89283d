"""`place_on_gpus`: what is read on another GPU is copied there, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from netdsl.ir import Graph, Node, TaggedGpu, Value
from netdsl.passes.base import Pass
from netdsl.passes.limits import DEFAULT, Limits
from netdsl.passes.log import Log
from netdsl.primitives import Transfer
from netdsl.source import Diagnostic, warn

Place = int | None


@dataclass(frozen=True)
class PlaceOnGpus(Pass):
    """Every node reads what is in the memory of its own GPU, so that no pass after this one has to look.

    Afterwards `gpu` is None for what the device of the program computes, whatever its number is.  What the device has
    no GPU for is computed there too, with a warning: a network runs on every machine.  A copy stands directly behind
    what it copies, so that it is under way while its reader's GPU is busy with other things.
    """

    name: ClassVar[str] = "place_on_gpus"
    limits: Limits = DEFAULT

    def run(self, graph: Graph, log: Log) -> Graph:
        """Put the nodes where the device can have them, and copies between them."""
        named = {n.gpu: n for n in reversed(list(graph)) if n.gpu is not None}
        if not named:
            return graph
        for gpu, node in sorted(named.items()):
            if (reason := self.limits.no_gpu(gpu)) is not None:
                log.refused(self.name, [n for n in graph if n.gpu == gpu], reason)
                fix = f"--device cuda has a GPU of this number on a machine with {gpu + 1} or more"
                place = node.gpu.span if isinstance(node.gpu, TaggedGpu) else node.span
                warn(Diagnostic("device", f"@gpu({gpu}) is left out: {reason}", place, fix=fix))
        return _Placing(graph, {gpu: self.limits.place(gpu) for gpu in named}, log).placed()


def placed(graph: Graph, limits: Limits) -> Graph:
    """A graph that no pipeline runs over, such as leaves alone, with its nodes where the device can have them."""
    return PlaceOnGpus(limits).run(graph, Log())


class _Placing:
    def __init__(self, graph: Graph, places: Mapping[int, Place], log: Log) -> None:
        self._graph, self._log = graph, log
        self._place: dict[str, Place] = {n.id: None if n.gpu is None else places[n.gpu] for n in graph}
        self._copies: dict[Value, dict[Place, Value]] = {}
        for node in graph:
            for value in node.inputs:
                self._need(value, self._place[node.id])
        for leaf, value in graph.updates.items():
            self._need(value, self._place[leaf])

    def _need(self, value: Value, place: Place) -> None:
        if place != self._place[value.node]:
            port = f".{value.port}" if value.port else ""
            name = f"to/{'device' if place is None else f'gpu{place}'}/{value.node}{port}"
            self._copies.setdefault(value, {})[place] = Value(name)

    def _on(self, value: Value, place: Place) -> Value:
        """A value, or its copy on another GPU."""
        return value if place == self._place[value.node] else self._copies[value][place]

    def placed(self) -> Graph:
        nodes: list[Node] = []
        for node in self._graph:
            place = self._place[node.id]
            inputs = tuple(self._on(v, place) for v in node.inputs)
            nodes.append(replace(node, inputs=inputs, gpu=place))
            nodes += (copy for v in node.outputs for copy in self._copied(node, v))
        updates = {leaf: self._on(v, self._place[leaf]) for leaf, v in self._graph.updates.items()}
        return Graph(nodes, self._graph.outputs, updates, self._graph.aux, self._graph.scopes)

    def _copied(self, node: Node, value: Value) -> list[Node]:
        types, origin = (node.types[value.port],), node.origin or (node.id,)
        found = self._copies.get(value, {})
        for place in found:
            where = "the device" if place is None else f"GPU {place}"
            self._log.rewrote(PlaceOnGpus.name, [node], f"{value} is copied to {where}")
        return [Node(v.node, Transfer(), (value,), types, node.span, origin, p) for p, v in found.items()]
