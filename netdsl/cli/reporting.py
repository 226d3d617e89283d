"""The reports on a network, whole or up to the mistake: `shapes`, `params` and `report` are views of one thing."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from netdsl.cli.command import Choice, Command, Option, UsageError, at_least_1, command, option
from netdsl.cli.common import FILE, NET, SET, Format, diagnostics, fail, parse_overrides, print_json


class ReportFormat(StrEnum):
    """How a report is printed."""

    table = "table"
    markdown = "markdown"
    csv = "csv"
    json = "json"
    html = "html"
    latex = "latex"


SORTS = ("params", "macs", "flops", "bytes", "moved")
OPTIONS = (
    FILE,
    SET,
    NET,
    option("--depth", type=at_least_1, metavar="N", help="show blocks closed that are nested deeper"),
    option("--expand", action="store_true", help="show equal blocks one by one"),
    option("--find", metavar="KEY=VALUE", help="layers with shape=14x14, op=conv, name=*.conv1, or of NAME"),
    option(
        "--sort",
        known=lambda: SORTS,
        metavar="KEY",
        help="layers by params, macs, flops, bytes or moved, largest first",
    ),
    option("--top", type=at_least_1, metavar="N", help="the first N layers"),
    option(
        "--format",
        dest="form",
        type=Choice(ReportFormat),
        default=ReportFormat.table,
        metavar="FORMAT",
        help=f"one of {', '.join(ReportFormat)} (default: table)",
    ),
)


def view(name: str, text: str, *more: Option) -> Command:
    """The command that shows one view of the report, with options of its own."""

    def run(**options: Any) -> None:
        _report(name, **options)

    run.__doc__ = text
    return command(*OPTIONS, *more)(run)


def _report(
    view: str,
    file: Path,
    settings: list[str],
    net: str | None,
    form: ReportFormat,
    batch: int | None = None,
    memory: int | None = None,
    device: str = "cpu",
    **selected: Any,
) -> None:
    from netdsl.elaborate import elaborate_partial
    from netdsl.report import Selection, render, summarize, to_json
    from netdsl.syntax.read import read_source

    predicted = batch is not None or memory is not None
    if device != "cpu" and not predicted:
        raise UsageError("argument --device: allowed with --batch or --memory only, whose memory it is")
    errors = Format.json if form is ReportFormat.json else Format.table
    with diagnostics(errors):
        network, problems = elaborate_partial(read_source(file), overrides=parse_overrides(settings), net=net)
    summary, selection = summarize(network.name, network.graph, network.names), Selection(**selected)
    if predicted and not problems:
        from netdsl.train import predict_memory

        with diagnostics(errors):
            summary = replace(summary, memory=predict_memory(network, batch or 1, memory, device))
    try:
        if form is ReportFormat.json:
            if not problems:
                print_json(to_json(summary, selection))
        elif summary.rows:
            print(render(summary, form, view, selection), flush=True)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if problems:
        if form is not ReportFormat.json:
            print(flush=True)
        fail(problems, errors)
