"""In which precision a contraction multiplies: what becomes of its two factors before."""

from __future__ import annotations

from typing import Literal, get_args

from netdsl.arrays import Array, np
from netdsl.source import brief
from netdsl.words import question
from netdsl.words import value as written

Precision = Literal["f32", "tf32", "bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""float32; NVIDIA's TensorFloat-32, 8 bits of exponent and 10 of fraction; bfloat16, 8 and 7."""


def wrong_precision(word: str) -> tuple[str, str | None]:
    """What is said of a word that is none of them: that, and what is probably meant."""
    near = written(word) or next((p for p in PRECISIONS if p == word.lower()), None)
    text = f"precision is {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}, not {brief(word)}"
    return text, question(near)


_DROPPED = {"f32": 0, "tf32": 13, "bf16": 16}


def rounded(x: Array, precision: Precision) -> Array:
    """The nearest numbers of a precision, as numbers of the type of `x`.

    Ties go to the even one for bf16, away from zero for tf32: as `cvt.rn.bf16` and `cvt.rna.tf32` of the PTX ISA do.
    What is too large becomes infinite; NaN stays NaN.
    """
    bits = _DROPPED[precision]
    if not bits:
        return x
    with np.errstate(over="ignore", invalid="ignore"):
        words = x.astype(np.float32).view(np.uint32)
    odd = (words >> np.uint32(bits)) & np.uint32(1) if precision == "bf16" else np.uint32(1)
    half = np.uint32((1 << (bits - 1)) - 1)
    found = ((words + half + odd) & np.uint32(0xFFFFFFFF << bits & 0xFFFFFFFF)).view(np.float32)
    return np.where(np.isnan(x), x, found).astype(x.dtype)
