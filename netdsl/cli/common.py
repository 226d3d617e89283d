"""What the commands share: options, loading a network, and how mistakes leave the program.

Exit status: 0 when all went well, 1 for a diagnostic, 2 for wrong usage.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from netdsl.source import Diagnostic, NetError

if TYPE_CHECKING:
    from netdsl.elaborate import Network


class Format(StrEnum):
    """How a report is printed."""

    table = "table"
    json = "json"


FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="a .net file")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="override a setting, such as train.epochs=3"),
]
NetOption = Annotated[str | None, typer.Option("--net", help="which net, where the file has several")]
FormatOption = Annotated[Format, typer.Option("--format", help="table for people, json for scripts")]
BatchOption = Annotated[int, typer.Option("--batch", min=1, help="batch size")]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="threads to compute with; default: all processors")
]


def parse_overrides(settings: Sequence[str] | None) -> dict[str, str]:
    """`NAME=VALUE` words as a mapping; anything else is wrong usage."""
    pairs: dict[str, str] = {}
    for word in settings or ():
        name, equals, value = word.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"{word!r} is not NAME=VALUE", param_hint="--set")
        pairs[name.strip()] = value.strip()
    return pairs


def load_network(file: Path, settings: Sequence[str] | None, net: str | None, batch: int = 1) -> Network:
    """The network of a file; raises NetError."""
    from netdsl.elaborate import elaborate
    from netdsl.syntax.read import read_source

    return elaborate(read_source(file), batch=batch, overrides=parse_overrides(settings), net=net)


@contextmanager
def diagnostics(form: Format = Format.table) -> Iterator[None]:
    """Turn a NetError into its message and exit status 1."""
    try:
        yield
    except NetError as error:
        fail(error.diagnostics, form)


def fail(problems: Sequence[Diagnostic], form: Format = Format.table) -> NoReturn:
    """Print diagnostics, on stderr as text or on stdout as JSON, and exit with 1."""
    if form is Format.json:
        print(json.dumps({"errors": [d.to_json() for d in problems]}, indent=2))
    else:
        print("\n\n".join(d.render() for d in problems), file=sys.stderr)
        count = len(problems)
        if count > 1:
            print(f"\n{count} errors", file=sys.stderr)
    raise typer.Exit(1)


def print_json(data: Any) -> None:
    """A report as JSON on stdout."""
    print(json.dumps(data, indent=2, allow_nan=False))
