"""Flows: the steps of `->`, the branches of a merge, and `repeat`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from netdsl.elaborate.budget import PER_TURN
from netdsl.elaborate.builtins import OF_SETTINGS, OF_SHAPES
from netdsl.elaborate.context import POISON, Poisoned
from netdsl.elaborate.hints import OF_TENSORS, a_block
from netdsl.elaborate.lookup import lookup, need_defined, need_known
from netdsl.elaborate.tags import no_name, tags_of
from netdsl.elaborate.values import Function, Symbol, as_tuple, describe
from netdsl.ir import Value
from netdsl.limits import MAX_LOOP
from netdsl.syntax import tree

if TYPE_CHECKING:
    from netdsl.elaborate.expressions import ExpressionEvaluator


def pipe(evaluator: ExpressionEvaluator, e: tree.Pipe) -> Any:
    """The result of the last step."""
    value = _head(evaluator, e.head)
    for step in e.steps:
        value = _feed(evaluator, value, step)
    return value


def _head(evaluator: ExpressionEvaluator, e: tree.Expr) -> Any:
    """What a pipe feeds: a tensor, or those of a tuple, a list or an indexed name."""
    value = as_tuple(evaluator.evaluate(e))
    evaluator.context.hold(value, e.span)
    for v in value if isinstance(value, tuple) else (value,):
        if v is POISON:
            raise Poisoned
        if not isinstance(v, Value):
            evaluator.not_a_tensor(v, e.span, "->")
    return value


def _feed(evaluator: ExpressionEvaluator, value: Any, step: tree.Expr) -> Any:
    """Feed a value (a tensor, or a tuple of them) to one step of a pipe."""
    match step:
        case tree.Tagged(value=inner, tags=tags) if isinstance(inner, (tree.Merge, tree.Repeat)):
            given = tags_of(evaluator, tags)
            with evaluator.context.tagged(given):
                if isinstance(inner, tree.Merge):
                    return _merge(evaluator, value, inner, given.name)
                if given.name is not None:
                    no_name(evaluator.context, tags)
                return _repeat(evaluator, value, inner)
        case tree.Merge():
            return _merge(evaluator, value, step)
        case tree.Repeat():
            return _repeat(evaluator, value, step)
        case tree.Pipe():
            for inner in (step.head, *step.steps):
                value = _feed(evaluator, value, inner)
            return value
        case tree.Conditional():
            chosen = step.then if evaluator.condition(step.condition, "if") else step.otherwise
            return _feed(evaluator, value, chosen)
    function = _step_function(evaluator, step)
    data = value if isinstance(value, tuple) else (value,)
    return evaluator.apply.apply(function, data)


def _step_function(evaluator: ExpressionEvaluator, step: tree.Expr) -> Function:
    """What a step feeds."""
    called = step.function if isinstance(step, tree.Call) else step
    name = called.id if isinstance(called, tree.Name) else ""
    if (name in OF_SETTINGS or name in OF_SHAPES) and lookup(evaluator.frame, name, step.span) is None:
        fix = OF_TENSORS.get(f"{name}(...)")
        evaluator.context.fail("type", f"{name} computes settings, -> feeds tensors", step.span, fix=fix)
    need_known(evaluator.context, evaluator.frame, called)
    function = evaluator.evaluate(step)
    if isinstance(function, Symbol):
        need_defined(evaluator.context, evaluator.frame, function)
    if isinstance(function, Function):
        return function
    fix = a_block(function, step.span.text)
    if isinstance(function, Value) and called is not step:
        fix = f"it is fed in its parentheses already; several are fed as (a, b) -> {called.span.text}"
    return evaluator.context.fail(
        "type", f"-> feeds a function, not {describe(function)}", step.span, fix=fix
    )


def _merge(evaluator: ExpressionEvaluator, value: Any, merge: tree.Merge, tag: str | None = None) -> Any:
    called = merge.function.function if isinstance(merge.function, tree.Call) else merge.function
    need_known(evaluator.context, evaluator.frame, called)
    function = evaluator.evaluate(merge.function)
    if not isinstance(function, Function):
        evaluator.context.fail("type", f"{describe(function)} cannot merge branches", merge.function.span)
    if tag is not None:
        function = replace(function, tags=replace(function.tags, name=tag))
    results: list[Value] = []
    for branch in merge.branches:
        result = _branch(evaluator, value, branch)
        results.extend(result if isinstance(result, tuple) else (result,))
        evaluator.context.hold(results, merge.span)
    return evaluator.apply.apply(function, tuple(results), tuple(b.span for b in merge.branches), "branch")


def _branch(evaluator: ExpressionEvaluator, value: Any, branch: tree.Expr) -> Any:
    if isinstance(branch, tree.In) or (isinstance(branch, tree.Pipe) and isinstance(branch.head, tree.In)):
        return evaluator.evaluate(branch)
    return _feed(evaluator, value, branch)


def _repeat(evaluator: ExpressionEvaluator, value: Any, repeat: tree.Repeat) -> Any:
    count = evaluator.setting(repeat.count, "repeat")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_LOOP:
        message = f"repeat takes a count from 0 to {MAX_LOOP:_}, not {describe(count)}"
        evaluator.context.fail("type", message, repeat.count.span)
    for _ in range(count):
        evaluator.context.budget.spend(PER_TURN, repeat.span)
        value = evaluator.apply.body(evaluator, repeat, value)
    return value
