"""One training step and one evaluation as graphs of primitives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netdsl.autodiff import gradients
from netdsl.ir import Graph, Node, TensorType, Value
from netdsl.primitives import Input, Map, PrimitiveBuilder, State
from netdsl.primitives.leaf import learns
from netdsl.scalar import Arg, Expr, maximum, minimum, sqrt, substitute
from netdsl.train.change import CHECK, LeafChange, all_finite
from netdsl.train.measures import Measures
from netdsl.train.optimizers import Terms, Weight
from netdsl.train.recipe import Recipe

SCALAR = TensorType(())
NORM = "clip_norm"
"""What the node is called that looks whether the norm that clips is finite."""
HYPER = "train/"
"""What the names of the step's scalar inputs start with: no input of a network has a slash."""
KEEP, SHARE, AVERAGED = "keep", "share", "averaged"
"""The scalar inputs of accumulation and of averaging: see `training_graph`."""
GRADIENT, AVERAGE = "gradient", "average"
"""The slots of what was accumulated, and of the average of a weight."""


def evaluation_graph(objective: Graph) -> Graph:
    """The sums of loss and metrics, in inference mode; see `Measures`."""
    graph, sums = Measures(objective).expanded(training=False)
    return graph.with_outputs(sums, {})


def training_graph(objective: Graph, recipe: Recipe | None = None, gather: bool = False) -> Graph:
    """Forward, backward and update in one graph; puts out the `loss` and what loss and metrics add up.

    It adds the scalar inputs `train/NAME` of the optimiser and one `state` leaf `WEIGHT/SLOT` per weight and slot.
    The output `finite` is 0, or NaN for a step that would make the loss or any leaf infinite or NaN: then it changes
    no leaf, so that its cause can be looked for afterwards.

    Where the recipe accumulates, the gradient is `keep * WEIGHT/gradient + share * g`; with `gather` that is all
    that is stored, the weights stay.  Where it averages, `WEIGHT/average` becomes
    `averaged * w + (1 - averaged) * average`, and so do those of the running statistics.
    """
    recipe = recipe or Recipe()
    forward, sums = Measures(objective).expanded(training=True)
    b = PrimitiveBuilder(forward, training=True)
    loss = forward.outputs["loss"]
    nodes = [n for n in forward.leaves("param") if learns(n.op)]
    found = gradients(b, loss, [Value(n.id) for n in nodes])
    step = _Step(b, recipe, gather)
    grads = {n.id: step.gathered(n, found[Value(n.id)]) for n in nodes}
    changes = [step.statistic(leaf, value) for leaf, value in forward.updates.items()]
    norm = None
    if gather:
        changes += [LeafChange((g.leaf,), g.operands, (g.value,)) for g in grads.values() if g.leaf]
    else:
        norm = step.clip_norm(list(grads.values()))
        changes += [step.update(recipe.weight(objective, objective[n.id]), n, grads[n.id]) for n in nodes]
    checks = [b.map(lambda x: x - x, loss), *(change.check(b) for change in reversed(changes))]
    finite = all_finite(b, checks)
    if norm is not None:
        # A norm that overflows would scale gradients that are finite to 0.
        finite = b.add1(Map((Arg(0) + (Arg(1) - Arg(1)),)), finite, norm, name=f"{CHECK}{NORM}.map")
    for change in changes:
        change.commit(b, finite)
    return b.finish({"loss": loss, "finite": finite, **sums})


@dataclass(frozen=True)
class _Gradient:
    """A gradient as an expression over operands, and the leaf that gathers it, if one does."""

    operands: tuple[Value, ...]
    value: Expr
    leaf: Value | None = None


class _Step:
    """Adds what a recipe makes of gradients to a graph."""

    def __init__(self, b: PrimitiveBuilder, recipe: Recipe, gather: bool) -> None:
        self._b, self._recipe = b, recipe
        optimizer = recipe.optimizer
        names = [] if gather else [*optimizer.scalars(0, optimizer.lr, None)]
        self._hyper = {name: self._scalar(name) for name in names}
        self._shares = [self._scalar(name) for name in (KEEP, SHARE)] if recipe.accumulate > 1 else []
        self._averaged = self._scalar(AVERAGED) if recipe.average is not None and not gather else None
        self._scale: Value | None = None

    def _scalar(self, name: str) -> Value:
        return self._b.add1(Input(SCALAR), name=HYPER + name)

    def _slot(self, leaf: str, slot: str, start: float = 0.0) -> Value:
        """A state beside a leaf: of its shape, on its GPU."""
        init = State(self._b.type(Value(leaf)), "constant" if start else "zeros", start)
        with self._b.on(self._b.nodes[leaf].gpu):
            return self._b.add1(init, name=f"{leaf}/{slot}")

    def gathered(self, node: Node, grad: Value) -> _Gradient:
        """The gradient of a weight with what was accumulated before."""
        if not self._shares:
            return _Gradient((grad,), Arg(0))
        leaf = self._slot(node.id, GRADIENT)
        return _Gradient((leaf, grad, *self._shares), Arg(2) * Arg(0) + Arg(3) * Arg(1), leaf)

    def _clipped(self, g: Expr) -> Expr:
        bound = self._recipe.clip_value
        return g if bound is None else minimum(maximum(g, -bound), bound)

    def clip_norm(self, grads: Sequence[_Gradient]) -> Value | None:
        """The square of the norm of all gradients, where it is to be bounded."""
        limit, b = self._recipe.clip_norm, self._b
        if limit is None or not grads:
            return None
        squares = []
        for g in grads:
            shape = b.type(g.operands[0]).shape
            e = self._clipped(g.value)
            with b.on(b.nodes[g.operands[0].node].gpu):
                square = b.reduce_expr("sum", e * e, *g.operands, axes=tuple(range(len(shape))), shape=shape)
            squares.append(square)
        total = squares[0]
        for square in squares[1:]:
            total = b.map(lambda x, y: x + y, total, square)
        self._scale = b.map(lambda t: minimum(limit / (sqrt(t) + 1e-6), 1.0), total)
        return total

    def statistic(self, leaf: str, value: Value) -> LeafChange:
        """The new value of a running statistic, and of its average."""
        own = Value(leaf)
        if self._averaged is None:
            return LeafChange((own,), (own, value), (Arg(1),))
        mean = self._slot(leaf, AVERAGE)
        return LeafChange(
            (own, mean), (own, mean, value, self._averaged), (Arg(2), _mixed(Arg(3), Arg(2), Arg(1)))
        )

    def update(self, weight: Weight, node: Node, grad: _Gradient) -> LeafChange:
        """The new values of a weight, its slots and its average."""
        recipe, w = self._recipe, Value(node.id)
        with self._b.within(node, f"update/{node.id}"):
            slots = {
                name: self._slot(node.id, name, start)
                for name, start in recipe.optimizer.slots_of(weight).items()
            }
            leaves = [w, *slots.values()]
            if self._averaged is not None:
                leaves.append(self._slot(node.id, AVERAGE))
            t = self._terms(weight, leaves, [*slots], grad)
            new, kept = recipe.optimizer.update(t)
            for constraint in recipe.constraints:
                if constraint.chosen(weight):
                    new = constraint.apply(t, new)
            values = [new, *(kept[name] for name in slots)]
            if self._averaged is not None:
                t.operands.append(self._averaged)
                values.append(_mixed(Arg(len(t.operands) - 1), new, Arg(len(leaves) - 1)))
        return LeafChange(tuple(leaves), tuple(t.operands), tuple(values), tuple(t.extra))

    def _terms(self, weight: Weight, leaves: list[Value], slots: list[str], grad: _Gradient) -> Terms:
        """What the optimiser is handed: the gradient is clipped, and what was accumulated is in it."""
        at = len(leaves)
        operands = [*leaves, *grad.operands, *self._hyper.values()]
        shifted = substitute(grad.value, lambda x: Arg(x.index + at) if isinstance(x, Arg) else None)
        g = self._clipped(shifted)
        if self._scale is not None:
            g = g * Arg(len(operands))
            operands.append(self._scale)
        first = at + len(grad.operands)
        hyper: Mapping[str, Expr] = {name: Arg(first + k) for k, name in enumerate(self._hyper)}
        by_name = {name: Arg(1 + k) for k, name in enumerate(slots)}
        # What clipping makes of NaN is a number.
        extra = [] if self._recipe.clip_value is None else [shifted]
        return Terms(self._b, weight, operands, Arg(0), g, by_name, hyper, extra)


def _mixed(share: Expr, new: Expr, old: Expr) -> Expr:
    """`new` where the share is 1, `old` where it is 0, to the bit."""
    return share * new + (1.0 - share) * old
