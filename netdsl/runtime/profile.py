"""Measure the time of a program, step by step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepTime:
    """Median seconds of a step, its title, the node it computes and the source-level nodes that came from."""

    title: str
    node: str
    origin: tuple[str, ...]
    seconds: float
