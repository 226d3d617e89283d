"""`netdsl bench FILE`: how long a network takes, beside other programs that run the same one."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.backend.registry import find_target
from netdsl.cli.command import UsageError, at_least_1, command, option
from netdsl.cli.common import (
    DEVICE,
    EXACT,
    FILE,
    FORMAT,
    NET,
    PRECISION,
    SET,
    TRAINING,
    Format,
    diagnostics,
    load_network,
    need_no_precision,
    print_json,
    waiting,
    with_precision,
)
from netdsl.source import suggest
from netdsl.terminal import terminal_width

if TYPE_CHECKING:
    from netdsl.backend.target import Target
    from netdsl.elaborate import Network
    from netdsl.measure.subject import Subject

#: those of `netdsl.measure.peers`, which waits for NumPy
PEERS = ("onnxruntime", "openvino")
UNTRAINED = (
    "not compared: peers compute what is exported, which is the prediction; a PyTorch module of the same network "
    "has to be written by hand, as in benchmarks/training.py"
)


def _numbers(word: str) -> list[int]:
    """A `type` for one number or several: `1,16`."""
    return [at_least_1(part) for part in word.split(",")]


def _peers(word: str) -> list[str]:
    """A `type` for names of peers, or none."""
    names = [] if word == "none" else word.split(",")
    for name in names:
        if name not in PEERS:
            near = suggest(name, PEERS)
            hint = f"; did you mean {near}?" if near else f"; there are {', '.join(PEERS)}, and none"
            raise argparse.ArgumentTypeError(f"no peer is called {name}{hint}")
    return names


@command(
    FILE,
    SET,
    NET,
    option(
        "--batch",
        type=_numbers,
        metavar="N,...",
        help="one batch size or several, such as 1,16 (default: 1; of a training step that of its section)",
    ),
    TRAINING,
    option(
        "--peers",
        type=_peers,
        known=lambda: (*PEERS, "none"),
        metavar="NAME,...",
        help="onnxruntime, openvino, or none (default: those that are installed)",
    ),
    option("--rounds", type=at_least_1, default=5, metavar="N", help="turns of everybody (default: 5)"),
    DEVICE,
    PRECISION,
    EXACT,
    option(
        "--threads",
        type=_numbers,
        metavar="N,...",
        help="one number of threads or several, such as 1,2 (default: all processors)",
    ),
    FORMAT,
)
def app(
    file: Path,
    settings: list[str],
    net: str | None,
    batch: list[int] | None,
    training: bool,
    peers: list[str] | None,
    rounds: int,
    device: str,
    precision: str | None,
    exact: bool | None,
    threads: list[int] | None,
    form: Format,
) -> None:
    """Measure a network, in turns with other programs that run the same one with the same weights."""
    if peers and (training or device != "cpu"):
        what = "a training step" if training else f"--device {device}"
        raise UsageError(f"--peers is for predictions on the CPU, not for {what}")
    if threads and device != "cpu":
        raise UsageError(f"--threads is an option of the CPU, not of {device}")
    if not training:
        need_no_precision(settings)
    names = [] if training or device != "cpu" else PEERS if peers is None else peers
    with diagnostics(form):
        from netdsl.measure.bench import bench, page, to_json

        subjects = _subjects(
            lambda size: load_network(
                file, with_precision(settings, precision if training else None), net, size
            ),
            training,
            [(size, count) for size in batch or [0] for count in threads or [0]],
            lambda count: find_target(
                device, threads=count, precision=None if training else precision, exact=exact
            ),
        )
        with waiting("measuring"):
            found = bench(subjects, names, rounds, asked=peers is not None)
        if training:
            found = replace(found, notes=(*found.notes, UNTRAINED))
    if form is Format.json:
        print_json(to_json(found))
    else:
        print(page(found, terminal_width()))


def _subjects(
    load: Callable[[int], Network],
    training: bool,
    sizes: Sequence[tuple[int, int]],
    device: Callable[[int | None], Target[Any]],
) -> Iterator[Subject]:
    """What is measured for each batch and number of threads, of which 0 are the defaults; one at a time is kept."""
    from netdsl.measure.subject import prediction, training_step

    for size, count in sizes:
        network, target = load(size or 1), device(count or None)
        yield training_step(network, size or None, target) if training else prediction(network, target)
