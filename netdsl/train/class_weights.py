"""`data { class_weights = balanced }`: in the loss that is trained on, each class weighs as much as the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from netdsl.arrays import Array, np
from netdsl.data import DataPlan
from netdsl.data.feeds import matched
from netdsl.data.stored import read_all
from netdsl.elaborate import Network
from netdsl.ir import Graph, Node, Value, transform
from netdsl.ops import BY_NAME
from netdsl.ops.cross_entropy import CrossEntropy
from netdsl.ops.elementwise_loss import BinaryCrossEntropy
from netdsl.primitives import Const, PrimitiveBuilder
from netdsl.source import Diagnostic, NetError
from netdsl.train.inputs import network_inputs

Counts = Callable[[str, int, int | None], Array]
"""How much there is of each class: of the labels called so, of so many classes, without one that is ignored."""


def check_class_weights(network: Network, data: DataPlan) -> None:
    """Raise NetError where the loss has no classes that could be weighted, or weighs them itself."""
    balanced(network, data, lambda _, classes, __: np.ones(classes))


def with_class_weights(network: Network, data: DataPlan | None) -> Network:
    """The network whose loss weighs classes as the data section asks, by the labels of its training set.

    The weight of a class is `samples / (classes * samples of the class)`, as in scikit-learn; of a class without
    samples 0.  The graph that evaluates stays as it is.
    """
    return network if data is None else balanced(network, data, lambda *what: _counts(network, data, *what))


def balanced(network: Network, data: DataPlan, counts: Counts) -> Network:
    """The same with other counts of classes."""
    objective = network.objective
    if not data.balanced or objective is None:
        return network
    losses = [
        node for node in _loss_nodes(objective) if isinstance(node.op, CrossEntropy | BinaryCrossEntropy)
    ]
    problem = (
        "the loss has no classes"
        if not losses
        else next(filter(None, (_problem(objective, n) for n in losses)), None)
    )
    if problem is not None:
        fix = "cross_entropy compares classes, and binary_cross_entropy of one logit two"
        message = f"class_weights = balanced weighs the classes of a loss, but {problem}"
        raise NetError(Diagnostic("data", message, data.place("class_weights"), fix=fix))
    chosen = {node.id for node in losses}

    def visit(b: PrimitiveBuilder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if node.id not in chosen:
            return None
        name = node.inputs[1].node
        if isinstance(node.op, CrossEntropy):
            classes = objective.type(node.inputs[0]).shape[-1]
            weights = _weights(counts(name, classes, node.op.ignore_index))
            op = replace(node.op, class_weights=tuple(weights.tolist()))
            return b.like(node, op, *operands)
        no, yes = _weights(counts(name, 2, None)).tolist()
        slope, base = (b.add1(Const(x)) for x in (yes - no, no))
        scaled = b.add1(BY_NAME["mul"](), slope, operands[1])
        weight = b.add1(BY_NAME["add"](), scaled, base, name=f"{node.id}.weight")
        return b.like(node, node.op, *operands[:2], weight)

    return replace(network, objective=transform(objective, visit, PrimitiveBuilder()))


def _problem(objective: Graph, node: Node) -> str | None:
    """Why the classes of a loss cannot be weighted."""
    if objective[node.inputs[1].node].op.name != "input":
        return f"the target of {node.op.name} is computed, not a label"
    if isinstance(node.op, CrossEntropy):
        return "cross_entropy has class_weights of its own" if node.op.class_weights is not None else None
    if objective.type(node.inputs[0]).shape[-1] != 1:
        return "binary_cross_entropy of several logits tells no classes apart"
    if len(node.inputs) > 2:
        return "binary_cross_entropy has weights of its own"
    return None


def _loss_nodes(objective: Graph) -> Iterator[Node]:
    """The nodes that the loss is computed from."""
    waiting, seen = [objective.outputs["loss"].node], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [value.node for value in objective[name].inputs]
    return (node for node in objective if node.id in seen)


def _weights(counts: Array) -> Array:
    """`sum / (classes that there are * count)`; 0 for a class that there is nothing of."""
    there = counts > 0
    each = counts.sum() / max(int(there.sum()), 1)
    found: Array = np.divide(each, counts, out=np.zeros(len(counts)), where=there)
    return found


def _counts(network: Network, data: DataPlan, name: str, classes: int, ignored: int | None) -> Array:
    """How much of the training set is of each class; rows of shares count by their shares."""
    array = matched(network_inputs(network).feeds, data.train.columns)[name]
    labels = read_all(data.train.columns[array].target.values)
    if labels.ndim and labels.dtype.kind == "f" and labels.shape[-1] == classes:
        return np.asarray(labels.reshape(-1, classes).sum(0, dtype=np.float64))
    flat = labels.ravel() if ignored is None else labels[labels != ignored]
    inside = flat[(flat >= 0) & (flat < classes)].astype(np.int64)
    return np.bincount(inside, minlength=classes).astype(np.float64)
