"""Every reason that a pass can give for a refusal, read from its source."""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from types import ModuleType

from netdsl.passes import Pass, Rewrite


def reasons(pass_: type[Pass]) -> dict[str, re.Pattern[str]]:
    """The texts that functions of the pass's module, and those that it imports from `netdsl.passes`, return as a
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
    for value in filter(inspect.isfunction, vars(module).values()):
        home = value.__module__
        if home.startswith("netdsl.passes.") and home != module.__name__:
            (tree,) = ast.parse(inspect.getsource(value)).body
            assert isinstance(tree, ast.FunctionDef)
            yield tree


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
