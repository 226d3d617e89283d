"""`netdsl diff BEFORE AFTER`: what changed between two networks."""

from __future__ import annotations

from pathlib import Path

from netdsl.cli.command import command, option, path
from netdsl.cli.common import FORMAT, Format, diagnostics, load_network, print_json


@command(
    option("before", type=path, files="*.net", metavar="BEFORE", help="a .net file"),
    option(
        "after",
        type=path,
        files="*.net",
        metavar="AFTER",
        help="a .net file, or the same one with other settings",
    ),
    option("--net-before", metavar="NAME", help="preset or net of BEFORE"),
    option("--net-after", metavar="NAME", help="preset or net of AFTER"),
    option("--set-before", action="append", default=[], metavar="NAME=VALUE", help="a setting of BEFORE"),
    option("--set-after", action="append", default=[], metavar="NAME=VALUE", help="a setting of AFTER"),
    FORMAT,
)
def app(
    before: Path,
    after: Path,
    net_before: str | None,
    net_after: str | None,
    set_before: list[str],
    set_after: list[str],
    form: Format,
) -> None:
    """Compare two networks layer by layer: structure, settings, shapes, parameters, costs, outputs, training."""
    from netdsl.report.diff import diff
    from netdsl.report.diff_text import diff_json, render_diff
    from netdsl.terminal import terminal_width

    with diagnostics(form):
        networks = load_network(before, set_before, net_before), load_network(after, set_after, net_after)
    found = diff(*networks)
    if form is Format.json:
        print_json(diff_json(found))
    else:
        print(render_diff(found, terminal_width()))
