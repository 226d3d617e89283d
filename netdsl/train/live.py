"""Curves of the running training in a notebook."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from netdsl.report.curves import Curve, panels
from netdsl.report.plot import plot
from netdsl.train.callback import Callback
from netdsl.train.checkpoint import EpochResult
from netdsl.train.loop import Loop


@dataclass(frozen=True)
class LiveDrawing:
    """A drawing that a notebook shows."""

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg


class LiveCurves(Callback):
    """Draws the loss and the metrics of a training in a notebook, anew after each epoch, in one place.

    `names` are the values to draw, in their order; by default all that are numbers.  IPython is used where a notebook
    runs it, and never imported otherwise.

    Raises RuntimeError at the start where no notebook is there: `netdsl curves` draws in a terminal.
    """

    def __init__(self, *names: str) -> None:
        self._names = names

    def on_train_begin(self, loop: Loop) -> None:
        """Find the notebook."""
        self._display, self._handle = _display(), None
        if loop.progress.history:
            self._show(loop.progress.history)

    def on_epoch_end(self, loop: Loop, result: EpochResult) -> None:
        """Draw all epochs."""
        self._show(loop.progress.history)

    def _show(self, history: Sequence[EpochResult]) -> None:
        picture = LiveDrawing(drawn(history, self._names))
        if self._handle is None:
            self._handle = self._display(picture, display_id=True)
        else:
            self._handle.update(picture)


def drawn(history: Sequence[EpochResult], names: Sequence[str] = ()) -> str:
    """The curves of these epochs as SVG, a panel for each value."""
    known = {**history[-1].train, **(history[-1].validation or {})}
    wanted = names or [name for name, value in known.items() if not isinstance(value, list)]
    curves: dict[str, list[Curve]] = {}
    for name in wanted:
        curves[name] = []
        for k, part in enumerate(("train", "validation")):
            points = [(float(r.epoch), (getattr(r, part) or {}).get(name)) for r in history]
            there = [(x, float(y)) for x, y in points if y is not None]
            if there:
                curves[name].append(Curve("", part, there, k))
    return plot(panels(curves, "epoch")).svg()


def _display() -> Callable[..., Any]:
    """IPython's display of the notebook that runs this."""
    shell = sys.modules.get("IPython")
    if shell is None or shell.get_ipython() is None:
        raise RuntimeError(
            "LiveCurves draws in a notebook, and there is none: netdsl curves draws in a terminal"
        )
    from importlib import import_module

    found: Callable[..., Any] = import_module("IPython.display").display
    return found
