"""Statements, run in order.  A statement with a mistake defines POISON, and the next statements still run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from netdsl.elaborate.budget import PER_TURN
from netdsl.elaborate.context import POISON, Poisoned
from netdsl.elaborate.hints import feed
from netdsl.elaborate.lookup import lookup
from netdsl.elaborate.values import Function, Symbol, describe, shown
from netdsl.ir import TensorType, Value
from netdsl.limits import MAX_LOOP
from netdsl.primitives import Input
from netdsl.source import NetError, Note, brief, counted
from netdsl.syntax import tree

if TYPE_CHECKING:
    from netdsl.elaborate.expressions import ExpressionEvaluator

_Target = TypeVar("_Target", bound=tree.Expr)

#: the outputs of the net among its names: for each its value and whether it is there in training only
OUTPUTS = "outputs of the net"


def run(evaluator: ExpressionEvaluator, body: Sequence[tree.Statement]) -> Any:
    """The value of the last statement of a body, None when it has none, POISON after a mistake.

    Mistakes are collected in the context, so that several are reported in one go.
    """
    result: Any = None
    for statement in body:
        evaluator.context.budget.spend(1, statement.span)
        try:
            result = _RULES[type(statement)](evaluator, statement)
        except (NetError, Poisoned) as error:
            if isinstance(error, NetError):
                evaluator.context.problems.extend(error.diagnostics)
            _poison(evaluator, statement)
            result = POISON
    return result


def _poison(evaluator: ExpressionEvaluator, statement: tree.Statement) -> None:
    """Define every target of a broken statement as POISON."""
    for node in statement.walk():
        evaluator.context.budget.spend(1, statement.span)
        if isinstance(node, tree.Assign):
            for target in node.targets:
                root = target.value if isinstance(target, tree.Index) else target
                if isinstance(root, tree.Name):
                    evaluator.frame.variables[root.id] = POISON
        elif isinstance(node, (tree.Output, tree.Aux)):
            evaluator.frame.variables.update({name.id: POISON for name in node.names})
        elif isinstance(node, (tree.Layer, tree.Input)):
            evaluator.frame.variables[node.name.id] = POISON
            if isinstance(node, tree.Input):
                for dim in node.dims:
                    if dim.name is not None:
                        evaluator.frame.variables.setdefault(dim.name.id, POISON)


def _evaluate(evaluator: ExpressionEvaluator, s: tree.Evaluate) -> Any:
    value = evaluator.evaluate(s.value)
    if value is POISON:
        raise Poisoned
    return value


def _assign(evaluator: ExpressionEvaluator, s: tree.Assign) -> None:
    start = len(evaluator.context.builder.nodes)
    value = evaluator.evaluate(s.value)
    if value is POISON:
        raise Poisoned
    for target, item in _taken(evaluator, s.targets, value):
        name = _store(evaluator, target, item)
        evaluator.context.remember(evaluator.frame, name, item, start, target.span)


def _taken(
    evaluator: ExpressionEvaluator, names: Sequence[_Target], value: Any
) -> Iterable[tuple[_Target, Any]]:
    """Each target with its value: a single target gets the whole value, several get its parts; `_` drops a part."""
    parts = (value,) if len(names) == 1 else value
    if not isinstance(parts, (tuple, list)) or len(parts) != len(names):
        found, fix = describe(value), None
        if isinstance(parts, (tuple, list)):
            found = f"{len(parts)} {'tensors' if any(isinstance(v, Value) for v in parts) else 'values'}"
            fix = "`_` takes what is not needed" if len(parts) > len(names) else None
        elif isinstance(value, Value):
            fix = f"`-> split({len(names)})` cuts a tensor along its channels"
        span = names[0].span.to(names[-1].span)
        evaluator.context.fail("type", f"{counted(len(names), 'name')} cannot take {found}", span, fix=fix)
    return [
        (n, v) for n, v in zip(names, parts, strict=True) if not (isinstance(n, tree.Name) and n.id == "_")
    ]


def _store(evaluator: ExpressionEvaluator, target: tree.Name | tree.Index, value: Any) -> str:
    """Give a value its name; returns the name, `p[3]` of an indexed one."""
    variables = evaluator.frame.variables
    if isinstance(target, tree.Name):
        variables[target.id] = value
        return target.id
    assert isinstance(target.value, tree.Name)
    name, index = target.value.id, evaluator.index(target.index)
    evaluator.context.hold((value,), target.span)
    old = variables.get(name)
    if old is POISON:
        raise Poisoned
    if old is not None and not isinstance(old, dict):
        evaluator.context.fail("type", f"{name} is {describe(old)} and has no parts to assign", target.span)
    if old is None:
        variables[name] = {index: value}
    else:
        old[index] = value
    text = f"({', '.join(map(shown, index))})" if isinstance(index, tuple) else shown(index)
    return f"{name}[{brief(text)}]"


def _no_batch(evaluator: ExpressionEvaluator, s: tree.Input) -> None:
    """Fail for the axis of the batch, which other libraries leave open."""
    first = s.dims[0].size if s.dims else None
    if (
        first is None
        or first.span.text not in ("None", "none", "-1")
        or evaluator.frame.variables.get("None")
    ):
        return
    rest = ", ".join(dim.span.text for dim in s.dims[1:]) or "4"
    evaluator.context.fail(
        "type", "an input is one sample: the batch is left out", first.span, fix=f"[{rest}]"
    )


def _input(evaluator: ExpressionEvaluator, s: tree.Input) -> None:
    context, frame = evaluator.context, evaluator.frame
    shape = []
    _no_batch(evaluator, s)
    for dim in s.dims:
        fixed = frame.variables.get(f"set {dim.name.id}") if dim.name is not None else None
        if (
            fixed is None
            and isinstance(dim.size, tree.Name)
            and lookup(evaluator.frame, dim.size.id, dim.span) is None
        ):
            context.fail("name", f"the size {dim.size.id} has no value", dim.span, fix=f"{dim.size.id} = 224")
        size = fixed if fixed is not None else evaluator.setting(dim.size, "a size")
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            context.fail("type", f"a size is a positive integer, not {describe(size)}", dim.span)
        if dim.name is not None:
            frame.variables[dim.name.id] = size
        shape.append(size)
    if s.where is not None and not evaluator.condition(s.where, "where"):
        named = ", ".join(f"{d.name.id} = {n}" for d, n in zip(s.dims, shape, strict=True) if d.name)
        context.fail("assert", f"the input does not fit: {s.where.span.text}", s.where.span, named)
    t = TensorType((context.batch, *shape))
    context.check(t, s.span)
    name = context.claim(s.name.id, s.name.span)
    frame.variables[s.name.id] = context.builder.add1(Input(t), name=name, span=s.span)


def _output(evaluator: ExpressionEvaluator, s: tree.Output | tree.Aux) -> None:
    start = len(evaluator.context.builder.nodes)
    value = evaluator.evaluate(s.value)
    if value is POISON:
        raise Poisoned
    outputs = evaluator.frame.variables.setdefault(OUTPUTS, {})
    for name, item in _taken(evaluator, s.names, value):
        if not isinstance(item, Value):
            fix = feed(item, s.value.span.text)
            if isinstance(item, (tuple, list)) and len(s.names) == 1:
                fix = f"give each a name: {type(s).__name__.lower()} a, b = ..."
            evaluator.context.fail(
                "type", f"an output is a tensor, not {describe(item)}", s.value.span, fix=fix
            )
        if name.id in outputs:
            evaluator.context.fail("name", f"the output {name.id} is there already", name.span)
        outputs[name.id] = (item, isinstance(s, tree.Aux))
        evaluator.frame.variables[name.id] = item
        evaluator.context.remember(evaluator.frame, name.id, item, start, name.span)


def _layer(evaluator: ExpressionEvaluator, s: tree.Layer) -> None:
    value = evaluator.evaluate(s.value)
    if not isinstance(value, Function):
        found = describe(value)
        fix = "it is fed where it is used: layer name = conv(8, 3)" if isinstance(value, Value) else None
        evaluator.context.fail("type", f"a layer is an op or a block, not {found}", s.value.span, fix=fix)
    if s.name.id in evaluator.frame.layers:
        fix = "make it once, before the loop" if evaluator.frame.layers[s.name.id] == s.span else None
        note = Note("the first time is here", evaluator.frame.layers[s.name.id])
        evaluator.context.fail(
            "name", f"the layer {s.name.id} is made twice", s.name.span, notes=(note,), fix=fix
        )
    evaluator.frame.layers[s.name.id] = s.span
    if value.tags.name is not None:
        fix = f"layer {value.tags.name} = ..., or leave out @name"
        evaluator.context.fail("name", f"this layer is called {s.name.id} already", s.value.span, fix=fix)
    path = evaluator.context.claim(f"{evaluator.frame.path}{s.name.id}", s.name.span)
    evaluator.frame.variables[s.name.id] = Function(value, s.name.span, path=path)


def _assert(evaluator: ExpressionEvaluator, s: tree.Assert) -> None:
    if evaluator.condition(s.condition, "assert"):
        return
    label = ""
    if isinstance(s.condition, tree.Binary):
        sides = [evaluator.evaluate(x) for x in (s.condition.left, s.condition.right)]
        label = f"the left side is {side_text(sides[0])}, the right {side_text(sides[1])}"
    evaluator.context.fail("assert", f"this does not hold: {s.condition.span.text}", s.condition.span, label)


def side_text(value: Any) -> str:
    """A setting as the language writes it; the middle of a long one is left out."""
    if isinstance(value, (list, tuple)):
        return brief(f"[{', '.join(map(side_text, value))}]")
    if isinstance(value, int) and not isinstance(value, bool):
        return brief(f"{value:_}")
    return str(value) if isinstance(value, (float, Symbol)) else describe(value)


def _for(evaluator: ExpressionEvaluator, s: tree.For) -> Any:
    result: Any = None
    for item in _items(evaluator, s):
        evaluator.context.budget.spend(PER_TURN, s.span)
        evaluator.frame.variables.update({t.id: v for t, v in _taken(evaluator, s.targets, item)})
        result = run(evaluator, s.body)
        if result is POISON:
            raise Poisoned
    return result


def _items(evaluator: ExpressionEvaluator, s: tree.For) -> Sequence[Any]:
    context = evaluator.context
    if not isinstance(s.iterable, tree.Range):
        items = evaluator.setting(s.iterable, "for")
        if not isinstance(items, (list, tuple)):
            fix = {dict: "for i in 0..len({})", int: "for i in 0..{}"}.get(type(items))
            message = f"for takes a list or a range, not {describe(items)}"
            fix = fix and fix.format(s.iterable.span.text)
            context.fail("type", message, s.iterable.span, fix=fix)
        return items
    ends = [evaluator.setting(x, "a range") for x in (s.iterable.start, s.iterable.stop)]
    for value, e in zip(ends, (s.iterable.start, s.iterable.stop), strict=True):
        if isinstance(value, bool) or not isinstance(value, int):
            context.fail("type", f"a range goes between integers, not {describe(value)}", e.span)
    if ends[1] - ends[0] > MAX_LOOP:
        message = f"a loop of {ends[1] - ends[0]:_} turns; at most {MAX_LOOP:_} are allowed"
        context.fail("limit", message, s.iterable.span)
    return range(*ends)


def _if(evaluator: ExpressionEvaluator, s: tree.If) -> Any:
    chosen = s.body if evaluator.condition(s.condition, "if") else s.otherwise
    result = run(evaluator, chosen)
    if result is POISON:
        raise Poisoned
    return result


_RULES: dict[type[tree.Statement], Callable[[Any, Any], Any]] = {
    tree.Evaluate: _evaluate,
    tree.Assign: _assign,
    tree.Input: _input,
    tree.Output: _output,
    tree.Aux: _output,
    tree.Layer: _layer,
    tree.Assert: _assert,
    tree.For: _for,
    tree.If: _if,
}
