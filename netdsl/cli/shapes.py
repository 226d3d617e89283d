"""`netdsl shapes FILE`: the output shape of every layer, up to the first mistake."""

from __future__ import annotations

import typer

from netdsl.cli.common import FileArgument, Format, FormatOption, NetOption, SetOption
from netdsl.cli.reporting import report

app = typer.Typer(add_completion=False)


@app.command()
def shapes(
    file: FileArgument,
    settings: SetOption = None,
    net: NetOption = None,
    form: FormatOption = Format.table,
) -> None:
    """Print the output shape of every layer (channels last, without the batch)."""
    report(file, settings, net, form, costs=False)
