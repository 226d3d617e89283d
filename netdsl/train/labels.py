"""Labels in another form than the loss takes them: shares of classes, such as one-hot rows, for class numbers."""

from __future__ import annotations

from dataclasses import replace

from netdsl.data.outline import Outline
from netdsl.elaborate import Network
from netdsl.ir import Graph, Node, ShapeError, TensorType, Value, transform
from netdsl.primitives import Input, PrimitiveBuilder
from netdsl.source import Diagnostic, NetError, Span, placed
from netdsl.train.inputs import Target, network_inputs


def fit_labels(network: Network, outline: Outline, name: str, span: Span | None = None) -> Network:
    """The network whose losses and metrics take labels as the set called `name` has them, by its outline as fed.

    Where they want class numbers and every label is a row of shares, one for each class, losses compare with the
    shares and metrics with the largest of them (Keras' CategoricalAccuracy).  Other networks stay as they are.
    Raises NetError for rows that are no shares, and for losses that cannot compare with them.
    """
    for target in network_inputs(network).targets:
        array = outline.arrays[target.name]
        if not target.integers or array.label != (*target.shape, target.classes):
            continue
        if array.distribution is False:
            message = f"a label of the {name} set is a row of {target.classes} numbers that are no shares of classes"
            fix = "shares are 0 or more and sum to 1; binary_cross_entropy takes samples of several classes"
            raise NetError(Diagnostic("data", message, span, fix=fix))
        assert network.objective is not None and network.evaluation is not None
        with placed(span):
            objective = _with_shares(network.objective, target)
            evaluation = _with_shares(network.evaluation, target)
        network = replace(network, objective=objective, evaluation=evaluation)
    return network


def _with_shares(objective: Graph, target: Target) -> Graph:
    from netdsl.ops.argmax import ArgMax
    from netdsl.ops.loss import Loss

    label = Value(target.name)
    shape = (*objective.type(label).shape, target.classes or 1)

    def visit(b: PrimitiveBuilder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if node.id == target.name:
            return b.like(node, Input(TensorType(shape)))
        if label not in node.inputs:
            return None
        if not isinstance(node.op, Loss):
            number = b.add1(ArgMax(), label, name=f"{target.name}.class", span=node.span)
            operands = tuple(number if v == label else v for v in operands)
        try:
            return b.like(node, node.op, *operands)
        except ShapeError as error:
            raise NetError(Diagnostic("shape", error.message, node.span, fix=error.hint)) from None

    return transform(objective, visit, PrimitiveBuilder())
