"""`cache_features = true`: what a frozen trunk makes of every training sample, computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netdsl.arrays import Array, np
from netdsl.ir import Graph, Value
from netdsl.machine import machine_memory
from netdsl.runtime import Program
from netdsl.source import Diagnostic, NetError
from netdsl.train.restore import restored_program
from netdsl.train.transfer.cut import before
from netdsl.train.transfer.trunk import trunk_values

if TYPE_CHECKING:
    from netdsl.backend.registry import Device
    from netdsl.data import Batches


@dataclass(frozen=True)
class Features:
    """What the trunk makes of the samples of the training set: arrays [n, ...] for the inputs of `cut_name`.

    They hold as long as the weights do whose `digest` this is.
    """

    values: tuple[Value, ...]
    arrays: Mapping[str, Array]
    weights: tuple[str, ...]
    digest: bytes

    def hold(self, program: Program) -> bool:
        """Whether the weights are those that the features were computed with."""
        return self.digest == digest_of(program, self.weights)

    def of(self, indices: Array) -> dict[str, Array]:
        """Those of some samples."""
        return {name: array[indices] for name, array in self.arrays.items()}


def digest_of(program: Program, weights: Iterable[str]) -> bytes:
    """What tells weights and statistics from others."""
    digest = hashlib.sha256()
    for name in weights:
        digest.update(program.get(name).tobytes())
    return digest.digest()


def compute_features(
    graph: Graph, inputs: Set[str], program: Program, batches: Batches, device: Device
) -> Features | None:
    """Run the trunk of an objective, with the weights of a program, over every sample, in the order of the set.

    So every sample has the same bits, whichever batch it comes in.  None where the objective has no frozen trunk.
    Raises NetError where the features are larger than half of this machine's memory.
    """
    values = trunk_values(graph, inputs)
    if not values:
        return None
    count = len(batches.split)
    total = sum(4 * graph.type(v).size // graph.type(v).shape[0] for v in values) * count
    if total > (memory := machine_memory()) // 2:
        sizes = f"{total / 2**30:.1f} GiB, more than half of this machine's {memory / 2**30:.1f} GiB"
        fix = "without cache_features it trains the same, and runs the frozen layers in each step"
        raise NetError(
            Diagnostic("memory", f"the features of {count:,} samples need {sizes} of memory", fix=fix)
        )
    arrays: dict[str, Array] = {}
    trunk = before(graph, values)
    weights = tuple(n.id for n in (*trunk.leaves("param"), *trunk.leaves("state")))
    arrays_of = {name: program.get(name) for name in weights}
    programs: dict[int, Program] = {}
    for batch in replace(batches, shuffle=False, drop_last=False).epoch():
        if batch.size not in programs:
            programs[batch.size] = restored_program(trunk, arrays_of, batch.size, device)
        one = programs[batch.size]
        found = one.run({name: batch[name] for name in one.inputs})
        for name, rows in found.items():
            kept = arrays.setdefault(name, np.empty((count, *rows.shape[1:]), rows.dtype))
            kept[batch.indices] = rows
    return Features(values, arrays, weights, digest_of(program, weights))
