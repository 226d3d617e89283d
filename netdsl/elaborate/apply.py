"""Apply functions to tensors: ops, blocks and shared layers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, NoReturn

from netdsl import words
from netdsl.elaborate.arithmetic import TENSOR_OPS, is_number
from netdsl.elaborate.builtins import OF_SHAPES
from netdsl.elaborate.context import POISON, Context, Frame, Poisoned, snake
from netdsl.elaborate.definitions import Definitions
from netdsl.elaborate.expressions import ExpressionEvaluator
from netdsl.elaborate.hints import channels_last, fitting, one_of, required, usage
from netdsl.elaborate.lookup import unknown
from netdsl.elaborate.statements import run
from netdsl.elaborate.values import CallValue, Function, Symbol, Tags, TargetName, Tensors, as_tuple, describe
from netdsl.ir import Scope, ShapeError, TensorType, Value
from netdsl.ir.types import FLOAT_MAX
from netdsl.ops import BY_NAME
from netdsl.ops.base import LibraryOp
from netdsl.ops.choose import called, chooses
from netdsl.primitives import Const, Input, Param
from netdsl.primitives.leaf import learns
from netdsl.source import Note, Span, counted, suggest
from netdsl.syntax import tree

Arguments = list[tuple[Any, Any, Span]]
_OPERANDS = (Value, TargetName)
_USE = 500  # characters of a use that are shown


class Applier:
    """Applies functions within one body."""

    def __init__(self, context: Context, frame: Frame) -> None:
        self.context = context
        self.frame = frame

    def call(self, function: Function, args: Arguments, e: tree.Call) -> Any:
        """A call: with leading tensors it is applied, else it is the function with settings."""
        self.context.budget.spend(len(function.args) + len(function.named), e.span)
        leading, spans, rest = self._leading(function, args)
        named = {key.id: value for key, value, _ in rest if key is not None}
        positional = tuple(value for key, value, _ in rest if key is None)
        places: dict[str | int, Span] = {key.id: span for key, _, span in rest if key is not None}
        places |= {k: span for k, (key, _, span) in enumerate(rest) if key is None}
        configured = replace(
            function,
            span=e.span if not spans else e.function.span,
            args=function.args + positional,
            named={**function.named, **named},
            spans={**function.spans, **places},
        )
        for _, value, span in rest:
            self._no_tensor(function, value, span)
        if not leading:
            return configured
        return self.apply(configured, self._targets(configured, leading), tuple(spans))

    def _no_tensor(self, function: Function, value: Any, span: Span) -> None:
        """Fail for a tensor, or several, among the settings."""
        if isinstance(value, Value):
            message = f"a setting of {function.name} cannot depend on a tensor's values"
            self.context.fail("type", message, span, fix="tensors come first, or through `->`")
        if one_of(value, "") is not None:
            fix = f"{span.text} -> {function.name}, or {function.name}(a, b)"
            self.context.fail("type", f"a setting of {function.name} is not {describe(value)}", span, fix=fix)

    def _leading(self, function: Function, args: Arguments) -> tuple[list[Any], list[Span], Arguments]:
        """Leading tensors, with the numbers among them where the op takes numbers; their places; the rest."""
        fed = any(key is None and isinstance(value, _OPERANDS) for key, value, _ in args)
        numbers = fed and getattr(function.target, "numbers", False)
        leading: list[Any] = []
        for key, value, span in args:
            if numbers and key is None and is_number(value):
                leading.append(self._constant(value, span))
            elif key is None and isinstance(value, _OPERANDS):
                leading.append(value)
            else:
                break
        count = len(leading)
        return leading, [span for _, _, span in args[:count]], args[count:]

    def _targets(self, function: Function, data: Sequence[Any]) -> Tensors:
        """Make inputs for the labels that a loss names for the first time."""
        if getattr(function.target, "takes_weights", False):
            return self._weights(function, data)
        rule = getattr(function.target, "target", None)
        if getattr(function.target, "takes_labels", False):
            data = tuple(self._labels(v) if isinstance(v, TargetName) else v for v in data)
        values: list[Value] = []
        for k, v in enumerate(data):
            if not isinstance(v, TargetName):
                values.append(v)
                continue
            if k == 0 and rule is not None and len(data) > 1 and isinstance(data[1], Value):
                message = f"{function.name} takes the prediction first, then the label; {v.name} is no tensor"
                self.context.fail("name", message, v.span, fix=f"{function.name}(prediction, {v.name})")
            if k == 0 or rule is None:
                return tuple(unknown(self.context, self.frame, v.name, v.span))
            prediction = self.context.builder.type(values[0])
            t = rule(prediction) if k == 1 else TensorType(prediction.shape[:1])
            name = self.context.claim(v.name, v.span)
            value = self.context.builder.add1(Input(t), name=name, span=v.span)
            self.frame.variables[v.name] = value
            values.append(value)
        return tuple(values)

    def _labels(self, target: TargetName) -> Value:
        """The input for a label per sample that nothing has named before."""
        batch = next(n.types[0].shape[0] for n in self.context.builder.nodes.values() if n.op.name == "input")
        name = self.context.claim(target.name, target.span)
        value = self.context.builder.add1(Input(TensorType((batch,), "i64")), name=name, span=target.span)
        self.frame.variables[target.name] = value
        return value

    def _weights(self, function: Function, data: Sequence[Any]) -> Tensors:
        """The weights that a penalty sums: those that are trained and decay, or those that its pattern names."""
        if [v.name for v in data if isinstance(v, TargetName)] != ["weights"] or len(data) > 1:
            fix = f'{function.name}(weights), or {function.name}(weights, "conv1")'
            self.context.fail("type", f"{function.name} sums weights alone", function.span, fix=fix)
        of = function.named.get("of", function.args[0] if function.args else None)
        nodes = self.context.builder.nodes.values()
        leaves = {n.id: n.op for n in nodes if learns(n.op)}
        found = [name for name, op in leaves.items() if _counts(name, op, of)]
        if not found:
            place = function.spans.get("of", function.spans.get(0, function.span))
            known = {*leaves, *(name.rpartition(".")[0] for name in leaves)}
            near = None if of is None else self.context.nearest(str(of), known, place)
            message = "no weight here decays" if of is None else f"no weight that learns is called {of}"
            self.context.fail("name", message, place, fix=near)
        return tuple(map(Value, found))

    def apply(
        self, function: Function, data: Tensors, spans: tuple[Span, ...] = (), word: str = "operand"
    ) -> Any:
        """The result of feeding `data` to a function; `spans` are the places of the operands, `word` their name."""
        with self.context.tagged(function.tags):
            if isinstance(function.target, Function):
                return self._shared(function, data, spans)
            if isinstance(function.target, tree.Block):
                path = self.context.path(
                    self.frame, snake(function.target.name.id), function.tags, function.span
                )
                return self._block(function, function.target, data, path)
            path = self.context.path(self.frame, function.target.name, function.tags, function.span)
            return self._op(function, function.target, data, path, spans, word)

    def _shared(self, function: Function, data: Tensors, spans: tuple[Span, ...]) -> Any:
        inner = function.target
        assert isinstance(inner, Function) and function.path is not None
        for given, what in ((function.args or function.named, "settings"), (function.tags != Tags(), "tags")):
            if given:
                message = f"the {what} of a layer are given once, where it is made"
                self.context.fail("type", message, function.span)
        if function.tags != Tags():
            self.context.fail("type", "the tags of a layer are given once, where it is made", function.span)
        with self.context.tagged(inner.tags), self.context.use(function.path) as path:
            if isinstance(inner.target, tree.Block):
                return self._block(inner, inner.target, data, path)
            assert not isinstance(inner.target, Function)
            # A mistake is where the layer is used; where it is made is the same place for all uses.
            return self._op(replace(inner, span=function.span), inner.target, data, path, spans)

    def _op(
        self,
        f: Function,
        op: type[LibraryOp],
        data: Tensors,
        path: str,
        spans: tuple[Span, ...],
        word: str = "operand",
    ) -> Any:
        where = _name_span(f)
        for k, v in enumerate(f.args if op.numbers else ()):
            if not is_number(v):
                message = f"{op.name} takes tensors and numbers, not {describe(v)}"
                self.context.fail("type", message, f.spans.get(k, where))
        if op.numbers:
            places = (f.spans.get(k, f.span) for k in range(len(f.args)))
            data = (*data, *(self._constant(v, span) for v, span in zip(f.args, places, strict=True)))
            f = replace(f, args=())
        if op.operands is not None and len(data) != op.operands:
            count = counted(op.operands, "tensor")
            fix = "x[0] is one of several, concat joins them" if len(data) > op.operands == 1 else None
            self.context.fail("type", f"{op.name} takes {count}, not {len(data)}", where, fix=fix)
        try:
            made = op.make([_plain(a) for a in f.args], {k: _plain(v) for k, v in f.named.items()})
            results = self.context.add(made, data, path, where)
        except ShapeError as error:
            self._shape_error(error, f, op, data, spans, word)
        return results[0] if len(results) == 1 else results

    def _shape_error(
        self,
        error: ShapeError,
        f: Function,
        op: type[LibraryOp],
        data: Tensors,
        spans: tuple[Span, ...],
        word: str,
    ) -> None:
        if error.setting is not None or len(f.args) > len(op.positional):
            self._setting_error(error, f, op, spans)
        where, notes, fix = _name_span(f), [], error.hint
        k = error.operand
        if k is not None and k < len(data):
            fix = fitting(fix, self.context.builder.nodes, data[k])
            if "does not fit into" in error.message:
                fix = channels_last(self.context.builder.nodes, data[k]) or fix
            shape = list(self.context.builder.type(data[k]).shape[1:])
            if self.context.builder.type(data[k]).dtype == "bool":
                fix = fix or "where(condition, 1, 0) makes numbers of it"
            if k < len(spans) and len(spans) > 1:
                notes.append(Note(f"{word} {k + 1} is here", spans[k], f"{shape}"))
            else:
                node = self.context.builder.nodes[data[k].node]
                notes.append(Note(f"the operand {shape} comes from here", node.span))
        self.context.fail("shape", error.message, where, notes=tuple(notes), fix=fix)

    def _setting_error(
        self, error: ShapeError, f: Function, op: type[LibraryOp], spans: tuple[Span, ...]
    ) -> NoReturn:
        name, named = str(error.setting), f.named
        at: str | int = name if name in named or name not in op.positional else op.positional.index(name)
        if error.setting is None:
            at = len(op.positional)
        value = f.args[at] if isinstance(at, int) and at < len(f.args) else named.get(name)
        fix = error.hint or self._setting_fix(error, value, op)
        if (
            isinstance(value, float)
            and "integer" in error.message
            and at in f.spans
            and "/" in f.spans[at].text
        ):
            fix = "`//` divides whole numbers: 10 // 4 is 2"
        if at not in f.spans and name in required(op):
            fix = f"{spans[0].text} -> {usage(op)}" if spans else usage(op)
        self.context.fail("setting", error.message, f.spans.get(at, _name_span(f)), fix=fix)

    def _setting_fix(self, error: ShapeError, value: Any, op: type[LibraryOp]) -> str | None:
        name = str(error.setting)
        if error.setting is None:
            return None
        settings = [f.name for f in fields(op)]
        if name not in settings:
            near = words.setting(name, settings) or suggest(name, settings)
            return words.question(near) or _settings_are(settings)
        if isinstance(value, Symbol) and words.value(value):
            return words.question(words.value(value))
        if isinstance(value, Symbol):
            # The message already lists the valid values: "pad must be one of same, valid, ..."
            offered = {*re.findall(r"\w+", error.message), *self.frame.variables} - {str(value), name}
            near = f"did you mean {value}(x)?" if value in OF_SHAPES else None
            near = near or self.context.nearest(str(value), offered, value.span)
            return near or f"nothing here is called {value}"
        return None

    def _block(self, f: Function, block: tree.Block, data: Tensors, path: str) -> Any:
        assert f.home is not None
        inputs = [name.id for name in block.inputs] or ["in"]
        if len(data) != len(inputs):
            tensors = counted(len(inputs), "tensor")
            message = f"{block.name.id} takes {tensors} ({', '.join(inputs)}), not {len(data)}"
            fix = f"({', '.join(inputs)}) -> {_use_text(f)}" if len(inputs) > 1 else None
            notes = (Note("it is defined here", block.name.span),)
            self.context.fail("type", message, f.span, notes=notes, fix=fix)
        fed = dict(zip(inputs, data, strict=True))
        frame = Frame(f.home, f"{path}.")
        if block.inputs:
            frame.variables.update(fed)
        else:
            frame.input = data[0]
        given = self._given(f, block)
        with self.context.inside(path, Scope(block.name.id, _use_text(f), f.span, fed)):
            applier = Applier(self.context, frame)
            evaluator = ExpressionEvaluator(self.context, frame, applier)
            self._bind(evaluator, given, block)
            result = run(evaluator, block.body)
            return self._result(result, block.body, f"the block {block.name.id}", block.name.span)

    def _given(self, f: Function, block: tree.Block) -> dict[str, Any]:
        """The settings given at the use of a block."""
        self.context.budget.spend(len(block.params), f.span)
        names = {p.name.id: p for p in block.params}
        usage = f"{block.name.id}({', '.join(names)})" if names else block.name.id
        note = (Note("it is defined here", block.name.span),)
        if len(f.args) > len(names):
            count = counted(len(names), "setting")
            message = f"{block.name.id} takes {count}, not {len(f.args)}"
            self.context.fail("setting", message, f.spans.get(len(names), f.span), notes=note, fix=usage)
        given = dict(zip(names, f.args, strict=False))
        for key, value in f.named.items():
            place = f.spans.get(key, f.span)
            if key not in names:
                near = self.context.nearest(key, names, place)
                fix = near or _settings_are(names)
                self.context.fail("setting", f"{block.name.id} has no setting {key}", place, fix=fix)
            if key in given:
                self.context.fail("setting", f"{block.name.id} got {key} twice", place)
            given[key] = value
        for param in block.params:
            if param.name.id not in given and param.default is None:
                message = f"{block.name.id} needs the setting {param.name.id}"
                self.context.fail("setting", message, f.span, notes=note, fix=usage)
        return given

    def _bind(self, evaluator: ExpressionEvaluator, given: Mapping[str, Any], block: tree.Block) -> None:
        """Give the block its settings: those of the use, then its defaults."""
        evaluator.frame.variables.update(given)
        for param in block.params:
            if param.name.id not in given and param.default is not None:
                evaluator.frame.symbols = True
                evaluator.frame.variables[param.name.id] = evaluator.setting(param.default, "a setting")
                evaluator.frame.symbols = False

    def _result(self, result: Any, body: Sequence[tree.Statement], what: str, span: Span) -> Any:
        """The result of a body: a tensor or a tuple of tensors."""
        if result is POISON:
            raise Poisoned
        if result is None:
            fix = "it ends with what it gives, such as in -> relu"
            self.context.fail("type", f"{what} has no result", span, fix=fix)
        given = as_tuple(result)
        self.context.hold(given, span)
        for value in given if isinstance(given, tuple) else (given,):
            if value is POISON:
                raise Poisoned
            if not isinstance(value, Value):
                last = body[-1].span
                hint = f"in -> {last.text}" if isinstance(value, Function) else None
                self.context.fail("type", f"{what} gives {describe(value)}, not a tensor", last, fix=hint)
        return given

    def body(self, evaluator: ExpressionEvaluator, repeat: tree.Repeat, value: Any) -> Any:
        """One turn of a repeat."""
        saved = self.frame.input
        self.frame.input = value
        try:
            result = run(evaluator, repeat.body)
            return self._result(result, repeat.body, "the body of repeat", repeat.span)
        finally:
            self.frame.input = saved

    def arithmetic(self, operator: str, a: Any, b: Any, span: Span) -> Value:
        """`a + b` and the like, where one side may be a number."""
        values = [v if isinstance(v, Value) else self._constant(v, span) for v in (a, b)]
        f = Function(BY_NAME[TENSOR_OPS[operator]], span)
        result = self.apply(f, tuple(values))
        assert isinstance(result, Value)
        return result

    def _constant(self, value: float, span: Span) -> Value:
        """A number as a tensor."""
        if not abs(value) <= FLOAT_MAX:
            self.context.fail("type", f"a tensor holds numbers up to {FLOAT_MAX:.2e}", span)
        return self.context.builder.add1(Const(float(value)), name=f"{self.frame.path}const", span=span)


def _counts(name: str, weight: Param, of: Any) -> bool:
    """Whether a penalty takes a weight: its layer's name fits and it decays, or its own name fits."""
    if of is None:
        return weight.decay
    return called(name, str(of)) or (weight.decay and chooses(str(of), name))


def _plain(value: Any) -> Any:
    """A setting as ops take it: `normal(0.02)` is text, `relu` as a value its name."""
    if isinstance(value, CallValue):
        return f"{value.name}({', '.join(map(repr, value.args))})"
    if isinstance(value, Function):
        return value.name
    if isinstance(value, (list, tuple)):
        return tuple(_plain(v) for v in value)
    return value if not isinstance(value, (dict, Definitions)) else describe(value)


def _name_span(f: Function) -> Span:
    """The name of the op, without its settings."""
    name = f.name
    if f.span.source.text.startswith(name, f.span.start):
        return Span(f.span.source, f.span.start, f.span.start + len(name))
    return f.span


def _use_text(f: Function) -> str:
    text = " ".join(f.span.source.text[f.span.start : min(f.span.end, f.span.start + _USE)].split())
    return text if len(text) <= 60 else text[:57] + "..."


def _settings_are(names: Iterable[str]) -> str:
    found = ", ".join(names)
    return f"its settings are {found}" if found else "it has no settings"
