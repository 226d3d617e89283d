"""The table and the chart of a sweep."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence

from netdsl.report.plot import Panel, Series, plot
from netdsl.report.table import Cells, table
from netdsl.report.values import value_text
from netdsl.source import counted
from netdsl.sweep.results import PARTS, Outcome
from netdsl.terminal import wrapped


def table_lines(
    rows: Sequence[Outcome], names: Sequence[str], best: int | None, criterion: str, width: int
) -> list[str]:
    """A line for each trial, the best one marked, and below what failed."""
    labels = [f"{k}{' *' if k - 1 == best else ''}" for k in range(1, len(rows) + 1)]
    cells = [Cells("trial", labels, False, 100)]
    for n, name in enumerate(names):
        cells.append(Cells(name, [r.trial.settings[name] for r in rows], False, 90 - n))
    for part, rank in zip(PARTS, (60, 20), strict=True):
        for n, name in enumerate(_values(rows, part)):
            own = 95 if (part, name) == ("validation", criterion) else rank - n
            heading = name if part == "validation" else f"{part} {name}"
            cells.append(Cells(heading, [_cell(r, part, name) for r in rows], True, own))
    lines, left = table(cells, width)
    lines += wrapped(f"(not shown at this width: {', '.join(left)})", width) if left else []
    trainings = max((r.count for r in rows), default=0)
    spread = f", mean ± spread of {counted(trainings, 'training')}" if trainings > 1 else ""
    lines += wrapped(
        f"(values of the validation set after the last epoch{spread}; *: the best {criterion})", width
    )
    for k, r in enumerate(rows, 1):
        lines += wrapped(f"trial {k}: {r.failure}", width, indent=2) if r.failure else []
    return lines


def _values(rows: Iterable[Outcome], part: str) -> list[str]:
    return list(dict.fromkeys(name for r in rows for name in r.mean.get(part, {})))


def _cell(r: Outcome, part: str, name: str) -> str:
    value = r.mean.get(part, {}).get(name)
    if value is None:
        return "-"
    text, spread = value_text(name, value), r.spread.get(part, {}).get(name)
    return text if spread is None else f"{text.removesuffix(' %')} ± {value_text(name, spread)}"


def table_csv(rows: Sequence[Outcome], names: Sequence[str]) -> str:
    """The table in full precision, with columns such as `validation accuracy` and `validation accuracy spread`."""
    columns = [(part, name) for part in PARTS for name in _values(rows, part)]
    spread = any(r.spread for r in rows)
    head = ["trial", *names, "trainings"]
    for part, name in columns:
        head += [f"{part} {name}", *([f"{part} {name} spread"] if spread else [])]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*head, "failure"])
    for k, r in enumerate(rows, 1):
        line: list[object] = [k, *(r.trial.settings[name] for name in names), r.count]
        for part, name in columns:
            kinds = (r.mean, r.spread) if spread else (r.mean,)
            line += [found.get(part, {}).get(name, "") for found in kinds]
        writer.writerow([*line, r.failure])
    return file.getvalue()


def chart(rows: Sequence[Outcome], names: Sequence[str], best: int | None, criterion: str) -> str | None:
    """The criterion against each setting that was tried, a dot for each trial, as SVG; None where nothing is done."""
    shown = [k for k, r in enumerate(rows) if math.isfinite(r.value(criterion))]
    if not shown or not names:
        return None
    panels = [_panel([rows[k] for k in shown], name, shown.index(best or 0), criterion) for name in names]
    return plot(panels).svg()


def _panel(rows: Sequence[Outcome], name: str, best: int, criterion: str) -> Panel:
    texts = [r.trial.settings[name] for r in rows]
    numbers = [*_numbers(texts)]
    marks = () if numbers else tuple(dict.fromkeys(texts))
    xs = numbers or [float(marks.index(text)) for text in texts]
    points = [(x, r.value(criterion)) for x, r in zip(xs, rows, strict=True)]
    spread = [r.spread.get("validation", {}).get(criterion, 0.0) for r in rows]
    dots = Series("", points, 0, "dots", spread, best)
    means = [
        (x, sum(same) / len(same)) for x in sorted(set(xs)) for same in [[y for u, y in points if u == x]]
    ]
    line = Series("", means, 0, "line" if len(means) == len(points) else "faint")
    few = len(means) <= max(8, len(points) // 2)
    log = bool(numbers) and min(xs) > 0 and max(xs) >= 8 * min(xs)
    return Panel(f"validation {criterion}", name, [line, dots] if few else [dots], log_x=log, marks=marks)


def _numbers(texts: Sequence[str]) -> Iterator[float]:
    """The numbers that all of the texts are; none where one is something else."""
    try:
        yield from [float(text.replace("_", "")) for text in texts]
    except ValueError:
        return
