"""The random numbers of changes: a pure function of (seed, place in the list, epoch, sample)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.arrays import np
from netdsl.data.augment.change import PAIRS
from netdsl.data.counter import Purpose, derived_key
from netdsl.scalar.evaluate import threefry

if TYPE_CHECKING:
    from numpy.typing import NDArray


def keys(seed: int, places: int, epoch: int) -> NDArray[np.uint32]:
    """The keys of the changes at places 0, 1, ..., [places, 2]."""
    found = [derived_key(seed, Purpose.AUGMENT + place, epoch) for place in range(places)]
    return np.array(found, np.uint32).reshape(places, 2)


def draws(key: NDArray[np.uint32], indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), multiples of 2**-32: [places, B, 2 * PAIRS] for the samples at indices [B]."""
    c0, c1 = np.meshgrid(indices.astype(np.uint32), np.arange(PAIRS, dtype=np.uint32), indexing="ij")
    first, second = threefry(key[:, :1, None], key[:, 1:, None], c0[None], c1[None])
    words = np.stack([first, second], axis=-1).reshape(len(key), len(indices), 2 * PAIRS)
    return words * 2.0**-32
