"""`--check-passes`: interpret the graph before and after a pass on random numbers and compare."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from netdsl.arrays import Array
from netdsl.ir import Graph, Interpreted, Node, interpret

TOLERANCE = 1e-5
"""Of the largest value of a result.  The rest of the arithmetic is in f64; constants are rounded to f32."""


class PassError(Exception):
    """A pass changed what a graph computes: a fault of the pass, never of the user."""


def random_feeds(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Arrays for all inputs, params and states, the same for a leaf whatever the rest of the graph.

    Weights are scaled to keep activations of the order of 1, states lie in [0.5, 1.5] since some are
    variances, integers are small enough for labels.
    """
    leaves = (n for kind in ("input", "param", "state") for n in graph.leaves(kind))
    return {n.id: _feed(n, seed) for n in leaves}


def _feed(node: Node, seed: int) -> Array:
    (t,) = node.types
    rng = np.random.default_rng([seed, *node.id.encode()])
    if t.dtype == "bool":
        return rng.random(t.shape) < 0.5
    if t.dtype == "i64":
        return np.asarray(rng.integers(0, 4, t.shape))
    if node.op.name == "state":
        return np.asarray(rng.uniform(0.5, 1.5, t.shape))
    scale = 1 / math.sqrt(max(1, math.prod(t.shape[:-1]))) if node.op.name == "param" else 1.0
    return np.asarray(rng.normal(0.0, scale, t.shape))


def run(graph: Graph, feeds: Mapping[str, Array]) -> Interpreted:
    """What a graph computes, in f64, so that another order of operations does not show."""
    return interpret(graph, feeds, np.float64)


def compare(by: str, before: Interpreted, after: Interpreted) -> None:
    """Raise PassError where a result of both differs, or an update is missing."""
    if before.updates.keys() != after.updates.keys():
        changed = sorted(before.updates.keys() ^ after.updates.keys())
        raise PassError(f"{by} changed which leaves are updated: {', '.join(changed)}")
    results = [(f"output {k}", before.outputs[k], v) for k, v in after.outputs.items()]
    results += [(f"the update of {k}", before.updates[k], v) for k, v in after.updates.items()]
    for what, old, new in results:
        if old.shape != new.shape or old.dtype != new.dtype:
            raise PassError(
                f"{by} made {what} {new.dtype}{list(new.shape)}, before {old.dtype}{list(old.shape)}"
            )
        finite = old[np.isfinite(old)]
        scale = float(np.max(np.abs(finite))) if finite.size and old.dtype != np.bool_ else 1.0
        close = np.isclose(new, old, rtol=0.0, atol=TOLERANCE * scale + 1e-30, equal_nan=True)
        if not close.all():
            place = tuple(int(k) for k in np.argwhere(~close)[0])
            raise PassError(f"{by} changed {what}: {new[place]} at {list(place)}, before {old[place]}")
