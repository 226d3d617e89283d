"""Operands that break formulas: large numbers, subnormal ones, zeros, equal ones."""

from collections.abc import Iterator

import numpy as np

from netdsl.ir import Graph, Sample
from netdsl.ops.loss import Loss

LARGEST = float(np.finfo(np.float32).max)
TINY = 1e-40
USUAL = (0.0, 100.0, -100.0, 1e4, -1e4)
Feeds = dict[str, np.ndarray]


def extremes(
    sample: Sample, graph: Graph, names: list[str], base: Feeds
) -> Iterator[tuple[str, set[float], Feeds]]:
    """Operands of the sample in float32: all of one value, a mixture, those of a loss equal.

    Each with its name and the extreme numbers in it.
    """
    rng = np.random.default_rng(1)
    base = {n: a.astype(np.float32) if a.dtype.kind == "f" else a for n, a in base.items()}
    data = [n for n in names if n in base and graph[n].op.name == "input" and base[n].dtype.kind == "f"]
    loss = isinstance(sample.op, Loss)
    targets = loss and data[1:] and base[data[0]].shape == base[data[1]].shape
    varied = data[:1] if loss or sample.boxes else data
    for value in (*USUAL, TINY, -TINY, LARGEST, -LARGEST):
        yield f"all {value:g}", {abs(value)}, base | {n: np.full_like(base[n], value) for n in varied}
    for extra in (TINY, LARGEST):
        choice = np.array((*USUAL, extra, -extra, 0.5, -0.5), np.float32)
        mixed = base | {n: rng.choice(choice, base[n].shape) for n in varied}
        yield f"mixed with {extra:g}", {extra}, mixed
        for target in (0.0, 1.0) if targets else ():
            both = mixed | {data[1]: np.full_like(base[data[1]], target)}
            yield f"mixed with {extra:g}, target {target:g}", {extra}, both
    if targets:
        yield "equal", set(), base | {data[0]: base[data[1]]}
