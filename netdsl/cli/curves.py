"""`netdsl curves RUN...`: how the loss and the metrics of training runs went."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.cli.command import UsageError, command, need_ending, option, path
from netdsl.cli.common import diagnostics, print_page, writing
from netdsl.cli.streams import has_colours
from netdsl.cli.sweeps import tried_in
from netdsl.source import Diagnostic, NetError, suggest

if TYPE_CHECKING:
    from netdsl.report.canvas import Point
    from netdsl.report.curves import Curve
    from netdsl.report.plot import Panel
    from netdsl.train.run_log import Event, RunLog

ENDINGS = (".svg", ".png")
_HEIGHT = 12
#: the parts of an event `watch`, and what is written above their curves
_KINDS = {
    "gradients": "norm of the gradient",
    "weights": "norm of the weights",
    "updates": "last update / weights",
    "activations": "root mean square of what comes out",
    "dead": "share of dead channels",
}


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
        type=path,
        nargs="+",
        files="/",
        metavar="RUN",
        help="folders of netdsl train, their metrics.jsonl, or folders of several runs: folds, a sweep, runs",
    ),
    option(
        "-o",
        "--output",
        dest="out",
        type=path,
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
    option("--watch", action="store_true", help="draw what netdsl train --watch has logged, by layer"),
    option("--log", action="store_true", help="values on a logarithmic axis"),
)
def app(runs: list[Path], out: Path | None, only: str | None, smooth: float, watch: bool, log: bool) -> None:
    """Draw the curves of runs: training dashed, validation solid, a colour for each run.

    A folder without a run of its own stands for the runs in it: its folds, or those of a sweep.
    """
    from netdsl.report.curves import panels
    from netdsl.train.folder import runs_of
    from netdsl.train.run_log import read_log

    need_ending(out, ENDINGS)
    with diagnostics():
        paths = dict.fromkeys(run for path in runs for run in runs_of(path))
        above = dict.fromkeys(place for run in paths for place in run.parents)
        tried = {str(run): text for place in above for run, text in tried_in(place).items()}
        logs = [read_log(path) for path in paths]
        titles = _titles([log.name for log in logs], tried)
        curves = _watched(logs, titles) if watch else _losses(logs, titles)
        if watch and not curves:
            raise _unwatched(logs)
        shown = panels({name: curves[name] for name in _chosen(curves, only, logs)}, "epoch", smooth, log)
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


def _chosen(curves: Mapping[str, object], only: str | None, logs: Sequence[RunLog]) -> list[str]:
    """The values to draw: all, or those that were asked for in their order."""
    if not curves:
        told = f"{logs[0].name} has" if len(logs) == 1 else "the runs have"
        raise NetError(Diagnostic("log", f"{told} no epoch that is done, or none of what is to be drawn"))
    wanted = list(curves) if only is None else [name.strip() for name in only.split(",")]
    for name in wanted:
        if name not in curves:
            near = suggest(name, curves)
            fix = f"did you mean {near}?" if near else f"there are {', '.join(curves)}"
            raise UsageError(f"argument --only: no run has the value {name}; {fix}")
    return wanted


def _unwatched(logs: Sequence[RunLog]) -> NetError:
    told = f"{logs[0].name} has" if len(logs) == 1 else "the runs have"
    fix = "netdsl train FILE --watch gradients,weights,activations records it, or some of these"
    return NetError(Diagnostic("log", f"{told} no record of the inside of the network", fix=fix))


def _losses(logs: Sequence[RunLog], titles: Sequence[str]) -> dict[str, list[Curve]]:
    """The loss and the metrics by name: a curve for each run and set; of one run each set has a colour."""
    from netdsl.report.curves import Curve

    found: dict[str, list[Curve]] = {}
    for number, (log, title) in enumerate(zip(logs, titles, strict=True)):
        for k, part in enumerate(("train", "validation")):
            for name, points in _points(log.epochs, part).items():
                found.setdefault(name, []).append(Curve(title, part, points, k if len(logs) == 1 else number))
    return found


def _watched(logs: Sequence[RunLog], titles: Sequence[str]) -> dict[str, list[Curve]]:
    """What was watched by kind: a curve for each layer, in the same colour in every panel."""
    from netdsl.report.curves import Curve

    found: dict[str, list[Curve]] = {}
    colours: dict[tuple[str, str], int] = {}
    for log, title in zip(logs, titles, strict=True):
        for kind, heading in _KINDS.items():
            curves = found.setdefault(heading, [])
            for layer, points in _points(log.watched, kind).items():
                curves.append(Curve(title, layer, points, colours.setdefault((title, layer), len(colours))))
    return {heading: curves for heading, curves in found.items() if curves}


def _points(events: Sequence[Event], part: str) -> dict[str, list[Point]]:
    """The values of a part of events over their epochs, by name."""
    from netdsl.train.run_log import values_of

    found: dict[str, list[Point]] = {}
    for event in events:
        for name, value in values_of(event, part).items():
            found.setdefault(name, []).append((float(event["epoch"]), value))
    return found


def _titles(names: Sequence[str], tried: Mapping[str, str]) -> list[str]:
    """The names of folders without what all of them begin with, and the settings that a sweep `tried` in them."""
    if len(names) < 2:
        found = [Path(name).name or name for name in names]
    else:
        common = os.path.commonpath([Path(name).absolute() for name in names])
        found = [os.path.relpath(Path(name).absolute(), common) for name in names]
    settings = [
        [tried[str(place)] for place in (Path(name), *Path(name).parents) if str(place) in tried]
        for name in names
    ]
    return [" ".join([title, *own]) for title, own in zip(found, settings, strict=True)]
