"""`netdsl`: the list of commands.

Each command is a module of its name, imported only when it is called: importing all of them would take longer than
most commands run.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from netdsl.cli.streams import exit_status, say

if TYPE_CHECKING:
    from netdsl.cli.command import Command, Group

COMMANDS = {
    "check": "check a network: syntax, shapes, asserts and expects",
    "fmt": "format .net files",
    "shapes": "the output shape of every layer",
    "params": "the parameters and costs of every layer",
    "report": "all of it: memory, receptive fields, intensity",
    "draw": "a drawing as SVG, HTML or DOT",
    "diff": "what changed between two networks",
    "compare": "networks side by side, and a chart",
    "explain-shape": "how the shape of a layer came about",
    "compile": "compile a network and report what was done",
    "profile": "where the time of a run goes, step by step",
    "bench": "how long a network takes, beside other programs",
    "train": "train a network on the data that its file names",
    "eval": "evaluate a trained network on its test data",
    "run": "run a trained network on arrays or an image",
    "lr-range": "which learning rate: the loss while it rises",
    "sweep": "train with many settings, and say which are the best",
    "curves": "how the loss and the metrics of runs went",
    "average": "one network with the mean of the weights of several",
    "ops": "the op library and its documentation",
    "data": "the data sets: list them, get them",
    "doctor": "what this machine offers: threads, vectors, cache, GPU",
    "completion": "the Tab key for bash, zsh and fish",
    "help": "this list, or the help of a command",
}


def usage() -> str:
    """What `netdsl --help` prints, as wide as the terminal."""
    from netdsl.terminal import terminal_width, wrapped

    page, column = terminal_width(), max(map(len, COMMANDS)) + 4
    lines = wrapped("Write a neural network down as text, understand it, train it and run it fast.", page)
    lines += ["", "usage: netdsl COMMAND [ARGUMENTS]", "", "commands:"]
    for name, text in COMMANDS.items():
        first, *more = wrapped(text, page - column)
        lines += [f"  {name}".ljust(column) + first, *(" " * column + line for line in more)]
    end = "netdsl help COMMAND tells more; netdsl --version tells the version."
    return "\n".join([*lines, "", *wrapped(end, page)])


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry point of the `netdsl` script; ends by SystemExit, with the status that `streams.exit_status` lists."""
    # A command makes many objects that stay: looking for garbage after every 700 takes a tenth of a short one's time.
    gc.set_threshold(50_000)
    words = sys.argv[1:] if arguments is None else list(arguments)
    raise SystemExit(exit_status(lambda: _run(words or ["--help"])) or 0)


def _run(words: Sequence[str]) -> None:
    if words[0] in ("-h", "--help"):
        print(usage())
    elif words[0] == "--version":
        from importlib.metadata import version

        print(f"netdsl {version('netdsl')}")
    else:
        from netdsl.cli.common import diagnostics

        # NumPy's BLAS threads would compete with ours; netdsl does not use them.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        with warnings_shown(), diagnostics():
            call_command(words)


def call_command(words: Sequence[str]) -> None:
    """Call the command that the first word names; raises SystemExit with 2 for an unknown one."""
    name, *rest = words
    if name not in COMMANDS:
        raise SystemExit(_unknown(name))
    find_command(name)(rest, f"netdsl {name}")


def find_command(name: str) -> Command | Group:
    """The command of a name; its module is imported now."""
    found: Command | Group = importlib.import_module(f"netdsl.cli.{name.replace('-', '_')}").app
    return found


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Print our own warnings on stderr as the diagnostics they are, each once."""
    from netdsl.cli.common import clear_waiting
    from netdsl.cli.common import shown as shown_as
    from netdsl.source import NetWarning

    shown, said = warnings.showwarning, set[str]()

    def show(message: Warning | str, *place: Any, **more: Any) -> None:
        if isinstance(message, NetWarning):
            # Python's own "once" is reset whenever a library sets a filter.
            if str(message) not in said:
                said.add(str(message))
                clear_waiting()
                say(shown_as(message.diagnostic))
        else:
            shown(message, *place, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("always", NetWarning)
        warnings.showwarning = show
        yield


def _unknown(name: str) -> int:
    from netdsl.source import suggest

    near = suggest(name, COMMANDS)
    hint = f"; did you mean {near}?" if near else ""
    say(f"netdsl: no command is called {name}{hint}")
    say("netdsl help lists the commands")
    return 2
