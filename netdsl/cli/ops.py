"""`netdsl ops [NAME]`: the op library and its documentation."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

from netdsl.cli.command import command, option
from netdsl.cli.common import FORMAT, Format, fail, print_json, print_page
from netdsl.cli.streams import columns
from netdsl.source import Diagnostic, suggest


def _names() -> Iterable[str]:
    from netdsl.ops import OPS

    return OPS


@command(
    option("name", nargs="?", known=_names, metavar="NAME", help="an op; all of them when left out"), FORMAT
)
def app(name: str | None, form: Format) -> None:
    """List the ops, or show one with its settings and their defaults."""
    from netdsl.ops import LIBRARY
    from netdsl.ops.describe import describe, render_list, render_one

    known = {op.name: op for op in LIBRARY}
    if name is None:
        docs = [describe(op) for op in LIBRARY]
        if form is Format.json:
            print_json([doc.to_json() for doc in docs])
        else:
            print_page(render_list(docs))
        return
    if name not in known:
        near = suggest(name, known)
        fix = f"did you mean {near}?" if near else "netdsl ops lists all of them"
        fail([Diagnostic("name", f"no op is called {name}", fix=fix)], form)
    doc = describe(known[name])
    if form is Format.json:
        print_json(doc.to_json())
    else:
        # Paragraphs are as wide as the page; what is indented stays in lines of its own.
        print_page(
            re.sub(r"(?<=\S)\n(?=\S)", " ", render_one(doc)) if columns(sys.stdout) else render_one(doc)
        )
