"""`netdsl shapes FILE`: the output shape of every layer, up to the first mistake."""

from __future__ import annotations

from pathlib import Path

from netdsl.cli.command import command
from netdsl.cli.common import FILE, FORMAT, NET, SET, Format
from netdsl.cli.reporting import report


@command(FILE, SET, NET, FORMAT)
def app(file: Path, settings: list[str], net: str | None, form: Format) -> None:
    """Print the output shape of every layer (channels last, without the batch)."""
    report(file, settings, net, form, costs=False)
