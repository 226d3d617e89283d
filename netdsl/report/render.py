"""Reports as text, Markdown, CSV, HTML, LaTeX and JSON."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
from collections.abc import Sequence
from typing import Any

from netdsl.report.columns import GPU, NAME, VIEWS, Column, totals_text
from netdsl.report.outline import Line
from netdsl.report.select import Selection
from netdsl.report.summary import Row, Summary
from netdsl.report.table import Cells, table
from netdsl.terminal import terminal_width, wrapped

FORMATS = ("table", "markdown", "csv", "json", "html", "latex")


def render(
    summary: Summary,
    form: str,
    view: str = "params",
    selection: Selection | None = None,
    width: int | None = None,
) -> str:
    """The report in one of `FORMATS` but json, for which there is `to_json`.

    `view` is one of shapes, params and report; `width` is that of the terminal, for tables.  CSV holds plain
    numbers, one row per line of the report.  Raises ValueError as `Selection.lines` does.
    """
    lines = (selection or Selection()).lines(summary)
    unused = {NAME: not any(n.names for n in lines), GPU: all(r.gpu is None for r in summary.rows)}
    columns = [c for c in VIEWS[view] if not unused.get(c)]
    totals = totals_text(summary, view)
    if form == "table":
        sort = selection.sort if selection is not None else None
        return _text(summary.network, lines, columns, totals, width or terminal_width(), sort)
    if form == "csv":
        return _csv(lines)
    heads, cells = [c.heading for c in columns], [[c.text(line) for c in columns] for line in lines]
    write = {"markdown": _markdown, "html": _html, "latex": _latex}[form]
    return write(summary.network, heads, cells, lines, totals)


def to_json(summary: Summary, selection: Selection | None = None) -> dict[str, Any]:
    """Plain data: `network`, `rows`, `blocks`, `totals`, `outputs`; rows and blocks name their place in the source.

    The rows are layers; a selection that searches or sorts leaves and orders them as it does lines.
    """
    flat = dataclasses.replace(selection or Selection(), depth=None, expand=True)
    return {
        "network": summary.network,
        "rows": [_row_json(line.row) for line in flat.lines(summary) if line.block is None],
        "blocks": [
            {"path": path, "name": s.name, "use": s.text, "span": s.span and s.span.to_json()}
            for path, s in summary.scopes.items()
        ],
        "totals": dataclasses.asdict(summary.totals),
        "memory": summary.memory and summary.memory.to_json(),
        "outputs": {name: list(shape) for name, shape in summary.outputs.items()},
    }


def _row_json(row: Row) -> dict[str, Any]:
    fields = {f.name: getattr(row, f.name) for f in dataclasses.fields(row)}
    seen = row.field and {
        "size": [f.size for f in row.field],
        "smallest": [float(f.smallest) for f in row.field],
        "jump": [float(f.jump) for f in row.field],
        "start": [float(f.start) for f in row.field],
    }
    place = row.span.to_json() if row.span is not None else None
    return {**fields, "shape": list(row.shape), "field": seen, "span": place}


def _text(
    title: str,
    lines: Sequence[Line],
    columns: Sequence[Column],
    totals: list[str],
    width: int,
    sort: str | None,
) -> str:
    """As many columns as fit; the least important ones are left out and named below the table."""
    levels = ["  " * line.level for line in lines]
    cells = []
    for column in columns:
        texts = [column.text(line) for line in lines]
        if column is columns[0]:
            texts = [level + text for level, text in zip(levels, texts, strict=True)]
        # The column that sorts the table is left out last.
        rank = 11 if sort is not None and column.sort == sort else column.rank
        cells.append(Cells(column.heading, texts, column.right, rank))
    shown, hidden = table(cells, width)
    notes = "; ".join(c.note for c in columns if c.note and c.heading not in hidden)
    missing = f"not shown at this width: {', '.join(hidden)}" if hidden else ""
    below = [*totals, *(f"({text})" for text in (notes, missing) if text)]
    return "\n".join([title, "", *shown, *(part for text in below for part in wrapped(text, width))])


def _csv(lines: Sequence[Line]) -> str:
    out = io.StringIO()
    names = ("params", "trainable", "macs", "flops", "bytes", "moved")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "layer",
            "op",
            "count",
            "output",
            *names,
            "receptive_field",
            "jump",
            "start",
            "file",
            "line",
            "names",
            "gpu",
        ]
    )
    for line in lines:
        row, place = line.row, line.row.span
        seen = row.field or ()
        writer.writerow(
            [
                row.name,
                row.kind,
                line.count,
                "x".join(map(str, row.shape)),
                *(getattr(row, name) for name in names),
                "x".join(str(f.size) for f in seen),
                "x".join(str(f.jump) for f in seen),
                "x".join(str(f.start) for f in seen),
                place.source.name if place else "",
                place.line if place else "",
                " ".join(line.names),
                "" if row.gpu is None else row.gpu,
            ]
        )
    return out.getvalue().rstrip("\n")


def _markdown(
    title: str, heads: list[str], cells: list[list[str]], lines: Sequence[Line], totals: list[str]
) -> str:
    def row(words: Sequence[str]) -> str:
        return "| " + " | ".join(w.replace("|", "\\|") for w in words) + " |"

    rule = "|---|---|---|" + "---:|" * (len(heads) - 3)
    body = [row(["&emsp;" * n.level + c[0], *c[1:]]) for n, c in zip(lines, cells, strict=True)]
    return "\n".join([f"### {title}", "", row(heads), rule, *body, "", *(f"{t}  " for t in totals)]).rstrip()


def _html(
    title: str, heads: list[str], cells: list[list[str]], lines: Sequence[Line], totals: list[str]
) -> str:
    def row(words: Sequence[str], tag: str, level: int = 0) -> str:
        sides = [f"left;padding-left:{level + 0.5}em", "left", "left", *["right"] * (len(words) - 3)]
        inside = (
            f'<{tag} style="padding:0 0.6em;text-align:{side}">{html.escape(w)}</{tag}>'
            for w, side in zip(words, sides, strict=True)
        )
        return f"<tr>{''.join(inside)}</tr>"

    body = [row(c, "td", n.level) for n, c in zip(lines, cells, strict=True)]
    caption = f'<caption style="text-align:left;font-weight:bold">{html.escape(title)}</caption>'
    form = "border-collapse:collapse;font-variant-numeric:tabular-nums"
    foot = f"<p>{'<br>'.join(map(html.escape, totals))}</p>"
    head = f'<thead style="border-bottom:1px solid">{row(heads, "th")}</thead>'
    return "\n".join(
        [f'<table style="{form}">', caption, head, "<tbody>", *body, "</tbody>", "</table>", foot]
    )


_TEX = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def _latex(
    title: str, heads: list[str], cells: list[list[str]], lines: Sequence[Line], totals: list[str]
) -> str:
    def row(words: Sequence[str], level: int = 0) -> str:
        texts = ["".join(_TEX.get(c, c) for c in w) for w in words]
        return r"\quad " * level + " & ".join(texts) + r" \\"

    body = [row(c, n.level) for n, c in zip(lines, cells, strict=True)]
    form = "lll" + "r" * (len(heads) - 3)
    return "\n".join(
        [
            f"% {title}: {'; '.join(totals)}",
            rf"\begin{{tabular}}{{{form}}}",
            r"\hline",
            row(heads),
            r"\hline",
            *body,
            r"\hline",
            r"\end{tabular}",
        ]
    )
