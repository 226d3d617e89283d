"""Predictions of classes: probabilities, and the most likely names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.data import Meaning, Usage
from netdsl.data.probability import probabilities

Array = NDArray[Any]
BINARY = (Meaning.binary_logits, Meaning.binary_probabilities)
"""Each class by itself: their probabilities need not sum to 1."""


@dataclass(frozen=True)
class Answer:
    """A class by number and name, and how likely it is: a probability, a score, or a share of a map's cells."""

    number: int
    name: str
    value: float


@dataclass(frozen=True)
class Answers:
    """The best answers for each sample, and what their values are: `probability`, `score` or `share`."""

    kind: str
    rows: tuple[tuple[Answer, ...], ...]


def answers(outputs: Mapping[str, Array], usage: Usage | None, top: int = 5) -> dict[str, Answers]:
    """The `top` classes for each sample, for every output that is about classes.

    Of a map of classes these are the shares of cells where they win.  Maps of binary classes are left out.
    """
    if usage is None:
        return {}
    return {
        name: _answers(outputs[name], Meaning(said.meaning), said.classes, top)
        for name, said in usage.outputs.items()
        if name in outputs and (outputs[name].ndim == 2 or said.meaning not in BINARY)
    }


def class_names(count: int, classes: tuple[str, ...] | None) -> list[str]:
    """A name for each of `count` classes."""
    known = classes or ()
    return [known[k] if k < len(known) else f"class {k}" for k in range(count)]


def _answers(array: Array, meaning: Meaning, classes: tuple[str, ...] | None, top: int) -> Answers:
    values = probabilities(array, meaning)
    if meaning in BINARY and array.shape[-1] == 1:
        values = np.concatenate([1 - values, values], axis=-1)  # one number for two classes
    count = values.shape[-1]
    kind = "score" if meaning is Meaning.scores else "probability"
    if values.ndim > 2:
        winners = values.reshape(len(values), -1, count).argmax(axis=2)
        values = np.stack([np.bincount(row, minlength=count) / row.size for row in winners])
        kind = "share"
    names = class_names(count, classes)
    best = np.argsort(-values, axis=1, kind="stable")[:, :top]
    rows = (
        tuple(Answer(int(k), names[k], float(row[k])) for k in order if kind != "share" or row[k] > 0)
        for row, order in zip(values, best, strict=True)
    )
    return Answers(kind, tuple(rows))
