"""Names for NVIDIA's profilers: launches within NVTX ranges, so that Nsight shows layers where kernels run.

A recording of launches is one thing to a profiler.  Launches with ranges are therefore started one by one, which
costs the host some microseconds each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netdsl.cuda.card import Bound, BoundStep, Card
from netdsl.extras import need


def need_ranges() -> Any:
    """The package nvtx; NetError where it is not installed."""
    return need("nvtx", "nvtx", "naming launches for a profiler", "device")


class Ranges(Bound):
    """Steps, each in a range of its title, all of them in one with a `name`."""

    def __init__(self, card: Card, steps: Sequence[BoundStep], name: str) -> None:
        self._nvtx = need_ranges()
        self._name = name
        self._bound = [(step.title, card.bind([step])) for step in steps]

    def run(self) -> None:
        """Start all of them."""
        with self._nvtx.annotate(self._name, domain="netdsl"):
            for title, bound in self._bound:
                with self._nvtx.annotate(title, domain="netdsl"):
                    bound.run()

    def run_one(self, number: int) -> None:
        """Run one, and return when it is done."""
        title, bound = self._bound[number]
        with self._nvtx.annotate(title, domain="netdsl"):
            bound.run_one(0)
