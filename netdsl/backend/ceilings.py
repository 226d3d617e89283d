"""What a device can do at most, as measured: the roofline under which its kernels work.

S. Williams, A. Waterman, D. Patterson: Roofline: an insightful visual performance model, CACM 52 (2009).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Level:
    """Bytes a second read, and written, of a working set of `size` bytes that is used again and again."""

    size: int
    read: float
    written: float


@dataclass(frozen=True)
class Ceilings:
    """The peak in FLOP/s of float32, two for each multiply-add, and the bandwidths by rising size of working set."""

    peak: float
    levels: tuple[Level, ...]

    def read_time(self, size: int, reach: int) -> float:
        """Seconds to read bytes of a working set of `reach` bytes."""
        return size / _between([(x.size, x.read) for x in self.levels], reach)

    def write_time(self, size: int, reach: int) -> float:
        """Seconds to write bytes of a working set of `reach` bytes."""
        return size / _between([(x.size, x.written) for x in self.levels], reach)


def _between(points: Sequence[tuple[int, float]], reach: int) -> float:
    """The bandwidth at a size: on a line between two that were measured, along the logarithm of the size."""
    (size, rate), *more = points
    if reach <= size:
        return rate
    for larger, other in more:
        if reach <= larger:
            share = math.log(reach / size) / math.log(larger / size)
            return rate + share * (other - rate)
        size, rate = larger, other
    return rate
