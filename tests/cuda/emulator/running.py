"""Runs PTX written in a test: a kernel with pointers, one thread a lane, arrays in and out."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from netdsl.cuda.emulator import DeviceMemory, Emulator, Module

HEAD = ".version 8.5\n.target sm_90\n.address_size 64\n"
CAPACITY = 1 << 22


class Machine:
    """A device with its emulator, and short words for what tests do with it."""

    def __init__(self) -> None:
        self.memory = DeviceMemory(capacity=CAPACITY)
        self.emulator = Emulator(self.memory)

    def put(self, array: Any) -> int:
        address = self.memory.allocate(array.nbytes)
        self.memory.write(address, array)
        return address

    def get(self, address: int, like: Any) -> Any:
        return self.memory.read(address, like.nbytes).view(like.dtype).reshape(like.shape)

    def launch(
        self, module: Module | str, grid: Any, block: Any, values: Sequence[Any], **options: Any
    ) -> Any:
        module = self.emulator.load(module) if isinstance(module, str) else module
        kernel = module.kernel(module.kernels[0])
        return self.emulator.launch(kernel, grid, block, kernel.pack(values), **options)


def kernel(body: str, parameters: int = 0, before: str = "", registers: str = "") -> str:
    """A kernel with pointers in %rd1, %rd2 ... and the thread in %r1, whose place in arrays of 4 and 8 bytes is in
    %rd10 and %rd11."""
    heads = ", ".join(f".param .u64 p{k}" for k in range(1, parameters + 1))
    loads = "".join(f"ld.param.u64 %rd{k}, [p{k}];\n" for k in range(1, parameters + 1))
    return (
        f"{HEAD}{before}\n.visible .entry k({heads}) {{\n"
        ".reg .pred %p<10>; .reg .b16 %h<20>; .reg .b32 %r<60>; .reg .b64 %rd<60>;\n"
        f".reg .f32 %f<60>; .reg .f64 %fd<20>; {registers}\n{loads}"
        "mov.u32 %r50, %tid.x; mov.u32 %r51, %ntid.x; mov.u32 %r52, %ctaid.x;\n"
        "mad.lo.u32 %r1, %r52, %r51, %r50; mul.wide.u32 %rd10, %r1, 4; mul.wide.u32 %rd11, %r1, 8;\n"
        f"{body}\nret;\n}}\n"
    )


def run(ptx: str, inputs: Sequence[Any], out: Any, block: int = 32, grid: int = 1, **options: Any) -> Any:
    """What a kernel (inputs ..., out) writes."""
    machine = Machine()
    addresses = [machine.put(np.ascontiguousarray(x)) for x in inputs]
    result = machine.memory.allocate(out.nbytes)
    machine.launch(ptx, grid, block, [*addresses, result], **options)
    return machine.get(result, out)
