"""`netdsl check FILE...`: parse, elaborate, verify, and hold the file to its own claims."""

from __future__ import annotations

from pathlib import Path

from netdsl.cli.command import command
from netdsl.cli.common import FILES, FORMAT, NET, SET, Format, fail, load_network, print_json
from netdsl.source import Diagnostic, NetError


@command(FILES, SET, NET, FORMAT)
def app(files: list[Path], settings: list[str], net: str | None, form: Format) -> None:
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
