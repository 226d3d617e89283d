"""`netdsl profile FILE`: where the time of a run goes, and what the machine could do at best."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path

from netdsl.backend.registry import find_target
from netdsl.cli.command import Choice, UsageError, at_least_1, command, need_place, option, path
from netdsl.cli.common import (
    DEVICE,
    EXACT,
    FILE,
    FORMAT,
    NET,
    PRECISION,
    SET,
    THREADS,
    TRAINING,
    Format,
    diagnostics,
    load_network,
    need_no_precision,
    print_json,
    waiting,
    with_precision,
    writing,
)
from netdsl.terminal import terminal_width


class By(StrEnum):
    """What `--by` sums up."""

    step = "step"
    layer = "layer"
    kind = "kind"


@command(
    FILE,
    SET,
    NET,
    option(
        "--batch",
        type=at_least_1,
        metavar="N",
        help="batch size (default: 1; of a training step that of its section)",
    ),
    TRAINING,
    option(
        "--by",
        type=Choice(By),
        metavar="WHAT",
        help="a row for each step (default), layer or kind of step",
    ),
    option("--top", type=at_least_1, metavar="N", help="the N longest (default: 20, in JSON all)"),
    option(
        "--trace",
        type=path,
        files="*.json",
        metavar="FILE",
        help="write a Chrome trace, for chrome://tracing and ui.perfetto.dev",
    ),
    option(
        "--compare",
        choices=("onnxruntime",),
        metavar="PEER",
        help="set the layers beside those of onnxruntime",
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
    batch: int | None,
    training: bool,
    by: By | None,
    top: int | None,
    trace: Path | None,
    compare: str | None,
    device: str,
    precision: str | None,
    exact: bool | None,
    threads: int | None,
    form: Format,
) -> None:
    """Run a network on random data; print the time of every step beside what this machine could do at best."""
    if not training:
        need_no_precision(settings)
    need_place(trace, "--trace")
    if compare is not None:
        _need_comparable(compare, training, device, by)
    with diagnostics(form):
        given = with_precision(settings, precision) if training else settings
        network = load_network(file, given, net, batch or 1)

        from netdsl.files import atomic_write
        from netdsl.measure import beside, table
        from netdsl.measure.profile import profile
        from netdsl.measure.subject import prediction, training_step
        from netdsl.measure.trace import to_trace

        with waiting("compiling"):
            if training:
                subject = training_step(network, batch, find_target(device, threads=threads, exact=exact))
            else:
                target = find_target(device, threads=threads, precision=precision, exact=exact)
                subject = prediction(network, target)
        with waiting("measuring"):
            found = profile(subject)
            peer = beside.beside(found) if compare else None
    if trace is not None:
        with writing(trace):
            atomic_write(trace, json.dumps(to_trace(found), allow_nan=False).encode())
    rows = by if by is not None else By.layer if peer else By.step
    if form is Format.json:
        print_json(
            {**table.to_json(found, rows.value, top), **({"peer": beside.to_json(peer)} if peer else {})}
        )
        return
    width = terminal_width()
    print(beside.page(found, peer, top, width) if peer else table.page(found, rows.value, top, width))
    if trace is not None:
        print(f"written to {trace}: chrome://tracing and ui.perfetto.dev show it")


def _need_comparable(peer: str, training: bool, device: str, by: By | None) -> None:
    """Raise UsageError for what a peer has nothing to be set beside."""
    if training:
        raise UsageError(f"--compare {peer} is for predictions: a training step is not exported")
    if device != "cpu":
        raise UsageError(f"--compare {peer} is for the CPU, not for --device {device}")
    if by not in (None, By.layer):
        raise UsageError(f"--compare {peer} sets layers beside layers, not --by {by}")
