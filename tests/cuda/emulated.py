"""Runs launches as PTX that numba.cuda compiles and the emulator executes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from netdsl.backend.step import SCRATCH
from netdsl.cuda.compiler import compile_ptx
from netdsl.cuda.emulator import DeviceMemory, Emulator, Statistics
from netdsl.cuda.emulator.launch import STEPS
from netdsl.cuda.step import Launch
from netdsl.ir import TensorType
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.schedule import View

CAPABILITY = (9, 0)
CAPACITY = 1 << 28
#: what no kernel does: 64-bit floats are slow, memory of a thread lies in DRAM, calls spill registers
UNWANTED = re.compile(r"\.f64|\.local|\bcall\b")
DTYPES = {"float32": "f32", "int64": "i64", "bool": "bool"}


def run_emulated(
    launches: Sequence[Launch],
    arrays: Mapping[int, np.ndarray],
    seed: int = 0,
    *,
    conflicts: bool = False,
    steps: int = STEPS,
    texts: Mapping[str, str] | None = None,
) -> list[Statistics]:
    """Run launches over flat arrays by buffer, under the checks of the emulator; `seed` orders the threads.

    Memory of the call is there beside the arrays, and nothing is written in it.  Conflicts of banks are counted if
    wanted; a kernel that takes more than `steps` is endless.
    `texts` stand for the PTX of sources by their keys.
    """
    found = []
    memory = DeviceMemory(0, CAPACITY)
    emulator = Emulator(memory)
    places = {buffer: memory.allocate(max(1, array.nbytes)) for buffer, array in arrays.items()}
    places[SCRATCH] = memory.allocate(max([1, *(launch.scratch for launch in launches)]))
    for buffer, array in arrays.items():
        memory.write(places[buffer], array)
    for launch in launches:
        ptx = (texts or {}).get(launch.source.key) or compile_ptx(launch.source, CAPABILITY)
        assert not UNWANTED.findall(ptx), ptx
        module = emulator.load(ptx)
        kernel = module.kernel(module.kernels[0])
        views = {name: slot.view for name, slot in launch.slots.items()}
        values = [
            places[views[p.name].buffer] + views[p.name].offset if p.to else launch.values[p.name]
            for p in launch.source.parameters
        ]
        grid = launch.blocks, launch.threads
        options = {"seed": seed, "bank_conflicts": conflicts, "steps": steps}
        found.append(emulator.launch(kernel, *grid, kernel.pack(values), **options))
    for buffer, array in arrays.items():
        array[:] = memory.read(places[buffer], array.nbytes).view(array.dtype)
    return found


def emulated(plan: Callable[..., Sequence[Launch]], op: Any, *arrays: np.ndarray) -> list[np.ndarray]:
    """The results of a primitive over dense arrays: the same bits for two orders of threads."""
    first, second = (_emulated(plan, op, arrays, seed) for seed in (1, 2))
    for a, b in zip(first, second, strict=True):
        assert a.tobytes() == b.tobytes(), "another order of threads, another result"
    return first


def _emulated(
    plan: Callable[..., Sequence[Launch]], op: Any, arrays: Sequence[np.ndarray], seed: int
) -> list[np.ndarray]:
    types = [TensorType(a.shape, DTYPES[a.dtype.name]) for a in arrays]
    results = op.infer(*types)
    views = [View.dense(k, t) for k, t in enumerate((*types, *results))]
    outputs = [np.full(t.size, 77, NUMPY_DTYPE[t.dtype]) for t in results]
    flat = [np.array(a).reshape(-1) for a in arrays] + outputs
    run_emulated(plan(op, views[: len(arrays)], views[len(arrays) :]), dict(enumerate(flat)), seed)
    for given, left in zip(arrays, flat, strict=False):
        assert given.tobytes() == left.tobytes(), "an operand is written"
    return [o.reshape(t.shape) for o, t in zip(outputs, results, strict=True)]
