"""Find the first layer whose result is not finite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir import Graph, Node, Value
from netdsl.source import Diagnostic
from netdsl.train.change import CHECK
from netdsl.train.optimizers import Optimizer
from netdsl.train.step import HYPER, NORM

Array = NDArray[Any]
SMALLER = "a smaller learning rate or clip_norm may help"


def not_finite(
    objective: Graph, step: Graph, feeds: Mapping[str, Array], number: int, optimizer: Optimizer | None = None
) -> Diagnostic:
    """A diagnostic for a step after which the loss or a leaf would be infinite or NaN.

    It names the first weight, input or layer to blame.  `step` is the training graph of the objective, which is run
    again in NumPy; `feeds` has all its inputs, weights and states by name; `number` counts steps from 0.
    """
    subject = f"the loss of step {number + 1} is not finite"
    for name, array in feeds.items():
        if not _finite(array):
            if name.startswith(HYPER):
                what = name.removeprefix(HYPER)
                return Diagnostic("nan", f"{subject}: {what}, a number of the optimiser, is not finite")
            span = objective[name].span if name in objective else None
            kind = step[name].op.name
            hint = "look at the data" if kind == "input" else "it was given so: no step leaves it so"
            return Diagnostic(
                "nan", f"{subject}: the {kind} {name} has values that are not finite", span, fix=hint
            )
    trace = _trace(step, feeds)
    if not trace.loss or trace.check is None:
        return _blamed(objective, subject, trace.forward)
    leaf = trace.check.id.removeprefix(CHECK).rpartition(".")[0]
    if leaf == NORM:
        message = f"the norm of all gradients of step {number + 1}, which clip_norm bounds, is not finite"
        return Diagnostic("nan", message, fix="a smaller loss may help: its gradients are finite")
    names = [leaf, *(name for name in step.updates if name.startswith(f"{leaf}/"))]
    subject = f"step {number + 1} would make {' or '.join(names)} not finite"
    if trace.operands and _divides_by_zero(optimizer, trace, names):
        message = f"{subject}: its gradient is 0 in places, and without eps the update there is 0/0"
        return Diagnostic("nan", message, step[leaf].span, fix="give the optimiser an eps, such as 1e-8")
    if trace.operands:
        message = f"{subject}: its gradient is finite, the step is too large"
        return Diagnostic("nan", message, step[leaf].span, fix=SMALLER)
    return _blamed(objective, subject, trace.backward if step[leaf].op.name == "param" else trace.forward)


@dataclass
class _Trace:
    """What NumPy finds: the first nodes that are not finite forward, backward and among the checks of new values.

    `loss` says whether the loss is finite, `operands` whether those of the check are, `values` what they are.
    """

    forward: Node | None = None
    backward: Node | None = None
    check: Node | None = None
    loss: bool = True
    operands: bool = True
    values: Sequence[Array] = ()


def _trace(step: Graph, feeds: Mapping[str, Array]) -> _Trace:
    trace = _Trace()
    for node, results, operands in _evaluated(step, feeds):
        if all(map(_finite, results)):
            continue
        if step.outputs["loss"] in node.outputs:
            trace.loss = False
        if node.id.startswith(CHECK):
            trace.check, trace.operands = node, all(map(_finite, operands))
            trace.values = operands
            break
        # Nodes without an origin, such as the norm for gradient clipping, may overflow.
        if node.origin and node.id.startswith("grad/"):
            trace.backward = trace.backward or node
        elif node.origin and not node.id.startswith("update/"):
            trace.forward = trace.forward or node
    return trace


def _divides_by_zero(optimizer: Optimizer | None, trace: _Trace, names: Sequence[str]) -> bool:
    """Whether an optimiser whose eps is 0 in float32 divides by a mean of squared gradients that is 0.

    `names` are those of a weight and its slots; the check takes them, its gradient and scalars.
    """
    if optimizer is None or trace.check is None or np.float32(getattr(optimizer, "eps", 1.0)) != 0:
        return False
    taken = {v.node: array for v, array in zip(trace.check.inputs, trace.values, strict=True)}
    square = next((array for name, array in taken.items() if name == f"{names[0]}/square"), None)
    if square is None:
        return False
    others = [x for name, x in taken.items() if name not in names and x.shape == square.shape]
    return any(bool(((square == 0) & (x == 0)).any()) for x in others)


def _evaluated(
    graph: Graph, feeds: Mapping[str, Array]
) -> Iterator[tuple[Node, Sequence[Array], Sequence[Array]]]:
    """Every node in NumPy, with its results and operands; values go after their last use."""
    env: dict[Value, Array] = {}
    waiting = {value: len(graph.users(value)) for node in graph for value in node.outputs}
    for node in graph:
        operands = [env[v] for v in node.inputs]
        with np.errstate(all="ignore"):
            results = (feeds[node.id],) if node.id in feeds else node.op.reference(*operands)
        yield node, results, operands
        env.update(zip(node.outputs, results, strict=True))
        for value in node.inputs:
            waiting[value] -= 1
            if not waiting[value]:
                del env[value]


def _finite(array: Array) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _blamed(objective: Graph, subject: str, node: Node | None) -> Diagnostic:
    """A diagnostic that names the layer of a node, in the forward or in the backward pass."""
    if node is None:
        return Diagnostic("nan", f"{subject}: it overflows in float32, though NumPy finds every layer finite")
    owner = node.origin[0]
    kind = objective[owner].op.name if owner in objective else node.op.name
    what = "gradient" if node.id.startswith("grad/") else "value"
    message = f"{subject}: the first {what} that is not finite comes from {owner} ({kind})"
    return Diagnostic("nan", message, node.span, fix=SMALLER)
