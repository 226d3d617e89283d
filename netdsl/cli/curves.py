"""`netdsl curves RUN...`: how the loss and the metrics of training runs went."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.cli.command import UsageError, command, option
from netdsl.cli.common import diagnostics, print_page, writing
from netdsl.cli.streams import has_colours

if TYPE_CHECKING:
    from netdsl.report.curves import Curve
    from netdsl.report.plot import Panel
    from netdsl.train.run_log import RunLog

ENDINGS = (".svg", ".png")
_HEIGHT = 12


def _share(word: str) -> float:
    """A `type` for `--smooth`."""
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not a number from 0 to below 1")
    return value


@command(
    option(
        "runs",
        type=Path,
        nargs="+",
        files="/",
        metavar="RUN",
        help="folders of netdsl train, or their metrics.jsonl",
    ),
    option(
        "-o",
        "--output",
        dest="out",
        type=Path,
        files="*",
        metavar="FILE",
        help="draw into a .svg or .png file instead of the terminal",
    ),
    option(
        "--only",
        metavar="NAMES",
        help="the values to draw, such as loss,accuracy (default: all)",
    ),
    option(
        "--smooth",
        type=_share,
        default=0.0,
        metavar="WEIGHT",
        help="a running mean, from 0 (none, default) to below 1, such as 0.8",
    ),
    option("--log", action="store_true", help="values on a logarithmic axis"),
)
def app(runs: list[Path], out: Path | None, only: str | None, smooth: float, log: bool) -> None:
    """Draw the curves of runs: training dashed, validation solid, a colour for each run."""
    from netdsl.train.run_log import read_log

    if out is not None and out.suffix not in ENDINGS:
        raise UsageError(f"argument -o: {out} ends in none of {', '.join(ENDINGS)}")
    with diagnostics():
        logs = [read_log(path) for path in dict.fromkeys(runs)]
        shown = _panels(logs, _names(logs, only), smooth, log)
        show(shown, out)


def show(panels: Sequence[Panel], out: Path | None) -> None:
    """Draw panels into a file or into the terminal."""
    from netdsl.files import atomic_write
    from netdsl.report.plot import plot
    from netdsl.report.plot_text import plot_text
    from netdsl.report.raster import png
    from netdsl.terminal import terminal_width

    if out is None:
        # The last column stays free: some terminals break a line that fills it.
        width = min(terminal_width(), 120) - 1
        print("\n".join(plot_text(panels, width, _HEIGHT, has_colours(sys.stdout))))
        return
    canvas = plot(panels)
    data = png(canvas) if out.suffix == ".png" else canvas.svg().encode()
    with writing(out):
        atomic_write(out, data)
    print_page(f"drawn to {out}")


def _names(logs: Sequence[RunLog], only: str | None) -> list[str]:
    """The values to draw, in the order of the logs, or of those that were asked for."""
    from netdsl.source import Diagnostic, NetError, suggest
    from netdsl.train.run_log import values_of

    found = [
        name
        for log in logs
        for event in log.epochs
        for part in ("train", "validation")
        for name in values_of(event, part)
    ]
    known = list(dict.fromkeys(found))
    if not known:
        told = f"{logs[0].name} has" if len(logs) == 1 else "the runs have"
        raise NetError(Diagnostic("log", f"{told} no epoch that is done"))
    wanted = known if only is None else [name.strip() for name in only.split(",")]
    for name in wanted:
        if name not in known:
            near = suggest(name, known)
            fix = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
            raise UsageError(f"argument --only: no run has the value {name}; {fix}")
    return wanted


def _panels(logs: Sequence[RunLog], names: Sequence[str], smooth: float, log: bool) -> list[Panel]:
    from netdsl.report.curves import panels

    titles = _titles([run.name for run in logs])
    curves = {name: list(_curves(logs, titles, name)) for name in names}
    return panels(curves, "epoch", smooth, log)


def _curves(logs: Sequence[RunLog], titles: Sequence[str], name: str) -> Iterator[Curve]:
    from netdsl.report.curves import Curve
    from netdsl.train.run_log import values_of

    both = len(logs) == 1
    for number, (run, title) in enumerate(zip(logs, titles, strict=True)):
        for k, part in enumerate(("train", "validation")):
            points = [(float(e["epoch"]), values_of(e, part).get(name)) for e in run.epochs]
            there = [(x, y) for x, y in points if y is not None]
            if there:
                yield Curve(title, part, there, k if both else number)


def _titles(names: Sequence[str]) -> list[str]:
    """The names of folders without what all of them begin with."""
    if len(names) < 2:
        return [Path(name).name or name for name in names]
    common = os.path.commonpath([Path(name).absolute() for name in names])
    return [os.path.relpath(Path(name).absolute(), common) for name in names]
