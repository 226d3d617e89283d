"""One training step and one evaluation as graphs of primitives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netdsl.autodiff import gradients
from netdsl.ir import Graph, TensorType, Value
from netdsl.primitives import Input, Param, PrimitiveBuilder, State
from netdsl.scalar import Arg, Expr, eq, minimum, sqrt, where
from netdsl.train.measures import Measures
from netdsl.train.optimizers import Optimizer

SCALAR = TensorType(())
HYPER = "train/"
"""What the names of the optimiser's scalar inputs start with: no input of a network has a slash."""


def evaluation_graph(objective: Graph) -> Graph:
    """What loss and metrics add up, in inference mode: see `Measures`."""
    graph, sums = Measures(objective).expanded(training=False)
    return graph.with_outputs(sums, {})


def training_graph(objective: Graph, optimizer: Optimizer, clip_norm: float | None = None) -> Graph:
    """Forward, backward and update in one graph; puts out the `loss` and what loss and metrics add up.

    It adds the scalar inputs `train/NAME` of the optimiser and one `state` leaf `WEIGHT/SLOT` per weight and slot.
    A step whose loss is not finite changes no leaf, so that its cause can be looked for afterwards.
    `clip_norm` scales all gradients so that their common L2 norm is at most that (Pascanu et al. 2013).
    """
    forward, sums = Measures(objective).expanded(training=True)
    b = PrimitiveBuilder(forward, training=True)
    loss = forward.outputs["loss"]
    for leaf, value in forward.updates.items():
        kept = b.map(lambda old, new, shown: _if_finite(shown, new, old), Value(leaf), value, loss)
        b.update(Value(leaf), kept)
    weights = [n for n in forward.leaves("param") if isinstance(n.op, Param) and n.op.trainable]
    grads = gradients(b, loss, [Value(n.id) for n in weights])
    hyper = {name: b.add1(Input(SCALAR), name=HYPER + name) for name in optimizer.inputs}
    scale = _clip_scale(b, list(grads.values()), clip_norm) if clip_norm is not None and weights else None
    for node in weights:
        w = Value(node.id)
        _update(b, optimizer, w, grads[w], hyper, loss, scale)
    return b.finish({"loss": loss, **sums})


def _if_finite(loss: Expr, new: Expr, old: Expr) -> Expr:
    return where(eq(loss - loss, 0.0), new, old)


def _clip_scale(b: PrimitiveBuilder, grads: Sequence[Value], limit: float) -> Value:
    squares = [b.reduce("sum", lambda g: g * g, g, axes=range(b.type(g).rank)) for g in grads]
    total = squares[0]
    for square in squares[1:]:
        total = b.map(lambda x, y: x + y, total, square)
    return b.map(lambda t: minimum(limit / (sqrt(t) + 1e-6), 1.0), total)


def _update(
    b: PrimitiveBuilder,
    optimizer: Optimizer,
    w: Value,
    grad: Value,
    hyper: Mapping[str, Value],
    loss: Value,
    scale: Value | None,
) -> None:
    """Add the new value of a weight and of its slots."""
    leaf = b.nodes[w.node].op
    assert isinstance(leaf, Param)
    slots = [b.add1(State(b.type(w)), name=f"{w.node}/{slot}") for slot in optimizer.used_slots()]
    operands = [w, grad, *slots, loss, *hyper.values(), *([scale] if scale is not None else [])]
    args = [Arg(k) for k in range(len(operands))]
    first = 2 + len(slots) + 1
    scalars: dict[str, Expr] = dict(zip(hyper, args[first:], strict=False))
    g = args[1] * args[-1] if scale is not None else args[1]
    decay = optimizer.weight_decay if leaf.decay else 0.0
    new_w, new_slots = optimizer.update(
        args[0], g, args[2 : first - 1], scalars, scalars["lr"] * leaf.lr, decay
    )
    olds = [args[0], *args[2 : first - 1]]
    with b.within(b.nodes[w.node], f"update/{w.node}"):
        for value, old, new in zip([w, *slots], olds, [new_w, *new_slots], strict=True):
            kept = _if_finite(args[first - 1], new, old)
            b.update(value, b.map_expr(kept, *operands, shape=b.type(w).shape))
