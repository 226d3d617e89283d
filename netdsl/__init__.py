"""netdsl: write a neural network down as text, understand it, train it and run it fast.

The names here are imported when they are first used, so that a shape report does not wait for a compiler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.lazy import lazy

if TYPE_CHECKING:
    from netdsl.api import compile, load, restore, summary  # noqa: A004 - the name of the thing
    from netdsl.autodiff import grad
    from netdsl.runtime import Program
    from netdsl.source import NetError
    from netdsl.train import Trainer

__all__ = ["NetError", "Program", "Trainer", "compile", "grad", "load", "restore", "summary"]

_HOMES = {
    "NetError": "netdsl.source",
    "Program": "netdsl.runtime",
    "Trainer": "netdsl.train",
    "compile": "netdsl.api",
    "grad": "netdsl.autodiff",
    "load": "netdsl.api",
    "restore": "netdsl.api",
    "summary": "netdsl.api",
}

__getattr__, __dir__ = lazy("netdsl", _HOMES)
