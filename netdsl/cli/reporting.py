"""Printing a summary, whole or up to the mistake."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from netdsl.cli.common import Format, diagnostics, fail, parse_overrides, print_json


def report(file: Path, settings: Sequence[str], net: str | None, form: Format, *, costs: bool) -> None:
    """Print the table of a network.  A broken network prints its rows up to the mistake, then the mistake."""
    from netdsl.elaborate import elaborate_partial
    from netdsl.report import render_table, summarize, to_json
    from netdsl.syntax.read import read_source

    with diagnostics(form):
        source = read_source(file)
        network, problems = elaborate_partial(source, overrides=parse_overrides(settings), net=net)
    summary = summarize(network.name, network.graph)
    if problems:
        if form is Format.table and summary.rows:
            print(render_table(summary, costs=costs), flush=True)
            print()
        fail(problems, form)
    if form is Format.json:
        print_json(to_json(summary))
    else:
        print(render_table(summary, costs=costs))
