"""Which layer first makes a number that is not finite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir import Graph, Node, Value
from netdsl.ops.expand import expand
from netdsl.source import Diagnostic

Array = NDArray[Any]


def not_finite(objective: Graph, feeds: Mapping[str, Array], step: int) -> Diagnostic:
    """A diagnostic that names the first weight, input or layer of the forward pass that is NaN or infinite.

    `feeds` has every input, weight and state of the objective by name; the pass is run again in NumPy.
    """
    for name, array in feeds.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            span = objective[name].span if name in objective else None
            kind = objective[name].op.name if name in objective else "input"
            hint = "the step before made it too large" if kind == "param" else "look at the data"
            return _diagnostic(step, f"the {kind} {name} has values that are not finite", span, hint)
    node = _first_not_finite(expand(objective, training=True), feeds)
    if node is None:
        return _diagnostic(step, "it overflows in float32, though NumPy finds every layer finite", None, None)
    return _layer(objective, node, step)


def _first_not_finite(graph: Graph, feeds: Mapping[str, Array]) -> Node | None:
    """The first node in NumPy's evaluation with a result that is not finite; values go after their last use."""
    env: dict[Value, Array] = {}
    waiting = {value: len(graph.users(value)) for node in graph for value in node.outputs}
    for node in graph:
        if node.op.name in ("input", "param", "state"):
            results: tuple[Array, ...] = (feeds[node.id],)
        else:
            with np.errstate(all="ignore"):
                results = node.op.reference(*(env[v] for v in node.inputs))
        if any(r.dtype.kind == "f" and not np.isfinite(r).all() for r in results):
            return node
        env.update(zip(node.outputs, results, strict=True))
        for value in node.inputs:
            waiting[value] -= 1
            if not waiting[value]:
                del env[value]
    return None


def _layer(objective: Graph, node: Node, step: int) -> Diagnostic:
    owner = node.origin[0] if node.origin else node.id
    kind = objective[owner].op.name if owner in objective else node.op.name
    message = f"the first value that is not finite comes from {owner} ({kind})"
    return _diagnostic(step, message, node.span, "a smaller learning rate or clip_norm may help")


def _diagnostic(step: int, message: str, span: Any, hint: str | None) -> Diagnostic:
    return Diagnostic("nan", f"the loss of step {step + 1} is not finite: {message}", span, fix=hint)
