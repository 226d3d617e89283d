"""`netdsl check FILE...`: parse, elaborate, verify, and hold the file to its own claims."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netdsl.cli.command import command
from netdsl.cli.common import FILES, FORMAT, NET, SET, Format, fail, parse_overrides, print_json, print_page
from netdsl.source import Diagnostic, NetError


@command(FILES, SET, NET, FORMAT)
def app(files: list[Path], settings: list[str], net: str | None, form: Format) -> None:
    """Check networks: syntax, shapes, settings, `assert` and `expect`; every net and preset unless one is named."""
    problems: list[Diagnostic] = []
    good: list[dict[str, Any]] = []
    for file in files:
        try:
            for found in _check(file, settings, net):
                good.append(found)
                if form is Format.table:
                    print_page(_line(found))
        except NetError as error:
            problems.extend(error.diagnostics)
    if problems:
        fail(problems, form)
    if form is Format.json:
        print_json({"files": good, "errors": []})


def _check(file: Path, settings: list[str], net: str | None) -> Iterator[dict[str, Any]]:
    from netdsl.elaborate import elaborate_each
    from netdsl.syntax.parse import parse
    from netdsl.syntax.read import read_source

    source = read_source(file)
    tree = parse(source)
    if net is None and tree.blocks and not tree.nets:
        yield {"file": str(file), "net": None, "blocks": len(tree.blocks), "claims": 0}
        return
    names = [net] if net else [*(tree.nets or [None]), *tree.presets]
    for network in elaborate_each(source, names, overrides=parse_overrides(settings)):
        yield {"file": str(file), "net": network.name, "claims": len(network.claims)}


def _line(found: dict[str, Any]) -> str:
    if found["net"] is None:
        return f"{found['file']}: {found['blocks']} blocks and no net; blocks are checked where they are used"
    claims = f", {found['claims']} claims hold" if found["claims"] else ""
    return f"{found['file']}: {found['net']} is well-formed{claims}"
