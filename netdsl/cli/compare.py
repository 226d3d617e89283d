"""`netdsl compare FILE...`: networks side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.cli.command import UsageError, command, need_place, option, path
from netdsl.cli.common import FILES, FORMAT, Format, diagnostics, print_json, writing

if TYPE_CHECKING:
    from netdsl.report import Summary

SORTS = ("params", "macs", "flops")


@command(
    FILES,
    option("--sort", choices=SORTS, metavar="KEY", help=f"the smallest first, by {', '.join(SORTS)}"),
    option(
        "--chart",
        dest="picture",
        type=path,
        files="*.svg",
        metavar="FILE.svg",
        help="draw multiply-adds against parameters",
    ),
    FORMAT,
)
def app(files: list[Path], sort: str | None, picture: Path | None, form: Format) -> None:
    """Compare networks by parameters and costs: every net and preset of the files."""
    from netdsl.files import atomic_write
    from netdsl.report import compare
    from netdsl.report.chart import chart
    from netdsl.terminal import terminal_width

    if picture is not None and picture.suffix != ".svg":
        raise UsageError(f"argument --chart: {picture} does not end in .svg")
    need_place(picture, "--chart")
    with diagnostics(form):
        summaries = [s for file in files for s in _summaries(file)]
    if not summaries:
        raise UsageError(f"there is no net in {', '.join(map(str, files))}")
    if sort is not None:
        summaries.sort(key=lambda s: int(getattr(s.totals, sort)))
    if picture is not None:
        with writing(picture):
            atomic_write(picture, chart(summaries).encode())
    if form is Format.json:
        print_json(compare.compare_json(summaries))
    else:
        print(compare.render_compare(summaries, terminal_width()))


def _summaries(file: Path) -> list[Summary]:
    """The presets of a file, or its nets where there are none; files of blocks alone have neither."""
    from netdsl.elaborate import elaborate_each
    from netdsl.report import summarize
    from netdsl.syntax.parse import parse
    from netdsl.syntax.read import read_source

    source = read_source(file)
    tree = parse(source)
    networks = elaborate_each(source, tree.presets or tree.nets)
    return [summarize(n.name, n.graph) for n in networks]
