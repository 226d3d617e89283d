"""Cases written in Markdown: a network, then the error it must give, read by people and run by tests.

A case is a fenced block ```` ```net FILE.net ```` followed, before the next such block, by a fenced block
```` ```error ````; prose around them is free, and the last heading above names the case. With
`NETDSL_UPDATE_GOLDEN=1` in the environment the expected errors are written anew instead of compared.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from netdsl.source import Source

_BLOCK = re.compile(r"^```(?P<kind>net|error)(?:[ \t]+(?P<name>\S+))?\n(?P<body>.*?)^```$", re.M | re.S)
_HEADING = re.compile(r"^#+ (.+)$", re.M)


@dataclass(frozen=True)
class Case:
    """A source, the text its diagnostics must render to, and where in the file that text stands."""

    title: str
    source: Source
    expected: str
    place: tuple[int, int]


def read_cases(path: Path) -> list[Case]:
    """The cases of a Markdown file, in order."""
    text = path.read_text(encoding="utf-8")
    cases: list[Case] = []
    source: Source | None = None
    for match in _BLOCK.finditer(text):
        if match["kind"] == "net":
            source = Source(match["name"] or "case.net", match["body"])
        elif source is not None:
            headings = _HEADING.findall(text[: match.start()])
            title = headings[-1] if headings else f"case {len(cases) + 1}"
            cases.append(Case(title, source, match["body"].rstrip("\n"), match.span("body")))
            source = None
    return cases


def run_cases(path: Path, check: Callable[[Source], str]) -> None:
    """Compare `check(source)` with what every case of the file expects, or write it there."""
    cases = read_cases(path)
    assert cases, f"{path} holds no case"
    results = [check(case.source) for case in cases]
    if os.environ.get("NETDSL_UPDATE_GOLDEN"):
        _rewrite(path, cases, results)
        return
    for case, result in zip(cases, results, strict=True):
        assert result == case.expected, (
            f"{path.name}: {case.title}\n--- got\n{result}\n--- expected\n{case.expected}"
        )


def _rewrite(path: Path, cases: list[Case], results: list[str]) -> None:
    text = path.read_text(encoding="utf-8")
    for case, result in reversed(list(zip(cases, results, strict=True))):
        start, end = case.place
        text = f"{text[:start]}{result}\n{text[end:]}"
    path.write_text(text, encoding="utf-8")
