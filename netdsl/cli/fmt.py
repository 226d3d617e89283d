"""`netdsl fmt FILE...`: format `.net` files."""

from __future__ import annotations

from pathlib import Path

from netdsl.cli.command import command, option, path
from netdsl.cli.common import diagnostics, writing


@command(
    option("files", type=path, files="*.net", nargs="+", metavar="FILE", help=".net files, or - for stdin"),
    option("--check", action="store_true", help="change nothing; exit 1 if a file would"),
)
def app(files: list[Path], check: bool) -> None:
    """Format files in place; comments are kept."""
    from netdsl.files import atomic_write
    from netdsl.syntax.format import format_source
    from netdsl.syntax.read import read_source

    changed = 0
    for file in files:
        with diagnostics():
            if str(file) == "-":
                print(format_source(read_source(file)), end="")
                continue
            source = read_source(file)
            text = format_source(source)
        if text == source.text:
            continue
        changed += 1
        if check:
            print(f"{file} would be formatted")
        else:
            with writing(file):
                atomic_write(file, text.encode())
            print(f"{file} formatted")
    if check and changed:
        raise SystemExit(1)
