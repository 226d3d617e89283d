"""What the algorithms for contractions cost beside arithmetic, in cycles of one thread, as measured on a Zen 3."""

from __future__ import annotations

# Weights that are smaller stay in the second-level cache from one block of pixels to the next.
NEAR_BYTES = 256 * 1024
# Cycles for a byte of weights: that comes from memory, for which all threads ask at once; that comes again from the
# last-level cache.
FIRST, AGAIN = 0.25, 0.05


def weight_cycles(size: int, passes: int) -> float:
    """Cycles that go to reading `size` bytes of weights, once for each of `passes` blocks of pixels."""
    return size * (FIRST + (AGAIN * (passes - 1) if size > NEAR_BYTES else 0))
