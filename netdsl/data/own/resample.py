"""Another sampling rate for a sound, by a polyphase filter."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HALF = 10
"""Zero crossings of the filter on each side, as scipy.signal.resample_poly has them."""
_BETA = 5.0
_ROWS = 4096


def resampled(x: NDArray[Any], old: int, new: int, most: int | None = None) -> NDArray[np.float32]:
    """A sound [n, channels] of `old` samples per second with `new` of them: float32 [ceil(n * new / old), channels].

    Of it the first `most`. The low-pass filter is a sinc under a Kaiser window of beta 5, with its corner at half of
    the lower rate; beyond its ends the sound is silent. Same as scipy.signal.resample_poly.
    """
    common = math.gcd(old, new)
    up, down = new // common, old // common
    if up == down:
        return np.asarray(x[:most], np.float32)
    weights = _phases(up, down)
    reach = weights.shape[1] // 2
    count = -(-len(x) * up // down)
    count = count if most is None else min(count, most)
    seen = x[: (count - 1) * down // up + reach + 1]
    padded = np.pad(seen.astype(np.float64), ((reach, 2 * reach + 1), (0, 0)))
    result = np.empty((count, x.shape[1]), np.float32)
    taps = np.arange(weights.shape[1])
    for start in range(0, count, _ROWS):
        at = np.arange(start, min(start + _ROWS, count)) * down
        windows = padded[(at // up)[:, None] + taps]
        result[start : start + _ROWS] = np.einsum("ntc,nt->nc", windows, weights[at % up])
    return result


@lru_cache(maxsize=8)
def _phases(up: int, down: int) -> NDArray[np.float64]:
    """The weights of the samples around a new one, [up, taps], for each of its places between two old ones."""
    most = max(up, down)
    half = _HALF * most
    n = np.arange(-half, half + 1)
    low_pass = np.sinc(n / most) * np.kaiser(2 * half + 1, _BETA)
    low_pass *= up / low_pass.sum()
    reach = half // up + 1
    # sample k0 + t of the old ones is at distance phase - t * up, in steps of the common rate
    at = half + np.arange(up)[:, None] - np.arange(-reach, reach + 1)[None, :] * up
    inside = (at >= 0) & (at < len(low_pass))
    return np.where(inside, low_pass[at.clip(0, len(low_pass) - 1)], 0.0)
