"""`netdsl params FILE`: parameters, multiply-adds and operations of every layer."""

from __future__ import annotations

import typer

from netdsl.cli.common import FileArgument, Format, FormatOption, NetOption, SetOption
from netdsl.cli.reporting import report

app = typer.Typer(add_completion=False)


@app.command()
def params(
    file: FileArgument,
    settings: SetOption = None,
    net: NetOption = None,
    form: FormatOption = Format.table,
) -> None:
    """Print the parameters and costs of every layer; shared weights count once."""
    report(file, settings, net, form, costs=True)
