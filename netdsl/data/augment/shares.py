"""Class numbers as shares of classes, one row for a sample: what mixtures make of labels, in every set alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.augment.change import Change
from netdsl.data.errors import data_error
from netdsl.data.feeds import Feed, Kind
from netdsl.data.outline import ArrayOutline, Outline

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mixture(changes: Sequence[Change]) -> Change | None:
    """The first change of a list that mixes samples."""
    return next((change for change in changes if change.shares), None)


def shares_of(
    changes: Sequence[Change], feeds: Sequence[Feed], arrays: Mapping[str, ArrayOutline]
) -> dict[str, int]:
    """The targets whose class numbers become rows of shares, and how long these are; arrays: by the names of feeds.

    None where nothing is mixed.  Errors: NetError where nobody knows how many classes there are.
    """
    mix, found = mixture(changes), dict[str, int]()
    if mix is None:
        return found
    for feed in feeds:
        array = arrays[feed.name]
        if feed.kind is not Kind.TARGET or not array.integers or array.label:
            continue
        if feed.integers:
            found[feed.name] = feed.classes or array.classes or _seen(mix, feed, array)
        elif feed.shape is not None and len(feed.shape) == 1 and feed.shape[0] > 1:
            found[feed.name] = feed.shape[0]
    return found


def _seen(mix: Change, feed: Feed, array: ArrayOutline) -> int:
    highest = array.highest()
    if highest is None:
        message = f"{mix.name} makes shares of classes of the labels {feed.name}"
        raise data_error(f"{message}, and nobody says how many classes there are")
    return highest + 1


def shared_outline(outline: Outline, shares: Mapping[str, int]) -> Outline:
    """The outline with rows of shares for class numbers."""
    rows = {
        name: ArrayOutline((classes,), False, outline.arrays[name].classes)
        for name, classes in shares.items()
    }
    return replace(outline, arrays={**outline.arrays, **rows})


def rows_of(labels: NDArray[Any], classes: int) -> NDArray[np.float32]:
    """Class numbers [B] as rows [B, classes] with a 1 each."""
    rows = np.zeros((len(labels), classes), np.float32)
    rows[np.arange(len(labels)), labels.reshape(-1)] = 1
    return rows
