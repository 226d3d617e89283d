"""Setting samples aside for validation."""

from __future__ import annotations

from netdsl.arrays import np
from netdsl.data.counter import Purpose, check_seed, random_order
from netdsl.data.dataset import Split, label_among
from netdsl.data.errors import data_error
from netdsl.data.stored import read_all
from netdsl.source import counted


def split_validation(data: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """Split `data` into (training, validation), with round(fraction * n) samples in the second.

    Stratified: the samples are put in a seeded random order, sorted by label, and picked at even distances,
    so every class has its share to within one sample (without labels, or with others than class numbers: simply at
    random; see `label_among`).
    Both parts keep the order of `data`. Errors: NetError when a part would be empty.
    """
    count = len(data)
    picked = validation_count(count, fraction)
    order = random_order(check_seed(seed), Purpose.SPLIT, 0, count)
    label = label_among(data.kinds)
    if label is not None and data.columns[label].integers and data.columns[label].shape in ((), (1,)):
        order = order[np.argsort(read_all(data.columns[label].target.values)[order], kind="stable")]
    chosen = np.zeros(count, bool)
    chosen[order[even_positions(count, picked)]] = True
    return data.take(np.flatnonzero(~chosen)), data.take(np.flatnonzero(chosen))


def validation_count(count: int, fraction: float) -> int:
    """The number of samples in a share. Errors: NetError when it is none, or all."""
    picked = round(fraction * count)
    if not 0 < picked < count:
        raise data_error(
            f"a validation share of {fraction:g} of {counted(count, 'sample')} leaves one part empty"
        )
    return picked


def even_positions(count: int, picked: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """`picked` different positions in range(count) at even distances, the middle of each stretch."""
    return (np.arange(picked) * 2 + 1) * count // (2 * picked)
