"""In which precisions cards multiply, and how the factors of a contraction are rounded to them.

Every kernel of a contraction rounds its factors, whatever multiplies them, so that what is computed does not depend
on sizes or on the card.
"""

from __future__ import annotations

from netdsl.cuda.codegen.lines import Lines
from netdsl.primitives.precision import PRECISIONS, Precision

FROM: tuple[int, int] = (8, 0)
"""The compute capability from which cards round to tf32 and bf16, and multiply them."""


def precisions(capability: tuple[int, int]) -> tuple[Precision, ...]:
    """The precisions in which cards of a compute capability multiply."""
    return PRECISIONS if capability >= FROM else ("f32",)


def round_here(out: Lines, precision: Precision, name: str, first: int, count: int) -> None:
    """Write that one or four elements of an array of the thread are rounded."""
    if precision != "f32":
        out.add(f"{precision}x{count}({name}, {first})")
