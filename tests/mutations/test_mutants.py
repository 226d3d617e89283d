"""The changes that `python -m tests.mutations` makes."""

import ast
from pathlib import Path

import pytest

from tests.mutations.mutants import mutants

PATH = Path("a.py")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = a < b", ["x = a <= b"]),
        ("x = a < b <= c", ["x = a <= b <= c", "x = a < b < c"]),
        ("x = a is not None", ["x = a is None"]),
        ("x = a not in b", ["x = a in b"]),
        ("x = a and b", ["x = a or b"]),
        ("x = (a + é) - b", ["x = (a - é) - b", "x = (a + é) + b"]),
        ("x = f(3, True)", ["x = f(4, True)", "x = f(3, False)"]),
        ("x = min(a, b)", ["x = max(a, b)"]),
        ("x = a if b else c", ["x = a if not (b) else c"]),
        ("if a:\n    b()", ["if not (a):\n    b()"]),
        ("def f():\n    if a:\n        return b", ["def f():\n    if False:\n        return b"]),
        ("def f(a: int | None = 2) -> int | None:\n    '''Text.'''", ["3"]),
        ("x = zip(a, b, strict=True)", []),
        ("x: tuple[int, 2] = y", []),
        ("assert a < 2, f'{a + 1}'", []),
        ("raise E(f'{a + 1}')", []),
        ("x = f'{a + 1:.3f}'", []),
    ],
)
def test_changes(before, after):
    source = before.encode()
    changed = [m.applied(source).decode() for m in mutants(PATH, source)]
    assert all(ast.dump(ast.parse(c)) != ast.dump(ast.parse(before)) for c in changed)
    assert len(changed) == len(after) and all(a in c for a, c in zip(after, changed, strict=True))


def test_a_diff_shows_the_place():
    source = b"a = 1\nb = 2\nc = 3\nd = 4\n"
    assert mutants(PATH, source)[0].diff(source).splitlines() == [
        "--- a.py", "+++ off by one", "@@ -1,3 +1,3 @@", "-a = 1", "+a = 2", " b = 2", " c = 3"
    ]  # fmt: skip
