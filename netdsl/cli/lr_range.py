"""`netdsl lr-range FILE`: which learning rate."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.backend.registry import find_target
from netdsl.cli.command import UsageError, command, need_ending, option, path
from netdsl.cli.common import (
    DEVICE,
    EXACT,
    FILE,
    FORMAT,
    NET,
    PRECISION,
    SET,
    THREADS,
    Format,
    diagnostics,
    load_network,
    print_json,
    print_page,
    waiting,
    with_precision,
)

if TYPE_CHECKING:
    from netdsl.report.plot import Panel
    from netdsl.train.range_test import RangeTest


def _rate(word: str) -> float:
    """A `type` for rates."""
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{word!r} is not a rate above 0")
    return value


def _steps(word: str) -> int:
    """A `type` for `--steps`."""
    if not word.isdecimal() or not 10 <= int(word) < 10**6:
        raise argparse.ArgumentTypeError(f"{word!r} is not a number of steps from 10")
    return int(word)


@command(
    FILE,
    SET,
    NET,
    option(
        "--from", dest="low", type=_rate, default=1e-7, metavar="RATE", help="the first rate (default: 1e-7)"
    ),
    option("--to", dest="high", type=_rate, default=10.0, metavar="RATE", help="the last rate (default: 10)"),
    option("--steps", type=_steps, default=100, metavar="N", help="steps at most (default: 100)"),
    option(
        "-o",
        "--output",
        dest="out",
        type=path,
        files="*",
        metavar="FILE",
        help="draw into a .svg or .png file instead of the terminal",
    ),
    DEVICE,
    PRECISION,
    EXACT,
    THREADS,
    FORMAT,
)
def app(
    file: Path,
    settings: list[str],
    net: str | None,
    low: float,
    high: float,
    steps: int,
    out: Path | None,
    device: str,
    precision: str | None,
    exact: bool | None,
    threads: int | None,
    form: Format,
) -> None:
    """Raise the learning rate from step to step, draw the loss, and suggest a rate; no run is kept."""
    from netdsl.cli.curves import ENDINGS, show
    from netdsl.train import Trainer
    from netdsl.train.range_test import lr_range
    from netdsl.train.sections import training_sections

    if low >= high:
        raise UsageError(f"argument --to: {high:g} is not above --from, {low:g}")
    need_ending(out, ENDINGS)
    settings = with_precision(settings, precision)
    with diagnostics(form):
        target = find_target(device, threads=threads, exact=exact)
        sections = training_sections(load_network(file, settings, net))
        network = load_network(file, settings, net, sections.settings.batch)
        with waiting("compiling"):
            trainer = Trainer(network, device=target)
        with waiting("training"):
            found = lr_range(trainer, low, high, steps)
    if form is Format.json:
        columns = {"rates": found.rates, "losses": found.losses, "smoothed": found.smoothed}
        told = {"suggestion": found.suggestion, "doubt": found.doubt, "exploded": found.exploded}
        print_json({**told, **columns})
    else:
        show([_panel(found)], out)
        print_page(_said(found))


def _panel(found: RangeTest) -> Panel:
    """The losses, faint, and their mean, with the suggestion marked; no higher than the mean rises."""
    from netdsl.report.plot import Panel, Series

    top = 1.5 * max(found.smoothed)
    losses = [(x, y if y < top else math.nan) for x, y in zip(found.rates, found.losses, strict=True)]
    means = list(zip(found.rates, found.smoothed, strict=True))
    best = None if found.suggestion is None else found.rates.index(found.suggestion)
    series = [Series("", losses, 0, "faint"), Series("mean", means, 1, best=best)]
    return Panel("loss", "learning rate", series, log_x=True)


def _said(found: RangeTest) -> str:
    last = f"{found.rates[-1]:.2g}"
    end = f"the loss explodes at {last}" if found.exploded else f"the loss does not explode up to {last}"
    if found.suggestion is None:
        fix = "more --steps, or others of --from and --to, may show more"
        return f"{end}; the curve does not tell a rate: {found.doubt or 'nowhere it falls'}; {fix}"
    return f"{end}; it falls fastest at {found.suggestion:.2g}: lr = {found.suggestion:.2g}"
