"""Random bits that depend on nothing but (seed, purpose, epoch, index): no state, no order, no threads."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.scalar.evaluate import threefry

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Purpose(IntEnum):
    """What the numbers are for; two purposes share no numbers. Values are part of the reproducible result."""

    SPLIT = 0
    SHUFFLE = 1
    LOOK = 2
    FIT = 3
    TWINS = 4
    SUBSET = 5
    AUGMENT = 16  # the first augmentation; the next ones count up


def random_bits(
    seed: int, purpose: int, epoch: int, index: NDArray[Any]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Two uniform 32-bit words for each sample index, of shape index.shape (indices below 2**32).

    Threefry-2x32-20 (Salmon et al., SC 2011), keyed by Threefry(seed; purpose, epoch).
    """
    counter = index.astype(np.uint32)
    return threefry(*derived_key(seed, purpose, epoch), counter, np.zeros_like(counter))


def random_order(seed: int, purpose: int, epoch: int, count: int) -> NDArray[np.int64]:
    """A uniform permutation of range(count): the order of 64 random bits per index."""
    high, low = random_bits(seed, purpose, epoch, np.arange(count))
    return np.argsort((high.astype(np.uint64) << np.uint64(32)) | low, kind="stable")


def check_seed(seed: int) -> int:
    """Return `seed`, which must be in 0..2**64-1 (NetError)."""
    if not 0 <= seed < 2**64:
        raise data_error(f"the seed must be between 0 and 2**64 - 1, not {seed}")
    return seed


@lru_cache(maxsize=256)
def derived_key(seed: int, purpose: int, epoch: int) -> tuple[int, int]:
    """The key of the random bits of a purpose in an epoch."""
    high, low = threefry(seed >> 32, seed, np.array([purpose], np.uint32), np.array([epoch], np.uint32))
    return int(high[0]), int(low[0])
