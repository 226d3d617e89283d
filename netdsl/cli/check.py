"""`netdsl check FILE...`: parse, elaborate, verify, and hold the file to its own claims."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netdsl.cli.common import Format, FormatOption, NetOption, SetOption, fail, load_network, print_json
from netdsl.source import Diagnostic, NetError

app = typer.Typer(add_completion=False)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help=".net files")],
    settings: SetOption = None,
    net: NetOption = None,
    form: FormatOption = Format.table,
) -> None:
    """Check networks: syntax, shapes, settings, `assert` and `expect`."""
    problems: list[Diagnostic] = []
    good = []
    for file in files:
        try:
            network = load_network(file, settings, net)
        except NetError as error:
            problems.extend(error.diagnostics)
            continue
        good.append({"file": str(file), "net": network.name, "claims": len(network.claims)})
        if form is Format.table:
            claims = f", {len(network.claims)} claims hold" if network.claims else ""
            print(f"{file}: {network.name} is well-formed{claims}")
    if problems:
        fail(problems, form)
    if form is Format.json:
        print_json({"files": good, "errors": []})
