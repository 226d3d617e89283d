"""Outputs as people read them, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.predict.answers import Answers
from netdsl.predict.samples import Samples
from netdsl.source import counted

Array = NDArray[Any]
SHOWN = 20
"""Samples that are printed."""
_UNIT = {"probability": "", "score": "", "share": " of the cells"}


def lines(
    outputs: Mapping[str, Array], found: Mapping[str, Answers], samples: Samples, width: int
) -> Iterator[str]:
    """The first samples: names and probabilities, or the first values of outputs that are not about classes."""
    for number in range(min(len(samples), SHOWN)):
        notes = samples.notes(number)
        yield samples.title(number) + (f" ({', '.join(notes)})" if notes else "")
        for name, array in outputs.items():
            if name in found:
                yield from _best(name if len(outputs) > 1 else None, found[name], number, width)
            else:
                row = array[number].reshape(-1)
                yield f"  {name}: {' '.join(f'{v:.4g}' for v in row[:12])}{' ...' if row.size > 12 else ''}"
    if len(samples) > SHOWN:
        yield f"and {counted(len(samples) - SHOWN, 'more sample')}: --out FILE writes all of them"


def _best(name: str | None, found: Answers, number: int, width: int) -> Iterator[str]:
    if name is not None:
        yield f"  {name}"
    longest = max(len(a.name) for row in found.rows[:SHOWN] for a in row)
    column = max(8, min(longest, width - 14))
    for answer in found.rows[number]:
        shown = answer.name if len(answer.name) <= column else answer.name[: column - 1] + "…"
        value = f"{answer.value:8.4g}" if found.kind == "score" else f"{100 * answer.value:6.2f} %"
        yield f"  {shown:<{column}} {value}{_UNIT[found.kind] if width >= column + 28 else ''}"


def as_json(outputs: Mapping[str, Array], found: Mapping[str, Answers], samples: Samples) -> dict[str, Any]:
    """Everything as plain data; numbers that are not finite, which JSON lacks, are null."""
    inputs = [{"name": samples.title(k), "notes": list(samples.notes(k))} for k in range(len(samples))]
    best = {
        name: [
            [{"class": a.number, "name": a.name, of.kind: _plain(a.value)} for a in row] for row in of.rows
        ]
        for name, of in found.items()
    }
    plain = {name: _plain(x) for name, x in outputs.items()}
    errors = [problem.to_json() for problem in samples.problems]
    return {"inputs": inputs, "outputs": plain, "classes": best, "errors": errors}


def _plain(values: Any) -> Any:
    array = np.asarray(values)
    plain = array.astype(object)
    plain[~np.isfinite(array)] = None
    return plain.tolist()
