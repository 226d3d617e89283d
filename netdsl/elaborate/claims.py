"""Check the claims of `expect`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netdsl.cost import count_flops, count_macs, count_params, count_trainable
from netdsl.elaborate.arithmetic import COMPARISONS
from netdsl.elaborate.budget import PER_NODE
from netdsl.elaborate.context import Poisoned
from netdsl.elaborate.statements import side_text
from netdsl.ir import Graph, Value
from netdsl.source import NetError, Span
from netdsl.syntax import tree

if TYPE_CHECKING:
    from netdsl.elaborate.expressions import ExpressionEvaluator


@dataclass(frozen=True)
class Claim:
    """A claim that holds, as written."""

    text: str
    span: Span


def check_claims(
    evaluator: ExpressionEvaluator, graph: Graph, entries: Sequence[tree.Node]
) -> tuple[Claim, ...]:
    """The claims that hold; those that do not go to the context as diagnostics."""
    if not entries:
        return ()
    variables = evaluator.frame.variables
    saved = dict(variables)
    variables.update(_totals(evaluator, graph, entries))
    held = []
    for entry in entries:
        assert isinstance(entry, tree.Claim)
        try:
            _check(evaluator, graph, entry.condition)
            held.append(Claim(entry.condition.span.text, entry.condition.span))
        except NetError as error:
            evaluator.context.problems.extend(error.diagnostics)
        except Poisoned:
            continue  # reported where the value was made
    variables.clear()
    variables.update(saved)
    return tuple(held)


def _totals(
    evaluator: ExpressionEvaluator, graph: Graph, entries: Sequence[tree.Node]
) -> Mapping[str, int | None]:
    """The totals that claims may name, per sample; None for a name that is only used in suggestions."""
    batch = evaluator.context.batch
    totals: Mapping[str, Callable[[], int]] = {
        "params": lambda: count_params(graph),
        "trainable": lambda: count_trainable(graph),
        "macs": lambda: count_macs(graph) // batch,
        "flops": lambda: count_flops(graph) // batch,
    }
    named = {node.id for entry in entries for node in entry.walk() if isinstance(node, tree.Name)}
    return {name: count() if name in named else None for name, count in totals.items()}


def _check(evaluator: ExpressionEvaluator, graph: Graph, claim: tree.Expr) -> None:
    if isinstance(claim, tree.Binary) and claim.op == "and":
        _check(evaluator, graph, claim.left)
        _check(evaluator, graph, claim.right)
        return
    if not isinstance(claim, tree.Binary) or claim.op not in COMPARISONS:
        if not evaluator.condition(claim, "a claim"):
            evaluator.context.fail("expect", f"this does not hold: {claim.span.text}", claim.span)
        return
    sides = [_side(evaluator, graph, e) for e in (claim.left, claim.right)]
    if not evaluator.operate(claim, *sides):
        label = f"{claim.left.span.text} is {side_text(sides[0])}"
        message = f"expected {claim.span.text}"
        evaluator.context.fail("expect", message, claim.span, label)


def _side(evaluator: ExpressionEvaluator, graph: Graph, e: tree.Expr) -> Any:
    """One side of a claim: a setting, or the receptive field of a tensor."""
    if isinstance(e, tree.Call) and isinstance(e.function, tree.Name) and e.function.id == "receptive_field":
        from netdsl.ops.receptive_field import receptive_field  # takes 5 ms, and few claims name it

        values = [evaluator.evaluate(a.value) for a in e.arguments]
        if len(values) != 1 or not isinstance(values[0], Value):
            evaluator.context.fail("type", "receptive_field takes one tensor", e.span)
        evaluator.context.budget.spend(PER_NODE * len(graph), e.span)
        return list(receptive_field(graph, values[0]))
    return evaluator.setting(e, "a claim")
