"""`netdsl draw FILE`: a drawing of a network."""

from __future__ import annotations

from pathlib import Path

from netdsl.cli.command import UsageError, at_least_1, command, need_ending, option, path
from netdsl.cli.common import FILE, NET, SET, diagnostics, load_network, writing

FORMS = (".svg", ".html", ".dot")


@command(
    FILE,
    SET,
    NET,
    option(
        "-o",
        "--output",
        dest="out",
        type=path,
        files="*",
        metavar="FILE",
        help="a .svg, .html or .dot file; else SVG on stdout",
    ),
    option("--depth", type=at_least_1, metavar="N", help="show blocks closed that are nested deeper"),
    option(
        "--blocks",
        type=at_least_1,
        default=0,
        metavar="N",
        help="show beside it what is in closed blocks, N levels deep",
    ),
)
def app(
    file: Path, settings: list[str], net: str | None, out: Path | None, depth: int | None, blocks: int
) -> None:
    """Draw a network: blocks as boxes, branches side by side, skip connections round them."""
    from netdsl.files import atomic_write
    from netdsl.report import summarize
    from netdsl.report.draw import draw

    need_ending(out, FORMS)
    with diagnostics():
        network = load_network(file, settings, net)
    summary = summarize(network.name, network.graph, network.names)
    try:
        picture = draw(summary, (out.suffix if out else ".svg")[1:], depth, blocks)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if out is None:
        print(picture, end="")
    else:
        with writing(out):
            atomic_write(out, picture.encode())
        print(f"drawn to {out}")
