"""`netdsl`: the list of commands.

Each lives in the module of its name and is imported only when it is called, so that all of them start fast:
importing all of them would take longer than most of them run.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from netdsl.source import NetWarning

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
    "train": "train a network on the data that its file names",
    "eval": "evaluate a trained network on its test data",
    "run": "run a trained network on arrays or an image",
    "ops": "the op library and its documentation",
    "data": "the data sets: list them, get them",
    "doctor": "what this machine offers: threads, vectors, cache, GPU",
}


def usage() -> str:
    """What `netdsl --help` prints."""
    width = max(map(len, COMMANDS))
    lines = ["Write a neural network down as text, understand it, train it and run it fast.", ""]
    lines += ["usage: netdsl COMMAND [ARGUMENTS]", "", "commands:"]
    lines += [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join([*lines, "", "netdsl COMMAND --help tells more; netdsl --version tells the version."])


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `netdsl` script; ends by SystemExit with status 0, 1 (diagnostic) or 2 (usage)."""
    name, *rest = (sys.argv[1:] if arguments is None else list(arguments)) or ["--help"]
    if name in ("-h", "--help"):
        print(usage())
        raise SystemExit(0)
    if name == "--version":
        from importlib.metadata import version

        print(f"netdsl {version('netdsl')}")
        raise SystemExit(0)
    if name not in COMMANDS:
        raise SystemExit(_unknown(name))
    # NumPy's own threads would spin beside ours; nothing here is computed by its BLAS.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    app: Callable[[Sequence[str], str], None] = importlib.import_module(
        f"netdsl.cli.{name.replace('-', '_')}"
    ).app
    try:
        with warnings_shown():
            app(rest, f"netdsl {name}")
    except BrokenPipeError:
        # The reader (head, less) has what it wanted.
        sys.stderr.close()
        raise SystemExit(0) from None
    raise SystemExit(0)


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Print our own warnings on stderr as the diagnostics they are, each once."""
    shown = warnings.showwarning

    def show(message: Warning | str, *place: Any) -> None:
        if isinstance(message, NetWarning):
            print(message, file=sys.stderr)
        else:
            shown(message, *place)

    with warnings.catch_warnings():
        warnings.simplefilter("once", NetWarning)
        warnings.showwarning = show
        yield


def _unknown(name: str) -> int:
    from netdsl.source import suggest

    near = suggest(name, COMMANDS)
    print(
        f"netdsl: no command is called {name}" + (f"; did you mean {near}?" if near else ""), file=sys.stderr
    )
    print("netdsl --help lists the commands", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
