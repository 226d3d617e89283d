"""`netdsl explain-shape FILE NAME`: how one shape came about."""

from __future__ import annotations

from pathlib import Path

from netdsl.cli.command import command, option
from netdsl.cli.common import FILE, FORMAT, NET, SET, Format, diagnostics, load_network, print_json


@command(
    FILE,
    option(
        "name", metavar="NAME", help="a layer by its path, a block, an output or a name given in the text"
    ),
    SET,
    NET,
    FORMAT,
)
def app(file: Path, name: str, settings: list[str], net: str | None, form: Format) -> None:
    """Explain the shape of a tensor: every step from the input, with its formula and its place in the source."""
    from netdsl.report.explain import explain, render_steps
    from netdsl.report.names import find_node
    from netdsl.terminal import terminal_width

    with diagnostics(form):
        network = load_network(file, settings, net)
        graph = network.objective or network.graph
        steps = explain(graph, find_node(graph, name, network.names))
    if form is Format.json:
        print_json({"network": network.name, "steps": steps})
    else:
        print(render_steps(steps, terminal_width()))
