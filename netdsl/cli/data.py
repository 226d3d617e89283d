"""`netdsl data list` and `netdsl data get NAME`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netdsl.cli.common import diagnostics

app = typer.Typer(add_completion=False, help="List the data sets that netdsl knows, and get them.")


@app.command("list")
def list_() -> None:
    """List the data sets, where each would be read from, and its licence."""
    from netdsl.data import list_datasets

    for entry in list_datasets():
        where = "shipped with netdsl" if entry.dataset.format == "npz" else entry.folder or "not here yet"
        print(f"{entry.dataset.name:<14} {entry.dataset.title} ({where})")


@app.command("get")
def get_(
    name: Annotated[str, typer.Argument(help="a data set, such as mnist")],
    folder: Annotated[Path | None, typer.Option("--folder", help="where to put it")] = None,
) -> None:
    """Find a data set on this machine or download it, and check its checksums."""
    from netdsl.data import get

    with diagnostics():
        got = get(name, folder)
    print(f"{got.name}: {got.action}" + (f" in {got.folder}" if got.folder else ""))
