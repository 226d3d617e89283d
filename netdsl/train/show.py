"""What the data of a file looks like to its network: a summary, and samples before and after augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netdsl.data import Batch, Batches, DataPlan, Normalization
from netdsl.data.feeds import Feed, Kind, own_feeds
from netdsl.data.outline import ArrayOutline
from netdsl.data.sheet import SheetCell, can_be_drawn, label_text, names_of
from netdsl.elaborate import Network
from netdsl.source import counted
from netdsl.train.data_settings import data_plan
from netdsl.train.inputs import network_inputs
from netdsl.train.sections import training_sections


@dataclass(frozen=True)
class Shown:
    """Lines of a summary, and cells of a sheet by input; inputs that are no picture, sound or grid are left out."""

    lines: tuple[str, ...]
    cells: dict[str, list[SheetCell]]


SHOWN = 5
"""Samples that were left out whose faults are told."""


def show_data(network: Network, split: str, count: int, epoch: int = 0) -> Shown:
    """A summary of every set, and `count` samples of one; those of `train` after augmentation too.

    Raises NetError for data that cannot be read, or does not fit the network.
    """
    if network.objective is not None:
        sections = training_sections(network)
        plan, feeds = sections.data, network_inputs(sections.network).feeds
    else:
        plan, feeds = data_plan(network, 0), ()
    if plan is None:
        plan = data_plan(network, 0)  # which says that there is none
    feeds = tuple(feeds) or own_feeds(plan.outline(split).kinds)
    lines = [line for name in plan.splits for line in _summary(plan, name, feeds)]
    return Shown(tuple(lines), _cells(plan, split, feeds, count, epoch))


def _summary(plan: DataPlan, split: str, feeds: Sequence[Feed]) -> list[str]:
    """A set in a few lines: what was found, how many samples, and each array as it is fed."""
    batches = plan.evaluation_batches(split, 1, feeds)
    outline, classes = batches.outline, plan.classes(feeds)
    found = [f"{split}: {plan.about.get(split) or counted(len(batches.split), 'sample')}"]
    skipped = plan.skipped.get(split, ())
    if skipped:
        more = f"; and {len(skipped) - SHOWN:,} more" if len(skipped) > SHOWN else ""
        found.append(f"  {len(skipped):,} skipped: {'; '.join(skipped[:SHOWN])}{more}")
    first = batches.make(0, 0)
    for feed in feeds:
        array, x = outline.arrays[feed.name], first[feed.name]
        found.append(f"  {feed.name:<12} {_text(array, x)}{_classes(array, classes.get(feed.name))}")
    return found


def _text(array: ArrayOutline, x: NDArray[np.generic]) -> str:
    if array.shape == ():
        return str(x.dtype)
    return f"{list(array.shape)} {x.dtype}, the first from {x.min():.3g} to {x.max():.3g}"


def _classes(array: ArrayOutline, names: tuple[str, ...] | None) -> str:
    if array.values is None or not array.integers or array.values.ndim != 1 or array.shape != ():
        return ""
    values, counts = np.unique(array.values, return_counts=True)
    if len(values) > 20 and names is None:
        return ""
    listed = [
        f"{names[v] if names else v} {n:,}" for v, n in zip(values.tolist(), counts.tolist(), strict=True)
    ]
    more = f", and {len(listed) - 10} more" if len(listed) > 10 else ""
    return f": {', '.join(listed[:10])}{more}"


def _cells(
    plan: DataPlan, split: str, feeds: Sequence[Feed], count: int, epoch: int
) -> dict[str, list[SheetCell]]:
    """The samples to draw, of the inputs that can be drawn."""
    plain = plan.evaluation_batches(split, 1, feeds)
    count = min(count, len(plain.split))
    changed = plan.training_batches(count, feeds) if split == "train" else None
    changed = changed if changed is not None and changed.augment else None
    # Samples from all over the set, so that every class of a folder is among them.
    places = (np.arange(count) * 2 + 1) * len(plain.split) // (2 * count)
    before = plain.of(places, epoch)
    after = None if changed is None else changed.of(places, epoch)
    classes, outline = plan.classes(feeds), plain.outline
    targets = [feed.name for feed in feeds if feed.kind is Kind.TARGET]
    found: dict[str, list[SheetCell]] = {}
    for feed in feeds:
        shape = outline.arrays[feed.name].shape
        if feed.kind is not Kind.INPUT or not can_be_drawn(shape):
            continue
        cells = []
        for k in range(count):
            labels = {n: label_text((after or before)[n][k], classes.get(n)) for n in targets}
            pair = [
                _sample(batch, batches, feed.name, k)
                for batch, batches in ((before, plain), (after, changed))
            ]
            masks = (_mask(before, targets, shape, k), _mask(after, targets, shape, k))
            first = pair[0]
            assert first is not None
            cells.append(SheetCell(first, pair[1], names_of(labels), masks))
        found[feed.name] = cells
    return found


def _sample(batch: Batch | None, batches: Batches | None, name: str, k: int) -> NDArray[np.float64] | None:
    """A sample as it is fed, with its normalisation taken back to 0..1 of full intensity."""
    if batch is None or batches is None:
        return None
    shape = batches.outline.arrays[name].shape
    return _shown(batch[name][k].reshape(shape), batches.prepared[name].normalization)


def _shown(x: NDArray[np.float32], n: Normalization) -> NDArray[np.float64]:
    values = x.astype(np.float64)
    if n.mean:
        values = values * np.array(n.std) + np.array(n.mean)
    white = 1.0 if n.pixels is None or n.pixels.white is None else n.pixels.white
    return values * (n.peak / white)


def _mask(
    batch: Batch | None, targets: Sequence[str], shape: Sequence[int], k: int
) -> NDArray[np.generic] | None:
    """The first target that is a map of the size of the sample."""
    if batch is None:
        return None
    maps = (
        batch[name][k]
        for name in targets
        if batch[name].shape[1:3] == tuple(shape[:2]) and batch[name].ndim > 2
    )
    return next(maps, None)
