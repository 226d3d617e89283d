"""Expressions: names, numbers, operators, pipes, merges and tags, evaluated in a frame."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from netdsl import words
from netdsl.elaborate.arithmetic import TENSOR_OPS, apply_setting, is_number
from netdsl.elaborate.budget import ITEMS_PER_STEP, PER_TURN
from netdsl.elaborate.builtins import OF_SETTINGS, OF_SHAPES, SettingError
from netdsl.elaborate.context import POISON, Context, Frame, Poisoned, with_tags
from netdsl.elaborate.definitions import Definitions
from netdsl.elaborate.hints import OF_TENSORS, SETTINGS_OF_SHAPES, a_block, feed, foreign
from netdsl.elaborate.values import Call, Function, Symbol, Tags, Target, as_tuple, describe, shown
from netdsl.ir import Value
from netdsl.ir.types import FLOAT_MAX
from netdsl.limits import MAX_LOOP, MAX_NAME
from netdsl.ops import BY_NAME
from netdsl.source import Span, suggest
from netdsl.syntax import tree

if TYPE_CHECKING:
    from netdsl.elaborate.apply import Applier


_NAME = re.compile(rf"\w{{1,{MAX_NAME}}}")
_TAKES = {
    "name": f"1 to {MAX_NAME} letters, digits and _ in quotes",
    "lr": f"a number from 0 to {FLOAT_MAX:.2e}",
}


class Evaluator:
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
            tree.Pipe: self._pipe,
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
        if isinstance(value, (Value, Target)):
            self._tensor_as_setting(e.span, what)
        return value

    def condition(self, e: tree.Expr, what: str) -> bool:
        """A setting that must be true or false."""
        value = self.setting(e, what)
        if not isinstance(value, bool):
            self.context.fail("type", f"{what} takes true or false, not {describe(value)}", e.span)
        return value

    def _not_a_tensor(self, value: Any, span: Span, what: str) -> None:
        self._defined(value)
        self.context.fail(
            "type", f"{what} takes a tensor, not {describe(value)}", span, fix=feed(value, span.text)
        )

    def _tensor_as_setting(self, span: Span, what: str) -> None:
        message = f"{what} is computed while compiling and cannot depend on a tensor's values"
        self.context.fail("type", message, span, fix=OF_TENSORS.get(what, SETTINGS_OF_SHAPES))

    def _name(self, e: tree.Name) -> Any:
        """The value of a name; of an indexed one a copy, so that what is assigned later is not seen."""
        value = self._named(e)
        if isinstance(value, dict):
            self.context.budget.spend(len(value) // ITEMS_PER_STEP, e.span)
            return dict(value)
        if isinstance(value, Function) and value.path is not None:
            return replace(value, span=e.span)  # a shared layer: mistakes are where it is used
        return value

    def _named(self, e: tree.Name) -> Any:
        found = self.lookup(e.id, e.span)
        if found is not None or e.id in self.frame.variables:
            return found
        if self.frame.targets:
            return Target(e.id, e.span)
        if self.frame.symbols:
            return Symbol(e.id, e.span)
        return self.unknown(e.id, e.span)

    def lookup(self, name: str, span: Span) -> Any:
        """What a name stands for, or None."""
        if name in self.frame.variables:
            value = self.frame.variables[name]
            if value is POISON:
                raise Poisoned
            return value
        home = self.frame.home
        if name in home.blocks:
            block, where = home.block(name)
            return Function(block, span, home=where)
        if name in home.modules:
            return home.modules[name]
        if name in BY_NAME:
            return Function(BY_NAME[name], span)
        return None

    def unknown(self, name: str, span: Span, fed: bool = False) -> Any:
        """Fail for a name that is not defined, with the nearest one that is; ops, blocks and layers are `fed`."""
        home = self.frame.home
        variables = {k: v for k, v in self.frame.variables.items() if k.isidentifier()}
        if fed:
            known = {k for k, v in variables.items() if isinstance(v, Function)}
        else:
            known = {*variables, *OF_SHAPES, *OF_SETTINGS}
        known |= {*home.blocks, *home.modules, *BY_NAME}
        kind = "block" if name[:1].isupper() else "name"
        alike = [k for k in known if kind == "name" or k[:1].isupper()]
        value = words.value(name) if name not in BY_NAME else None
        fix = words.question(value) or foreign(name, home) or self.context.nearest(name, alike, span)
        return self.context.fail("name", f"no {kind} is called {name}", span, fix=fix)

    def _defined(self, value: Any) -> None:
        """Fail for what is only a name."""
        if isinstance(value, (Symbol, Target)):
            self.unknown(value.name if isinstance(value, Target) else str(value), value.span)

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
        self._defined(value)
        if not isinstance(value, Value) and not is_number(value):
            message = f"{operator} takes tensors and numbers, not {describe(value)}"
            self.context.fail("type", message, e.span, fix=feed(value, e.span.text))

    def _binary(self, e: tree.Binary) -> Any:
        if e.op in ("and", "or"):
            left = self.condition(e.left, e.op)
            return left if left == (e.op == "or") else self.condition(e.right, e.op)
        a, b = self.evaluate(e.left), self.evaluate(e.right)
        for value in (a, b):
            if isinstance(value, Target) or e.op not in ("==", "!="):
                self._defined(value)
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
        if not isinstance(value, (list, tuple)):
            fix = "slice, split and gather cut tensors" if isinstance(value, Value) else None
            self.context.fail("type", f"{describe(value)} has no items", e.span, fix=fix)
        if isinstance(index, bool) or not isinstance(index, int):
            self.context.fail("type", f"an index is an integer, not {describe(index)}", e.index.span)
        if not -len(value) <= index < len(value):
            self.context.fail("type", f"index {index} of a list of {len(value)}", e.index.span)
        return value[index]

    def index(self, e: tree.Expr) -> Any:
        """What stands in the brackets of an indexed name: a number, a text, or several of them."""
        index = self.setting(e, "an index")
        parts = index if isinstance(index, tuple) else (index,)
        if not parts or not all(isinstance(part, (int, float, str)) for part in parts):
            self.context.fail("type", f"{describe(index)} is no index", e.span)
        return index

    def _attribute(self, e: tree.Attribute) -> Any:
        self._of_a_library(e)
        value = self.evaluate(e.value)
        if isinstance(value, Definitions):
            if e.name.id in value.blocks:
                block, home = value.block(e.name.id)
                return Function(block, e.span, home=home)
            fix = self.context.nearest(e.name.id, value.blocks, e.span)
            self.context.fail("name", f"the import defines no block {e.name.id}", e.name.span, fix=fix)
        if isinstance(value, (Symbol, Target)) and self.frame.symbols:
            return Symbol(f"{value}.{e.name.id}", e.span)
        fix = (
            f"{e.value.span.text} -> {e.name.id}"
            if isinstance(value, Value) and e.name.id in BY_NAME
            else None
        )
        return self.context.fail("type", f"{describe(value)} has no parts", e.span, fix=fix)

    def _of_a_library(self, e: tree.Attribute) -> None:
        """Fail for `nn.Linear`, `F.relu` and the like."""
        root: tree.Expr = e
        while isinstance(root, tree.Attribute):
            root = root.value
        if not isinstance(root, tree.Name) or root.id not in words.MODULES:
            return
        if self.lookup(root.id, root.span) is None:
            library = words.OF_SECTIONS if self.frame.symbols else words.LIBRARY
            fix = foreign(e.name.id, self.frame.home) or library
            self.context.fail("name", f"no import is called {root.id}", root.span, fix=fix)

    def _tagged(self, e: tree.Tagged) -> Any:
        tags = self._tags(e.tags)
        with self.context.tagged(tags):
            called = isinstance(e.value, tree.Call)
            value = (
                self._call(e.value, tags.name) if isinstance(e.value, tree.Call) else self.evaluate(e.value)
            )
        if isinstance(value, Function):
            return replace(value, tags=with_tags(value.tags, tags))
        if tags.name is not None and not called:
            self._no_name(e.tags)
        if not all(isinstance(v, Value) for v in (value if isinstance(value, (tuple, list)) else (value,))):
            message = f"a tag stands behind a layer, a block or a flow, not {describe(value)}"
            self.context.fail("type", message, e.span)
        return value

    def _no_name(self, tags: tuple[tree.Tag, ...]) -> NoReturn:
        """Fail for a name behind what makes no layer of its own."""
        (span,) = (tag.span for tag in tags if tag.name.id == "name")
        fix = 'put it directly behind one of them: conv(8, 3) @name("fc7")'
        self.context.fail("type", "@name is for one op, block or merge", span, fix=fix)

    def _tags(self, tags: tuple[tree.Tag, ...]) -> Tags:
        result = Tags()
        for tag in tags:
            with self._symbols():
                values = [self.setting(a.value, "a tag") for a in tag.arguments]
            result = with_tags(result, self._tag(tag, values))
        return result

    def _tag(self, tag: tree.Tag, values: list[Any]) -> Tags:
        match tag.name.id, values:
            case "freeze", []:
                return Tags(freeze=True)
            case "lr", [x] if is_number(x) and 0 <= x <= FLOAT_MAX:
                return Tags(lr=float(x))
            case "name", [str(x)] if not isinstance(x, Symbol) and _NAME.fullmatch(x):
                return Tags(name=x)
        usage = {"freeze": "@freeze", "lr": "@lr(0.1)", "name": '@name("fc7")'}
        if tag.name.id in _TAKES and len(values) == 1:
            message = f"@{tag.name.id} takes {_TAKES[tag.name.id]}, not {shown(values[0])}"
            self.context.fail("type", message, tag.span, fix=f"a tag is written {usage[tag.name.id]}")
        if tag.name.id in usage:
            self.context.fail("type", f"a tag is written {usage[tag.name.id]}", tag.span)
        near = suggest(tag.name.id, usage)
        fix = f"did you mean @{near}?" if near else f"there are {', '.join(usage.values())}"
        return self.context.fail("name", f"no tag is called {tag.name.id}", tag.span, fix=fix)

    def _call(self, e: tree.Call, tag: str | None = None) -> Any:
        if isinstance(e.function, tree.Name) and self.lookup(e.function.id, e.span) is None:
            name = e.function.id
            if name in OF_SHAPES or name in OF_SETTINGS:
                return self._builtin(name, e, [self.evaluate(a.value) for a in e.arguments])
            if not self.frame.symbols:
                self.unknown(name, e.function.span)
        with self._symbols():
            args = [(a.name, self.evaluate(a.value), a.span) for a in e.arguments]
        self.context.hold([value for _, value, _ in args], e.span)
        function = self.evaluate(e.function)
        if isinstance(function, (Symbol, Target)):
            return self._symbolic(function, args, e.span)
        if getattr(function, "target", None) is BY_NAME["abs"] and not self._tensors(args):
            return self._builtin("abs", e, [value for _, value, _ in args])
        if not isinstance(function, Function):
            fix = a_block(function, e.function.span.text)
            self.context.fail("type", f"{describe(function)} cannot be called", e.function.span, fix=fix)
        if tag is not None:
            function = replace(function, tags=replace(function.tags, name=tag))
        return self.apply.call(function, args, e)

    @contextmanager
    def _symbols(self) -> Iterator[None]:
        saved = self.frame.symbols
        self.frame.symbols = True
        try:
            yield
        finally:
            self.frame.symbols = saved

    def _symbolic(self, function: Symbol | Target, args: list[tuple[Any, Any, Span]], span: Span) -> Any:
        """A call of a name that only an op or another room knows, such as `normal(0.02)` or `sgd(lr = 0.1)`."""
        name = function.name if isinstance(function, Target) else str(function)
        if isinstance(function, Target):
            self.unknown(name, function.span)
        positional = tuple(value for key, value, _ in args if key is None)
        named = {key.id: value for key, value, _ in args if key is not None}
        spans: dict[str | int, Span] = {key.id: place for key, _, place in args if key is not None}
        spans |= {k: place for k, (key, _, place) in enumerate(args) if key is None}
        return Call(name, positional, named, span, spans)

    def _tensors(self, args: list[tuple[Any, Any, Span]]) -> bool:
        """Whether tensors are among the arguments of `abs`, which is an op and a function of settings."""
        return any(isinstance(value, (Value, Target)) for _, value, _ in args)

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

    def _pipe(self, e: tree.Pipe) -> Any:
        value = self._head(e.head)
        for step in e.steps:
            value = self.step(value, step)
        return value

    def _head(self, e: tree.Expr) -> Any:
        """What a pipe feeds: a tensor, or those of a tuple, a list or an indexed name."""
        value = as_tuple(self.evaluate(e))
        self.context.hold(value, e.span)
        for v in value if isinstance(value, tuple) else (value,):
            if v is POISON:
                raise Poisoned
            if not isinstance(v, Value):
                self._not_a_tensor(v, e.span, "->")
        return value

    def step(self, value: Any, step: tree.Expr) -> Any:
        """Feed a value (a tensor, or a tuple of them) to one step of a pipe."""
        match step:
            case tree.Tagged(value=inner, tags=tags) if isinstance(inner, (tree.Merge, tree.Repeat)):
                given = self._tags(tags)
                with self.context.tagged(given):
                    if isinstance(inner, tree.Merge):
                        return self._merge(value, inner, given.name)
                    if given.name is not None:
                        self._no_name(tags)
                    return self._repeat(value, inner)
            case tree.Merge():
                return self._merge(value, step)
            case tree.Repeat():
                return self._repeat(value, step)
            case tree.Pipe():
                for inner in (step.head, *step.steps):
                    value = self.step(value, inner)
                return value
            case tree.Conditional():
                chosen = step.then if self.condition(step.condition, "if") else step.otherwise
                return self.step(value, chosen)
        function = self._step_function(step)
        data = value if isinstance(value, tuple) else (value,)
        return self.apply.apply(function, data)

    def _step_function(self, step: tree.Expr) -> Function:
        """What a step feeds."""
        called = step.function if isinstance(step, tree.Call) else step
        name = called.id if isinstance(called, tree.Name) else ""
        if (name in OF_SETTINGS or name in OF_SHAPES) and self.lookup(name, step.span) is None:
            fix = OF_TENSORS.get(f"{name}(...)")
            self.context.fail("type", f"{name} computes settings, -> feeds tensors", step.span, fix=fix)
        self._known(called)
        function = self.evaluate(step)
        if isinstance(function, Symbol):
            self._defined(function)
        if isinstance(function, Function):
            return function
        fix = a_block(function, step.span.text)
        if isinstance(function, Value) and called is not step:
            fix = f"it is fed in its parentheses already; several are fed as (a, b) -> {called.span.text}"
        return self.context.fail("type", f"-> feeds a function, not {describe(function)}", step.span, fix=fix)

    def _known(self, function: tree.Expr) -> None:
        """Fail for a name that nothing has, where only an op, a block or a layer can stand."""
        if not isinstance(function, tree.Name) or function.id in self.frame.variables:
            return
        if self.lookup(function.id, function.span) is None:
            self.unknown(function.id, function.span, fed=True)

    def _merge(self, value: Any, merge: tree.Merge, tag: str | None = None) -> Any:
        called = merge.function.function if isinstance(merge.function, tree.Call) else merge.function
        self._known(called)
        function = self.evaluate(merge.function)
        if not isinstance(function, Function):
            self.context.fail("type", f"{describe(function)} cannot merge branches", merge.function.span)
        if tag is not None:
            function = replace(function, tags=replace(function.tags, name=tag))
        results: list[Value] = []
        for branch in merge.branches:
            result = self._branch(value, branch)
            results.extend(result if isinstance(result, tuple) else (result,))
            self.context.hold(results, merge.span)
        return self.apply.apply(function, tuple(results), tuple(b.span for b in merge.branches), "branch")

    def _branch(self, value: Any, branch: tree.Expr) -> Any:
        if isinstance(branch, tree.In) or (
            isinstance(branch, tree.Pipe) and isinstance(branch.head, tree.In)
        ):
            return self.evaluate(branch)
        return self.step(value, branch)

    def _repeat(self, value: Any, repeat: tree.Repeat) -> Any:
        count = self.setting(repeat.count, "repeat")
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_LOOP:
            message = f"repeat takes a count from 0 to {MAX_LOOP:_}, not {describe(count)}"
            self.context.fail("type", message, repeat.count.span)
        for _ in range(count):
            self.context.budget.spend(PER_TURN, repeat.span)
            value = self.apply.body(self, repeat, value)
        return value
