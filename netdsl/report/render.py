"""Reports as text, Markdown, CSV, HTML, LaTeX and JSON."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
from collections.abc import Sequence
from typing import Any

from netdsl.report.columns import VIEWS, Column, totals_text
from netdsl.report.outline import Line
from netdsl.report.select import Selection
from netdsl.report.summary import Row, Summary
from netdsl.report.terminal import terminal_width, wrapped

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
    columns = VIEWS[view]
    totals = totals_text(summary, view)
    if form == "table":
        return _text(summary.network, lines, columns, totals, width or terminal_width())
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
        "rows": [_row_json(line.row) for line in flat.lines(summary) if not line.is_block],
        "blocks": [
            {"path": path, "name": s.name, "use": s.text, "span": s.span and s.span.to_json()}
            for path, s in summary.scopes.items()
        ],
        "totals": dataclasses.asdict(summary.totals),
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


def _text(title: str, lines: Sequence[Line], columns: Sequence[Column], totals: list[str], width: int) -> str:
    """As many columns as fit, those that matter least left out and named below."""
    shown, texts = list(columns), {c: [c.heading, *map(c.text, lines)] for c in columns}
    texts[columns[0]] = ["layer", *("  " * line.level + columns[0].text(line) for line in lines)]
    widths = {c: max(map(len, cells)) for c, cells in texts.items()}

    def spare() -> int:
        return width - sum(widths[c] + 2 for c in shown)

    while spare() < 0 and len(shown) > 2:
        shown.remove(min(shown, key=lambda c: c.rank))
    first = columns[0]
    widths[first] = min(widths[first], max(12, widths[first] + spare()))

    def cell(column: Column, text: str) -> str:
        room = widths[column]
        text = text if len(text) <= room else f"{text[: room - 1]}…"
        return text.rjust(room) if column.right else text.ljust(room)

    body = [
        " " + "  ".join(cell(c, text) for c, text in zip(shown, row, strict=True)).rstrip()
        for row in zip(*(texts[c] for c in shown), strict=True)
    ]
    rule = " " + "─" * (sum(widths[c] + 2 for c in shown) - 2)
    below = [*totals, *_notes(columns, shown)]
    notes = [line for text in below for line in wrapped(text, width)]
    return "\n".join([title, "", body[0], rule, *body[1:], *notes])


def _notes(columns: Sequence[Column], shown: Sequence[Column]) -> list[str]:
    notes = "; ".join(c.note for c in shown if c.note)
    hidden = ", ".join(c.heading for c in columns if c not in shown)
    return [f"({text})" for text in (notes, hidden and f"not shown at this width: {hidden}") if text]


def _csv(lines: Sequence[Line]) -> str:
    out = io.StringIO()
    names = ("params", "trainable", "macs", "flops", "bytes", "moved")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["layer", "op", "count", "output", *names, "receptive_field", "jump", "start", "file", "line"]
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
        first = f' style="text-align:left;padding-left:{level + 0.5}em"'
        styles = [first, ' style="text-align:left"', ' style="text-align:left"']
        styles += [' style="text-align:right"'] * (len(words) - 3)
        inside = (f"<{tag}{s}>{html.escape(w)}</{tag}>" for w, s in zip(words, styles, strict=True))
        return f"<tr>{''.join(inside)}</tr>"

    body = [row(c, "td", n.level) for n, c in zip(lines, cells, strict=True)]
    caption = f'<caption style="text-align:left">{html.escape(title)}</caption>'
    foot = f"<p>{'<br>'.join(map(html.escape, totals))}</p>"
    head = f"<thead>{row(heads, 'th')}</thead>"
    return "\n".join(["<table>", caption, head, "<tbody>", *body, "</tbody>", "</table>", foot])


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
