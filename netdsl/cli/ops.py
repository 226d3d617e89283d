"""`netdsl ops [NAME]`: the op library and what else files name, with its documentation."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from netdsl.cli.command import command, option
from netdsl.cli.common import FORMAT, Format, fail, print_json, print_page
from netdsl.cli.streams import columns
from netdsl.source import Diagnostic, suggest

if TYPE_CHECKING:
    from netdsl.ops.describe import OpDoc


def _names() -> Iterable[str]:
    from netdsl.ops import OPS
    from netdsl.train.vocabulary import vocabulary

    return dict.fromkeys([*OPS, *(doc.name for doc in vocabulary())])


@command(
    option(
        "name",
        nargs="?",
        known=_names,
        metavar="NAME",
        help="an op, an initialiser, an optimiser, a schedule or what stands in the data section; all when left out",
    ),
    FORMAT,
)
def app(name: str | None, form: Format) -> None:
    """List the ops and what else a file may name, or show one with its settings and their defaults."""
    from netdsl.ops import LIBRARY
    from netdsl.ops.describe import describe, render_one
    from netdsl.train.vocabulary import vocabulary

    ops, others = [describe(op) for op in LIBRARY], vocabulary()
    found = [doc for doc in (*ops, *others) if name in (None, doc.name)]
    if not found:
        fail([_unknown(str(name), [doc.name for doc in (*ops, *others)])], form)
    if form is Format.json:
        pages = [doc.to_json() for doc in found]
        print_json(pages if name is None or len(pages) > 1 else pages[0])
    elif name is None:
        print_page(_listed(ops, others))
    else:
        text = "\n\n\n".join(map(render_one, found))
        # Paragraphs are as wide as the page; what is indented stays in lines of its own.
        print_page(re.sub(r"(?<=\S)\n(?=\S)", " ", text) if columns(sys.stdout) else text)


def _listed(ops: list[OpDoc], others: list[OpDoc]) -> str:
    """One line for each: the ops, then the rest below the name of its kind."""
    from netdsl.ops.describe import render_list

    kinds = itertools.groupby(others, key=lambda doc: doc.family)
    return "\n\n".join([render_list(ops), *(f"{kind}:\n{render_list([*docs])}" for kind, docs in kinds)])


def _unknown(name: str, known: list[str]) -> Diagnostic:
    from netdsl import words

    near = words.layer(name) or words.value(name) or words.named(name, known) or suggest(name, known)
    return Diagnostic(
        "name",
        f"nothing is called {name}",
        fix=words.question(near) or "netdsl ops lists all that there is",
    )
