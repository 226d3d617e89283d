"""Expressions: names, numbers, operators, calls and items, evaluated in a frame; flows are in `flows`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from netdsl.elaborate.arithmetic import TENSOR_OPS, apply_setting, is_number
from netdsl.elaborate.budget import ITEMS_PER_STEP
from netdsl.elaborate.builtins import OF_SETTINGS, OF_SHAPES, SettingError
from netdsl.elaborate.context import POISON, Context, Frame, Poisoned, with_tags
from netdsl.elaborate.definitions import Definitions
from netdsl.elaborate.flows import pipe
from netdsl.elaborate.hints import OF_TENSORS, SETTINGS_OF_SHAPES, a_block, feed
from netdsl.elaborate.lookup import lookup, need_defined, no_library, unknown
from netdsl.elaborate.tags import no_name, tags_of
from netdsl.elaborate.values import CallValue, Function, Symbol, TargetName, describe
from netdsl.ir import Value
from netdsl.ops import BY_NAME
from netdsl.source import Span
from netdsl.syntax import tree

if TYPE_CHECKING:
    from netdsl.elaborate.apply import Applier


class ExpressionEvaluator:
    """Evaluates the expressions of one body; `apply` feeds tensors to functions."""

    def __init__(self, context: Context, frame: Frame, applier: Applier) -> None:
        self.context = context
        self.frame = frame
        self.apply = applier
        self._rules: dict[type[tree.Expr], Callable[[Any], Any]] = {
            tree.Name: self._name,
            tree.In: self._in,
            tree.Constant: lambda e: e.value,
            tree.List: self._list,
            tree.Tuple: lambda e: tuple(self._list(e)),
            tree.Unary: self._unary,
            tree.Binary: self._binary,
            tree.Conditional: self._conditional,
            tree.Call: self._call,
            tree.Index: self._index,
            tree.Attribute: self._attribute,
            tree.Tagged: self._tagged,
            tree.Pipe: lambda e: pipe(self, e),
            tree.Merge: lambda e: self.context.fail(
                "syntax", "a merge stands behind `->`", e.function.span, fix="in -> add { | ... | ... }"
            ),
            tree.Repeat: lambda e: self.context.fail("syntax", "repeat stands behind `->`", e.span),
        }

    def evaluate(self, e: tree.Expr) -> Any:
        """The value of an expression; raises NetError, Poisoned or Exhausted."""
        self.context.budget.spend(1, e.span)
        return self._rules[type(e)](e)

    def _list(self, e: tree.List | tree.Tuple) -> list[Any]:
        items = [self.evaluate(x) for x in e.items]
        self.context.hold(items, e.span)
        return items

    def setting(self, e: tree.Expr, what: str) -> Any:
        """The value of an expression that must not be a tensor."""
        value = self.evaluate(e)
        if isinstance(value, (Value, TargetName)):
            self._tensor_as_setting(e.span, what)
        return value

    def condition(self, e: tree.Expr, what: str) -> bool:
        """A setting that must be true or false."""
        value = self.setting(e, what)
        if not isinstance(value, bool):
            self.context.fail("type", f"{what} takes true or false, not {describe(value)}", e.span)
        return value

    def not_a_tensor(self, value: Any, span: Span, what: str) -> None:
        """Fail for a value where only a tensor can be."""
        need_defined(self.context, self.frame, value)
        self.context.fail(
            "type", f"{what} takes a tensor, not {describe(value)}", span, fix=feed(value, span.text)
        )

    def _tensor_as_setting(self, span: Span, what: str) -> None:
        message = f"{what} is computed while compiling and cannot depend on a tensor's values"
        self.context.fail("type", message, span, fix=OF_TENSORS.get(what, SETTINGS_OF_SHAPES))

    def _name(self, e: tree.Name) -> Any:
        """The value of a name; an indexed name is copied, so that later assignments do not change the value."""
        value = self._named(e)
        if isinstance(value, dict):
            self.context.budget.spend(len(value) // ITEMS_PER_STEP, e.span)
            return dict(value)
        if isinstance(value, Function) and value.path is not None:
            return replace(value, span=e.span)  # a shared layer: mistakes are where it is used
        return value

    def _named(self, e: tree.Name) -> Any:
        found = lookup(self.frame, e.id, e.span)
        if found is not None or e.id in self.frame.variables:
            return found
        if self.frame.targets:
            return TargetName(e.id, e.span)
        if self.frame.symbols:
            return Symbol(e.id, e.span)
        return unknown(self.context, self.frame, e.id, e.span)

    def _in(self, e: tree.In) -> Any:
        value = self.frame.input
        if value is POISON:
            raise Poisoned
        if value is None:
            self.context.fail("name", "there is no `in` here: the inputs have names of their own", e.span)
        return value

    def _unary(self, e: tree.Unary) -> Any:
        if e.op == "not":
            return not self.condition(e.operand, "not")
        value = self.evaluate(e.operand)
        if isinstance(value, Value):
            return self.apply.arithmetic("*", value, -1, e.span)
        self._operand("-", value, e.operand)
        return -value

    def _operand(self, operator: str, value: Any, e: tree.Expr) -> None:
        """Fail for an operand that is neither a tensor nor a number."""
        need_defined(self.context, self.frame, value)
        if not isinstance(value, Value) and not is_number(value):
            message = f"{operator} takes tensors and numbers, not {describe(value)}"
            self.context.fail("type", message, e.span, fix=feed(value, e.span.text))

    def _binary(self, e: tree.Binary) -> Any:
        if e.op in ("and", "or"):
            left = self.condition(e.left, e.op)
            return left if left == (e.op == "or") else self.condition(e.right, e.op)
        a, b = self.evaluate(e.left), self.evaluate(e.right)
        for value in (a, b):
            if isinstance(value, TargetName) or e.op not in ("==", "!="):
                need_defined(self.context, self.frame, value, e)
        if isinstance(a, Value) or isinstance(b, Value):
            return self._tensor_binary(e, a, b)
        return self.operate(e, a, b)

    def operate(self, e: tree.Binary, a: Any, b: Any) -> Any:
        """`a op b` for two settings."""
        if not (is_number(a) and is_number(b)):
            self.context.hold((a, b), e.span)
        try:
            return apply_setting(e.op, a, b)
        except SettingError as error:
            for value, side in ((a, e.left), (b, e.right)):
                if feed(value, "") is not None:
                    self._operand(e.op, value, side)
            return self.context.fail("type", f"{e.op} {error}", e.span)

    def _tensor_binary(self, e: tree.Binary, a: Any, b: Any) -> Value:
        if e.op not in TENSOR_OPS:
            self._tensor_as_setting(e.span, f"the operator {e.op}")
        self._operand(e.op, a, e.left)
        self._operand(e.op, b, e.right)
        return self.apply.arithmetic(e.op, a, b, e.span)

    def _conditional(self, e: tree.Conditional) -> Any:
        return self.evaluate(e.then if self.condition(e.condition, "if") else e.otherwise)

    def _index(self, e: tree.Index) -> Any:
        value = self._named(e.value) if isinstance(e.value, tree.Name) else self.evaluate(e.value)
        index = self.index(e.index)
        if isinstance(value, dict):
            if index not in value:
                known = ", ".join(map(str, list(value)[:8]))
                self.context.fail("name", f"no [{index}] was assigned", e.span, f"there are [{known}]")
            if value[index] is POISON:
                raise Poisoned
            return value[index]
        need_defined(self.context, self.frame, value)
        if isinstance(value, Value) and self.frame.cells:
            return self._cell(value, index, e)
        if not isinstance(value, (list, tuple)):
            fix = "slice, split and gather cut tensors" if isinstance(value, Value) else None
            self.context.fail("type", f"{describe(value)} has no items", e.span, fix=fix)
        if isinstance(index, bool) or not isinstance(index, int):
            self.context.fail("type", f"an index is an integer, not {describe(index)}", e.index.span)
        if not -len(value) <= index < len(value):
            self.context.fail("type", f"index {index} of a list of {len(value)}", e.index.span)
        return value[index]

    def _cell(self, value: Value, index: Any, e: tree.Index) -> Value:
        """The channel of an index, or the cell of as many as a sample has axes, as slices of size 1."""
        rank = self.context.builder.type(value).rank
        places = index if isinstance(index, tuple) else (index,)
        if not all(type(place) is int for place in places) or len(places) not in (1, rank - 1):
            wanted = "one whole number" if rank < 3 else f"one whole number, a channel, or {rank - 1}, a cell"
            self.context.fail("type", f"the index of this tensor is {wanted}", e.index.span)
        for axis, place in enumerate(places, rank - 1 - len(places)):
            size = self.context.builder.type(value).shape[axis + 1]
            if not -size <= place < size:
                self.context.fail("type", f"index {place} of {size} elements", e.index.span)
            start = place % size
            named = {"start": start, "stop": start + 1, "axis": axis}
            value = self.apply.apply(Function(BY_NAME["slice"], e.span, named=named), (value,))
        return value

    def index(self, e: tree.Expr) -> Any:
        """The index of an indexed name: a number, a text, or several of them."""
        index = self.setting(e, "an index")
        parts = index if isinstance(index, tuple) else (index,)
        if not parts or not all(isinstance(part, (int, float, str)) for part in parts):
            self.context.fail("type", f"{describe(index)} is no index", e.span)
        return index

    def _attribute(self, e: tree.Attribute) -> Any:
        no_library(self.context, self.frame, e)
        value = self.evaluate(e.value)
        if isinstance(value, Definitions):
            if e.name.id in value.blocks:
                block, home = value.block(e.name.id)
                return Function(block, e.span, home=home)
            fix = self.context.nearest(e.name.id, value.blocks, e.span)
            self.context.fail("name", f"the import defines no block {e.name.id}", e.name.span, fix=fix)
        if isinstance(value, (Symbol, TargetName)) and self.frame.symbols:
            return Symbol(f"{value}.{e.name.id}", e.span)
        fix = (
            f"{e.value.span.text} -> {e.name.id}"
            if isinstance(value, Value) and e.name.id in BY_NAME
            else None
        )
        return self.context.fail("type", f"{describe(value)} has no parts", e.span, fix=fix)

    def _tagged(self, e: tree.Tagged) -> Any:
        tags = tags_of(self, e.tags)
        with self.context.tagged(tags):
            called = isinstance(e.value, tree.Call)
            value = (
                self._call(e.value, tags.name) if isinstance(e.value, tree.Call) else self.evaluate(e.value)
            )
        if isinstance(value, Function):
            return replace(value, tags=with_tags(value.tags, tags))
        if tags.name is not None and not called:
            no_name(self.context, e.tags)
        if not all(isinstance(v, Value) for v in (value if isinstance(value, (tuple, list)) else (value,))):
            message = f"a tag stands behind a layer, a block or a flow, not {describe(value)}"
            self.context.fail("type", message, e.span)
        return value

    def _call(self, e: tree.Call, tag: str | None = None) -> Any:
        if isinstance(e.function, tree.Name) and lookup(self.frame, e.function.id, e.span) is None:
            name = e.function.id
            if name in OF_SHAPES or name in OF_SETTINGS:
                return self._builtin(name, e, [self.evaluate(a.value) for a in e.arguments])
            if not self.frame.symbols:
                unknown(self.context, self.frame, name, e.function.span)
        with self.symbols():
            args = [(a.name, self._argument(a), a.span) for a in e.arguments]
        self.context.hold([value for _, value, _ in args], e.span)
        function = self.evaluate(e.function)
        if isinstance(function, (Symbol, TargetName)):
            return self._symbolic(function, args, e.span)
        if getattr(function, "target", None) is BY_NAME["abs"] and not self._tensors(args):
            return self._builtin("abs", e, [value for _, value, _ in args])
        if not isinstance(function, Function):
            fix = a_block(function, e.function.span.text)
            self.context.fail("type", f"{describe(function)} cannot be called", e.function.span, fix=fix)
        if tag is not None:
            function = replace(function, tags=replace(function.tags, name=tag))
        return self.apply.call(function, args, e)

    def _argument(self, a: tree.Argument) -> Any:
        """The value of an argument; of a setting no name is a label: `f1(y, label, average = macro)`."""
        saved = self.frame.targets
        self.frame.targets = saved and a.name is None
        try:
            return self.evaluate(a.value)
        finally:
            self.frame.targets = saved

    @contextmanager
    def symbols(self) -> Iterator[None]:
        """Within the context, unknown names are symbols."""
        saved = self.frame.symbols
        self.frame.symbols = True
        try:
            yield
        finally:
            self.frame.symbols = saved

    def _symbolic(self, function: Symbol | TargetName, args: list[tuple[Any, Any, Span]], span: Span) -> Any:
        """A call of a name that only an op or another room knows, such as `normal(0.02)` or `sgd(lr = 0.1)`."""
        name = function.name if isinstance(function, TargetName) else str(function)
        if isinstance(function, TargetName):
            unknown(self.context, self.frame, name, function.span)
        positional = tuple(value for key, value, _ in args if key is None)
        named = {key.id: value for key, value, _ in args if key is not None}
        spans: dict[str | int, Span] = {key.id: place for key, _, place in args if key is not None}
        spans |= {k: place for k, (key, _, place) in enumerate(args) if key is None}
        return CallValue(name, positional, named, span, spans)

    def _tensors(self, args: list[tuple[Any, Any, Span]]) -> bool:
        """Whether an argument is a tensor: `abs` is both an op and a function of settings."""
        return any(isinstance(value, (Value, TargetName)) for _, value, _ in args)

    def _builtin(self, name: str, e: tree.Call, values: list[Any]) -> Any:
        self.context.hold(values, e.span)
        if any(a.name is not None for a in e.arguments):
            self.context.fail("type", f"{name} takes no settings by name", e.span)
        try:
            if name in OF_SETTINGS:
                for value, a in zip(values, e.arguments, strict=True):
                    if isinstance(value, Value):
                        self._tensor_as_setting(a.value.span, f"{name}(...)")
                result = OF_SETTINGS[name](*values)
                self.context.hold(result, e.span)
                return result
            if len(values) != 1 or not isinstance(values[0], Value):
                raise SettingError("takes one tensor")
            return OF_SHAPES[name](self.context.builder.type(values[0]))
        except SettingError as error:
            return self.context.fail("type", f"{name} {error}", e.span)
