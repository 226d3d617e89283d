"""Shared by the commands: options, loading a network, and reporting errors.

Exit status: 0 when all went well, 1 for a diagnostic, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from netdsl.backend.registry import TARGETS, parts
from netdsl.cli.command import Choice, UsageError, at_least_1, option, path
from netdsl.cli.streams import columns, has_colours, say
from netdsl.source import Diagnostic, NetError, counted, painted
from netdsl.terminal import fitted

if TYPE_CHECKING:
    from netdsl.elaborate import Network


def _device(word: str) -> str:
    """A `type` for the name of a device; whether it is there is asked when it is to compute."""
    try:
        parts(word)
    except NetError as error:
        problem = error.diagnostics[0]
        raise argparse.ArgumentTypeError(f"{problem.message}; {problem.fix}") from None
    return word


def _precisions() -> tuple[str, ...]:
    """What there is to multiply in; asked for late, since primitives take a third of the time to start."""
    from netdsl.primitives.precision import PRECISIONS

    return PRECISIONS


def _precision(word: str) -> str:
    """A `type` for what contractions multiply in; whether the device has it is asked of the device."""
    if word not in _precisions():
        from netdsl.primitives.precision import wrong_precision

        text, fix = wrong_precision(word)
        raise argparse.ArgumentTypeError(f"{text}; {fix}" if fix else text)
    return word


class Format(StrEnum):
    """How a report is printed."""

    table = "table"
    json = "json"


FILE = option("file", type=path, files="*.net", metavar="FILE", help="a .net file, or - for stdin")
FILES = option(
    "files", type=path, files="*.net", nargs="+", metavar="FILE", help=".net files, or - for stdin"
)
SET = option(
    "--set",
    dest="settings",
    action="append",
    default=[],
    metavar="NAME=VALUE",
    help="override a setting, such as train.epochs=3",
)
NET = option("--net", metavar="NAME", help="a preset, or which net where the file has several")
FORMAT = option(
    "--format",
    dest="form",
    type=Choice(Format),
    default=Format.table,
    metavar="FORMAT",
    help="table for people (default), json for scripts",
)
BATCH = option("--batch", type=at_least_1, default=1, metavar="N", help="batch size (default: 1)")
THREADS = option(
    "--threads", type=at_least_1, metavar="N", help="threads to compute with (default: all processors)"
)
DEVICE = option(
    "--device",
    type=_device,
    known=lambda: (*TARGETS, "cuda:1"),
    default="cpu",
    metavar="DEVICE",
    help="what computes: cpu (default), cuda (an NVIDIA GPU; cuda:1 the second), or reference (NumPy, for checking)",
)

PRECISION = option(
    "--precision",
    type=_precision,
    known=_precisions,
    metavar="TYPE",
    help="what contractions multiply in, on cuda: f32 (default), tf32, or bf16",
)
TRAINING = option("--training", action="store_true", help="the training step, not the prediction")

EXACT = option(
    "--exact",
    action="store_const",
    const=True,
    help="on cpu, no algorithm for convolutions that is faster and rounds more (Winograd)",
)


def parse_overrides(settings: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` words as a mapping; anything else is wrong usage."""
    pairs: dict[str, str] = {}
    for word in settings:
        name, equals, value = word.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"argument --set: {word!r} is not NAME=VALUE")
        pairs[name.strip()] = value.strip()
    return pairs


_TRAINED_IN = "train.precision"


def with_precision(settings: Sequence[str], precision: str | None) -> list[str]:
    """The words of `--set` with that of `--precision`, which is short for one of a training."""
    if precision is None:
        return [*settings]
    if _TRAINED_IN in parse_overrides(settings):
        raise UsageError(f"argument --precision: not allowed with --set {_TRAINED_IN}")
    return [*settings, f"{_TRAINED_IN}={precision}"]


def need_no_precision(settings: Sequence[str]) -> None:
    """Refuse the setting of a training, as wrong usage, where nothing is trained and it would do nothing."""
    if found := parse_overrides(settings).get(_TRAINED_IN):
        text = f"{_TRAINED_IN} is what a training multiplies in; --precision {found} is for this command"
        raise UsageError(f"argument --set: {text}")


def precision_apart(settings: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Settings of a training without its precision, and the option by which any command computes in that."""
    rest = {name: text for name, text in settings.items() if name != _TRAINED_IN}
    return rest, ["--precision", settings[_TRAINED_IN]] if _TRAINED_IN in settings else []


def load_network(file: Path, settings: Sequence[str], net: str | None, batch: int = 1) -> Network:
    """The network of a file; raises NetError."""
    from netdsl.elaborate import elaborate
    from netdsl.syntax.read import read_source

    return elaborate(read_source(file), batch=batch, overrides=parse_overrides(settings), net=net)


@contextmanager
def diagnostics(form: Format = Format.table) -> Iterator[None]:
    """Turn a NetError into its message and exit status 1."""
    try:
        yield
    except NetError as error:
        fail(error.diagnostics, form)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error of the file system into a message that names the file that was asked for, and exit status 1."""
    try:
        yield
    except OSError as error:
        fail([Diagnostic("file", f"cannot write {path}: {error.strerror}")])


def fail(problems: Sequence[Diagnostic], form: Format = Format.table) -> NoReturn:
    """Print diagnostics, on stderr as text or on stdout as JSON, and exit with 1."""
    if form is Format.json:
        # The command already fails; a closed pipe does not change its status.
        with suppress(BrokenPipeError):
            print(json.dumps({"errors": [d.to_json() for d in problems]}, indent=2))
    else:
        say("\n\n".join(map(shown, problems)))
        if len(problems) > 1:
            say(f"\n{counted(len(problems), 'error')}")
    raise SystemExit(1)


def shown(diagnostic: Diagnostic) -> str:
    """A diagnostic for standard error: wrapped and coloured for a terminal."""
    text = diagnostic.render(columns(sys.stderr))
    return painted(text) if has_colours(sys.stderr) else text


_waits: list[str] = []
"""The message that stands in the line of the cursor."""


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show a message in a terminal while the body runs; a warning takes its place."""
    if columns(sys.stdout) is not None and os.environ.get("TERM") != "dumb":
        print(f"{text} ...", end="", flush=True)
        _waits.append(text)
    try:
        yield
    finally:
        clear_waiting()


def clear_waiting() -> None:
    """Take the message away."""
    if _waits:
        _waits.clear()
        print("\r\033[K", end="", flush=True)


def print_page(text: str) -> None:
    """Print a text; in a terminal, lines that are too wide are broken between words."""
    print(fitted(text, columns(sys.stdout)))


def print_json(data: Any) -> None:
    """A report as JSON on stdout."""
    print(json.dumps(data, indent=2, allow_nan=False))
