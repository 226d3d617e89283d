"""Plans a primitive, compiles it, and runs its steps on arrays for any number of parts."""

import numpy as np

from netdsl.backend.step import SCRATCH
from netdsl.cpu.planners import PLANNERS
from netdsl.ir import TensorType
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.schedule import View
from tests.cpu.running import aligned, run_steps

DTYPES = {"float32": "f32", "int64": "i64", "bool": "bool"}


def types_of(arrays):
    return [TensorType(a.shape, DTYPES[a.dtype.name]) for a in arrays]


class Planned:
    """A primitive over operands of fixed types."""

    def __init__(self, op, arrays):
        self.types = types_of(arrays)
        self.results = op.infer(*self.types)
        self.arrays = [aligned(a) for a in arrays]
        views = [View.dense(k, t) for k, t in enumerate((*self.types, *self.results))]
        self.steps = PLANNERS[type(op)](op, views[: len(arrays)], views[len(arrays) :])

    def run(self, parts=1, in_place=None):
        """The results; `in_place` maps a result to the operand whose buffer it gets."""
        operands = [aligned(a) for a in self.arrays]
        results = [aligned(np.full(t.shape, _GARBAGE[t.dtype], NUMPY_DTYPE[t.dtype])) for t in self.results]
        for r, o in (in_place or {}).items():
            results[r] = operands[o]
        places = dict(enumerate((*operands, *results)))
        size = max((s.scratch for s in self.steps), default=0)
        places[SCRATCH] = aligned(np.full(size, 255, np.uint8))
        run_steps(self.steps, places, parts)
        return results


_GARBAGE = {"f32": np.nan, "i64": -77, "bool": True}


def run_primitive(op, arrays, in_place=None):
    """The results, after checking that any number of parts gives the same bits."""
    planned = Planned(op, arrays)
    first = planned.run(1, in_place)
    for parts in (2, 3, 7):
        for a, b in zip(first, planned.run(parts, in_place), strict=True):
            assert a.tobytes() == b.tobytes(), f"{parts} parts"
    return first
