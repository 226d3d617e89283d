"""The source text of netdsl itself: no file is long, and nothing is defined that nobody uses."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "netdsl").rglob("*.py"))
MOST_LINES = 400

#: called by atexit, argparse, pickle or IPython, through getattr, by users of netdsl, or by benchmarks
CALLED_FROM_OUTSIDE = {
    "_repr_html_",
    "_repr_svg_",
    "generic",
    "generic_resolve",
    "_close_all",
    "find_class",
    "_print_message",
    "hessian_vector",
    "hvp",
    "machine_code",  # what the assembler says of a kernel is read by tests and benchmarks
    "resident",
    "reference_training",
    "reference_updates",
}
#: special methods, and methods found by a name that is put together: actions of the parser, roles of a contraction
BY_PREFIX = re.compile(r"__|on_|_(sum_)?(forward|backward_data|backward_weights)$")

#: decorators that tell Numba of a function or a class
REGISTERED = re.compile(r"(infer|lower|register)_")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_every_function_and_class_is_used():
    texts = {path: path.read_text(encoding="utf-8") for path in FILES}
    words = Counter(word for text in texts.values() for word in re.findall(r"\w+", text))
    unused = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and words[node.name] == 1
        and node.name not in CALLED_FROM_OUTSIDE
        and not BY_PREFIX.match(node.name)
        and not any(REGISTERED.match(ast.unparse(decorator)) for decorator in node.decorator_list)
    ]
    assert not unused


def test_one_class_name_means_one_thing():
    """Nodes of the syntax tree and ops share names with what they stand for; others may be there twice, not more."""
    homes: dict[str, list[str]] = {}
    for path in FILES:
        if path.parent.name in ("ops", "primitives") or path.name == "tree.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in homes.items() if len(paths) > 2} == {}
