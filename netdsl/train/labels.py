"""Labels in another form than the loss takes them: shares of classes, such as one-hot rows, for class numbers."""

from __future__ import annotations

from dataclasses import replace

from netdsl.data.outline import Outline
from netdsl.elaborate import Network
from netdsl.ir import Graph, Node, ShapeError, TensorType, Value, transform
from netdsl.primitives import Input, PrimitiveBuilder
from netdsl.source import Diagnostic, NetError, Span, placed
from netdsl.train.inputs import Inputs, network_inputs


def fit_labels(network: Network, outline: Outline, name: str, span: Span | None = None) -> Network:
    """The network whose losses and metrics take labels as the set called `name` has them.

    Where they want class numbers and every label is a row of shares, one for each class, losses compare with the
    shares and metrics with the largest of them (Keras' CategoricalAccuracy).  Other networks stay as they are.
    Raises NetError for rows that are no shares, and for losses that cannot compare with them.
    """
    inputs = network_inputs(network)
    if not _are_rows(inputs, outline):
        return network
    if outline.distribution is False:
        message = f"a label of the {name} set is a row of numbers that are no shares of classes"
        fix = "shares are 0 or more and sum to 1; binary_cross_entropy takes samples of several classes"
        raise NetError(Diagnostic("data", message, span, fix=fix))
    assert network.objective is not None and network.evaluation is not None
    with placed(span):
        objective = _with_shares(network.objective, inputs)
        evaluation = _with_shares(network.evaluation, inputs)
        return replace(network, objective=objective, evaluation=evaluation)


def _are_rows(inputs: Inputs, outline: Outline) -> bool:
    wanted = (*inputs.target_type.shape[1:], inputs.classes)
    return inputs.target_type.dtype == "i64" and outline.label == wanted


def _with_shares(objective: Graph, inputs: Inputs) -> Graph:
    from netdsl.ops.argmax import ArgMax
    from netdsl.ops.loss import Loss

    shape = (*inputs.target_type.shape, inputs.classes or 1)

    def visit(b: PrimitiveBuilder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if node.id == inputs.target:
            return b.add(Input(TensorType(shape)), name=node.id, span=node.span)
        if Value(inputs.target) not in node.inputs:
            return None
        if not isinstance(node.op, Loss):
            number = b.add1(ArgMax(), Value(inputs.target), name=f"{inputs.target}.class", span=node.span)
            operands = tuple(number if v == Value(inputs.target) else v for v in operands)
        try:
            return b.add(node.op, *operands, name=node.id, span=node.span, origin=node.origin)
        except ShapeError as error:
            raise NetError(Diagnostic("shape", error.message, node.span, fix=error.hint)) from None

    return transform(objective, visit, PrimitiveBuilder())
