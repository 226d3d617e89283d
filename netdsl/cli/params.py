"""`netdsl params FILE`: parameters, multiply-adds and operations of every layer."""

from __future__ import annotations

from pathlib import Path

from netdsl.cli.command import command
from netdsl.cli.common import FILE, FORMAT, NET, SET, Format
from netdsl.cli.reporting import report


@command(FILE, SET, NET, FORMAT)
def app(file: Path, settings: list[str], net: str | None, form: Format) -> None:
    """Print the parameters and costs of every layer; shared weights count once."""
    report(file, settings, net, form, costs=True)
