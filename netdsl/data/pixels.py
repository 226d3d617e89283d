"""The meaning of stored numbers as pixels: which number is full intensity.

The rule is applied once, when the training set is read; the result is kept in checkpoints:

- bytes (uint8): 255, and booleans: 1, by their type;
- other integers from 0: what is found. 1 where nothing is larger; 255 or 65535 where the largest value
  is in the upper half of that range; else the largest value itself. The type says little here: int64 is what lists
  and most libraries make of bytes, and cameras of 12 bits store uint16;
- floats from 0 to 1: 1. Floats are never divided, but full intensity is found in the same way;
- numbers below 0, and floats that are not pictures: unknown.

Data of another kind (bytes for a network that was trained on floats from 0 to 1, pictures from files) is brought to
the training set's units through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.records import Finite

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: where a float is a little above 1, such as after resizing, 1 is still full intensity
_ABOVE_ONE = 2.0
_BYTES_USED = 32


@dataclass(frozen=True)
class Pixels:
    """The type of stored numbers as NumPy names it, their range, and the one that is full intensity.

    `white` is None where they are no pixels, or nobody can tell.  `sure`: it was said by who knows (a data set, a
    picture's own format, a setting), not found.
    """

    dtype: str
    low: Finite
    high: Finite
    white: Finite | None
    sure: bool = False

    def __post_init__(self) -> None:
        if self.white is not None and self.white <= 0:
            raise ValueError(f"full intensity is a number above 0, not {self.white}")

    @property
    def whole(self) -> bool:
        """Whether the type is one of integers or booleans."""
        return not self.dtype.startswith("float")

    @property
    def scale(self) -> float:
        """What `normalize = scale` divides by: floats count as scaled already."""
        return self.white if self.white is not None and (self.whole or self.sure) else 1.0

    @property
    def guessed(self) -> bool:
        """Whether white is nothing but the largest value that was found, or a byte that no value comes near to."""
        if self.sure or self.white is None:
            return False
        return self.white not in (1, 255, 65535) or (self.dtype == "uint8" and self.high < _BYTES_USED)

    def __str__(self) -> str:
        return f"{self.dtype} from {self.low:g} to {self.high:g}"


def look(values: NDArray[Any], white: float | None = None) -> Pixels:
    """Look at samples [n, ...] of booleans, integers or floats; `white` where it is known."""
    return meaning(values.dtype, values.ndim, (float(values.min()), float(values.max())), white)


def meaning(kind: np.dtype[Any], rank: int, found: tuple[float, float], white: float | None = None) -> Pixels:
    """What numbers of a type mean in samples [n, ...] of `rank`; `found` are the lowest and the highest of them."""
    low, high = found
    if white is None and kind == np.bool_:
        return Pixels("bool", low, high, 1.0, sure=True)
    if white is None and kind == np.uint8:
        return Pixels("uint8", low, high, 255.0)
    if white is None and low >= 0 and (kind.kind in "iu" or high <= 1 or rank > 2):
        return Pixels(kind.name, low, high, _found(high, kind.kind == "f"))
    return Pixels(kind.name, low, high, white, sure=white is not None)


def _found(high: float, floats: bool) -> float:
    if high <= (_ABOVE_ONE if floats else 1.0):
        return 1.0
    return next((full for full in (255.0, 65535.0) if full / 2 < high <= full), high)


def white_for(given: Pixels, trained: Pixels) -> float | None:
    """The number in `given` data that is full intensity, to a network that was trained on `trained`.

    Data that fits the range of the training set is in its units, whatever the type, and so is data of its own type
    up to twice as far; but for floats from 0 to 1 where training had 0 to 255, integers where training had 0 to 1,
    and bytes where training had more bits.  None: the numbers are taken as they are.
    """
    if trained.white is None or given.sure:
        return given.white if trained.white is not None else None
    if given.low < 0:
        return trained.white
    if given.dtype == trained.dtype and trained.white / 16 < given.high <= 2 * trained.white:
        return trained.white
    if trained.white <= 1:
        own = given.white if given.whole or given.high > 16 * trained.white else trained.white
        return trained.white if own is None else own
    if not given.whole and given.high <= 1:
        return 1.0
    fits = given.high <= trained.white and not (given.dtype == "uint8" and trained.white > 255)
    return trained.white if fits or given.white is None else given.white


def doubt(pixels: Pixels, rank: int) -> tuple[str, str] | None:
    """A warning about what `scale` assumes of a training set, with what to write instead; None if it is certain.

    `rank` is that of one sample: a picture has at least 2.
    """
    p = pixels
    if p.sure or p.white is None or p.high == 0:
        return None
    if not p.whole:
        if p.white <= 1:
            return None
        assumed = f"the samples are {p}, and floats are taken as they are: not scaled to 0..1"
        return (
            assumed,
            f"normalize = scale({p.white:g}) divides by {p.white:g}, normalize = raw says they are meant so",
        )
    if p.dtype == "uint8" and p.high < _BYTES_USED:
        assumed = f"the samples are bytes, divided by 255, but none is above {p.high:g}"
        return assumed, f"normalize = scale({p.high:g}) divides by {p.high:g}, scale(255) says it is meant so"
    if p.dtype == "uint8" or p.white <= 1 or (rank > 1 and p.white in (255, 65535)):
        return None
    assumed = f"the samples are {p}: taken as pixels and divided by {p.white:g}"
    return (
        assumed,
        f"normalize = scale({p.white:g}) says it is meant so, normalize = raw leaves numbers as they are",
    )
