"""Runs launches as PTX that numba.cuda compiles and the emulator executes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from netdsl.cuda.compiler import compile_ptx
from netdsl.cuda.emulator import DeviceMemory, Emulator
from netdsl.cuda.step import Launch

CAPABILITY = (9, 0)
#: what no kernel does: 64-bit floats are slow, memory of a thread lies in DRAM, calls spill registers
UNWANTED = re.compile(r"\.f64|\.local|\bcall\b")


def run_emulated(launches: Sequence[Launch], arrays: Mapping[int, np.ndarray]) -> None:
    """Run launches over flat arrays by buffer, under the checks of the emulator."""
    memory = DeviceMemory(0, 1 << 24)
    emulator = Emulator(memory)
    places = {buffer: memory.allocate(max(1, array.nbytes)) for buffer, array in arrays.items()}
    for buffer, array in arrays.items():
        memory.write(places[buffer], array)
    for launch in launches:
        ptx = compile_ptx(launch.source, CAPABILITY)
        assert not UNWANTED.findall(ptx), ptx
        module = emulator.load(ptx)
        kernel = module.kernel(module.kernels[0])
        views = {name: slot.view for name, slot in launch.slots.items()}
        values = [
            places[views[p.name].buffer] + views[p.name].offset if p.to else launch.values[p.name]
            for p in launch.source.parameters
        ]
        emulator.launch(kernel, launch.blocks, launch.threads, kernel.pack(values))
    for buffer, array in arrays.items():
        array[:] = memory.read(places[buffer], array.nbytes).view(array.dtype)
