"""The weights of a network as one vector, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set

from netdsl.arrays import Array, np
from netdsl.ir import Graph
from netdsl.primitives.leaf import learns


class FlatLayout:
    """The weights that learn, in the order of the graph, row by row."""

    def __init__(self, graph: Graph) -> None:
        self.shapes = {n.id: n.types[0].shape for n in graph.leaves("param") if learns(n.op)}
        self.size = sum(math.prod(shape) for shape in self.shapes.values())

    def joined(self, arrays: Mapping[str, Array]) -> Array:
        """One vector [size], in float64, zeros for weights that have no array."""
        parts = [
            np.asarray(arrays[name], np.float64).ravel() if name in arrays else np.zeros(math.prod(shape))
            for name, shape in self.shapes.items()
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def split(self, vector: Array) -> dict[str, Array]:
        """The array of each weight, in float32."""
        found, begin = {}, 0
        for name, shape in self.shapes.items():
            end = begin + math.prod(shape)
            found[name] = vector[begin:end].reshape(shape).astype(np.float32)
            begin = end
        return found

    def learning(self, frozen: Set[str]) -> Array:
        """A 1 for each weight that learns now, a 0 for each that is frozen; int64."""
        return np.array([name not in frozen for name in self.shapes], np.int64)
