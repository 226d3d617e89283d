"""Every reason that a pass can give for a refusal, read from its source."""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from types import ModuleType

from netdsl.passes import Pass, Rewrite


def reasons(pass_: type[Pass]) -> dict[str, re.Pattern[str]]:
    """The texts that functions of the pass's module, and those that it calls from `netdsl.passes`, return as a
    reason (`str | None`): as written, and as a pattern that the reasons given have.
    """
    if not issubclass(pass_, Rewrite):
        return {}
    module = sys.modules[pass_.__module__]
    found = [*_returned(module), *(text for f in _imported(module) for text in _texts(f))]
    return {ast.unparse(text): re.compile(_pattern(text)) for text in found}


def _returned(module: ModuleType) -> Iterator[ast.expr]:
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.FunctionDef):
            yield from _texts(node)


def _imported(module: ModuleType) -> Iterator[ast.FunctionDef]:
    """Functions, and the methods of classes that the module calls."""
    called = {n.attr for n in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(n, ast.Attribute)}
    for value in filter(lambda v: inspect.isfunction(v) or inspect.isclass(v), vars(module).values()):
        if value.__module__.startswith("netdsl.passes.") and value.__module__ != module.__name__:
            (tree,) = ast.parse(inspect.getsource(value)).body
            inner = tree.body if isinstance(tree, ast.ClassDef) else [tree]
            functions = [f for f in inner if isinstance(f, ast.FunctionDef)]
            yield from (f for f in functions if f is tree or f.name in called)


def _texts(function: ast.FunctionDef) -> Iterator[ast.expr]:
    if function.returns is None or ast.unparse(function.returns) != "str | None":
        return
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            branches = (
                (node.value.body, node.value.orelse) if isinstance(node.value, ast.IfExp) else (node.value,)
            )
            yield from (b for b in branches if isinstance(b, ast.JoinedStr) or _is_text(b))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _pattern(text: ast.expr) -> str:
    """Numbers and names that are put in may be anything."""
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    return "".join(re.escape(p.value) if isinstance(p, ast.Constant) else ".+" for p in parts)
