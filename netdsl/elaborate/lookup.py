"""What names stand for: variables, blocks, imports and ops."""

from __future__ import annotations

import re
from typing import Any

from netdsl import words
from netdsl.elaborate.builtins import OF_SETTINGS, OF_SHAPES
from netdsl.elaborate.context import POISON, Context, Frame, Poisoned
from netdsl.elaborate.hints import foreign
from netdsl.elaborate.values import Function, Symbol, TargetName
from netdsl.ops import BY_NAME
from netdsl.source import Span
from netdsl.syntax import tree

_PATH = re.compile(r"[\w.-]+(/[\w.-]+)+")
_DASHES = re.compile(r"[A-Za-z]\w*(-[A-Za-z]\w*)+")


def lookup(frame: Frame, name: str, span: Span) -> Any:
    """What a name stands for, or None."""
    if name in frame.variables:
        value = frame.variables[name]
        if value is POISON:
            raise Poisoned
        return value
    home = frame.home
    if name in home.blocks:
        block, where = home.block(name)
        return Function(block, span, home=where)
    if name in home.modules:
        return home.modules[name]
    if name in BY_NAME:
        return Function(BY_NAME[name], span)
    return None


def unknown(context: Context, frame: Frame, name: str, span: Span, fed: bool = False) -> Any:
    """Fail for a name that is not defined, with the nearest one that is; ops, blocks and layers are `fed`."""
    home = frame.home
    variables = {k: v for k, v in frame.variables.items() if k.isidentifier()}
    if fed:
        known = {k for k, v in variables.items() if isinstance(v, Function)}
    else:
        known = {*variables, *OF_SHAPES, *OF_SETTINGS}
    known |= {*home.blocks, *home.modules, *BY_NAME}
    kind = "block" if name[:1].isupper() else "name"
    alike = [k for k in known if kind == "name" or k[:1].isupper()]
    value = words.value(name) if name not in BY_NAME else None
    fix = words.question(value) or foreign(name, home) or context.nearest(name, alike, span)
    return context.fail("name", f"no {kind} is called {name}", span, fix=fix)


def need_defined(context: Context, frame: Frame, value: Any, within: tree.Binary | None = None) -> None:
    """Fail for a value that is an undefined name; `within` is what it is an operand of."""
    if isinstance(value, (Symbol, TargetName)):
        if within is not None and frame.symbols:
            _no_operation(context, within.span)
        unknown(context, frame, value.name if isinstance(value, TargetName) else str(value), value.span)


def _no_operation(context: Context, span: Span) -> None:
    """Fail for a path without quotes, and for a name with dashes, which read as divisions and differences."""
    text = span.text
    if _PATH.fullmatch(text):
        context.fail("name", f"{text} is no name", span, fix=f'a path stands in quotes: "{text}"')
    if _DASHES.fullmatch(text):
        name = words.object_called(text) or text.replace("-", "_").lower()
        context.fail("name", f"{text} is no name", span, fix=f"did you mean {name}?")


def need_known(context: Context, frame: Frame, function: tree.Expr) -> None:
    """Fail for an undefined name where an op, a block or a layer is needed."""
    if not isinstance(function, tree.Name) or function.id in frame.variables:
        return
    if lookup(frame, function.id, function.span) is None:
        unknown(context, frame, function.id, function.span, fed=True)


def no_library(context: Context, frame: Frame, e: tree.Attribute) -> None:
    """Fail for `nn.Linear`, `F.relu` and the like."""
    root: tree.Expr = e
    while isinstance(root, tree.Attribute):
        root = root.value
    if not isinstance(root, tree.Name) or root.id not in words.MODULES:
        return
    if lookup(frame, root.id, root.span) is None:
        library = words.OF_SECTIONS if frame.symbols else words.LIBRARY
        fix = foreign(e.name.id, frame.home) or library
        context.fail("name", f"no import is called {root.id}", root.span, fix=fix)
