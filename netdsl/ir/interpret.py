"""Run a graph of ops or primitives node by node in NumPy: slow and simple, to test every pass against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netdsl.arrays import Array, DTypeLike, np
from netdsl.ir.graph import Graph, Value
from netdsl.ir.types import NUMPY_DTYPE, TensorType


@dataclass(frozen=True)
class Interpreted:
    """Outputs by name, and the new contents of updated params and states by leaf id."""

    outputs: dict[str, Array]
    updates: dict[str, Array]


def interpret(graph: Graph, feeds: Mapping[str, Array], floating: DTypeLike = "float32") -> Interpreted:
    """Evaluate all outputs and updates.

    `feeds` gives an array for every input, param and state leaf, by id.  Floats are computed as `floating`,
    so the same graph runs in float64 for gradient checks.  Raises ValueError for a feed that
    is missing or has another shape or kind of number.
    """
    env: dict[Value, Array] = {}
    for node in graph:
        if node.op.name in ("input", "param", "state"):
            results: tuple[Array, ...] = (_feed(node.id, node.types[0], feeds, floating),)
        else:
            results = node.op.reference(*(env[v] for v in node.inputs))
        for value, t, array in zip(node.outputs, node.types, results, strict=True):
            if array.shape != t.shape:
                raise ValueError(f"{node.id} ({node.op.name}): {t} has shape {array.shape} in NumPy")
            env[value] = array.astype(floating) if t.dtype == "f32" else array
    return Interpreted(
        {name: env[v] for name, v in graph.outputs.items()}, {k: env[v] for k, v in graph.updates.items()}
    )


def _feed(name: str, t: TensorType, feeds: Mapping[str, Array], floating: DTypeLike) -> Array:
    if name not in feeds:
        raise ValueError(f"no value for {name}")
    array = np.asarray(feeds[name])
    if array.shape != t.shape:
        raise ValueError(f"{name} takes shape {list(t.shape)}, not {list(array.shape)}")
    wanted = floating if t.dtype == "f32" else NUMPY_DTYPE[t.dtype]
    if not np.can_cast(array.dtype, wanted, "same_kind"):
        raise ValueError(f"{name} takes {t.dtype}, not {array.dtype}")
    return array.astype(wanted)
