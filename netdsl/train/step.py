"""One training step and one evaluation as graphs of primitives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netdsl.autodiff import gradients
from netdsl.ir import Graph, Node, TensorType, Value
from netdsl.primitives import Input, Map, Param, PrimitiveBuilder, State
from netdsl.primitives.leaf import learns
from netdsl.scalar import Arg, Expr, eq, minimum, sqrt, where
from netdsl.train.measures import Measures
from netdsl.train.optimizers import Optimizer

SCALAR = TensorType(())
CHECK, NORM = "check/", "clip_norm"
"""What the names of the nodes start with that look whether a leaf's new values are finite, or the norm that clips."""
HYPER = "train/"
"""What the names of the optimiser's scalar inputs start with: no input of a network has a slash."""


def evaluation_graph(objective: Graph) -> Graph:
    """The sums of loss and metrics, in inference mode; see `Measures`."""
    graph, sums = Measures(objective).expanded(training=False)
    return graph.with_outputs(sums, {})


def training_graph(objective: Graph, optimizer: Optimizer, clip_norm: float | None = None) -> Graph:
    """Forward, backward and update in one graph; puts out the `loss` and what loss and metrics add up.

    It adds the scalar inputs `train/NAME` of the optimiser and one `state` leaf `WEIGHT/SLOT` per weight and slot.
    The output `finite` is 0, or NaN for a step that would make the loss or any leaf infinite or NaN: then it changes
    no leaf, so that its cause can be looked for afterwards.
    `clip_norm` scales all gradients so that their common L2 norm is at most that (Pascanu et al. 2013).
    """
    forward, sums = Measures(objective).expanded(training=True)
    b = PrimitiveBuilder(forward, training=True)
    loss = forward.outputs["loss"]
    weights = [n for n in forward.leaves("param") if learns(n.op)]
    grads = gradients(b, loss, [Value(n.id) for n in weights])
    hyper = {name: b.add1(Input(SCALAR), name=HYPER + name) for name in optimizer.inputs}
    norm = scale = None
    if clip_norm is not None and weights:
        norm = _squared_norm(b, list(grads.values()))
        scale = b.map(lambda t: minimum(clip_norm / (sqrt(t) + 1e-6), 1.0), norm)
    changes = [_statistic(leaf, value) for leaf, value in forward.updates.items()]
    changes += [_step(b, optimizer, n, grads[Value(n.id)], hyper, scale) for n in weights]
    finite = b.map(lambda x: x - x, loss)
    for change in reversed(changes):
        finite = change.check(b, finite)
    if norm is not None:
        # A norm that overflows would scale gradients that are finite to 0.
        finite = b.add1(Map((Arg(0) + (Arg(1) - Arg(1)),)), finite, norm, name=f"{CHECK}{NORM}.map")
    for change in changes:
        change.commit(b, finite)
    return b.finish({"loss": loss, "finite": finite, **sums})


@dataclass(frozen=True)
class _Change:
    """The new values of leaves of one shape, as expressions over `operands`, which begin with the leaves."""

    leaves: tuple[Value, ...]
    operands: tuple[Value, ...]
    new: tuple[Expr, ...]

    def check(self, b: PrimitiveBuilder, finite: Value) -> Value:
        """0 where `finite` is 0 and all new values are finite, else NaN: every `x - x` is one or the other."""
        shape = b.type(self.leaves[0]).shape
        total: Expr = Arg(len(self.operands))
        for x in self.new:
            total = total + (x - x)
        with b.within(b.nodes[self.leaves[0].node], f"{CHECK}{self.leaves[0].node}"):
            return b.reduce_expr(
                "sum", total, *self.operands, finite, axes=tuple(range(len(shape))), shape=shape
            )

    def commit(self, b: PrimitiveBuilder, finite: Value) -> None:
        """Store the new values, if the step is finite."""
        shape = b.type(self.leaves[0]).shape
        with b.within(b.nodes[self.leaves[0].node], f"update/{self.leaves[0].node}"):
            for k, (leaf, new) in enumerate(zip(self.leaves, self.new, strict=True)):
                kept = where(eq(Arg(len(self.operands)), 0.0), new, Arg(k))
                b.update(leaf, b.map_expr(kept, *self.operands, finite, shape=shape))


def _statistic(leaf: str, value: Value) -> _Change:
    """The new value of a running statistic."""
    return _Change((Value(leaf),), (Value(leaf), value), (Arg(1),))


def _squared_norm(b: PrimitiveBuilder, grads: Sequence[Value]) -> Value:
    squares = [b.reduce("sum", lambda g: g * g, g, axes=range(b.type(g).rank)) for g in grads]
    total = squares[0]
    for square in squares[1:]:
        total = b.map(lambda x, y: x + y, total, square)
    return total


def _step(
    b: PrimitiveBuilder,
    optimizer: Optimizer,
    node: Node,
    grad: Value,
    hyper: Mapping[str, Value],
    scale: Value | None,
) -> _Change:
    """The new values of a weight and its slots."""
    leaf, w = node.op, Value(node.id)
    assert isinstance(leaf, Param)
    slots = [b.add1(State(b.type(w)), name=f"{node.id}/{slot}") for slot in optimizer.used_slots()]
    operands = [w, *slots, grad, *hyper.values(), *([scale] if scale is not None else [])]
    args = [Arg(k) for k in range(len(operands))]
    at = 1 + len(slots)
    scalars: dict[str, Expr] = dict(zip(hyper, args[at + 1 :], strict=False))
    g = args[at] * args[-1] if scale is not None else args[at]
    decay = optimizer.weight_decay if leaf.decay else 0.0
    new, kept = optimizer.update(args[0], g, args[1:at], scalars, scalars["lr"] * leaf.lr, decay)
    return _Change((w, *slots), tuple(operands), (new, *kept))
