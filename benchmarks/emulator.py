"""How many instructions of lanes the emulator of GPU kernels executes in a second of processor time, by kind.

    python benchmarks/emulator.py

Each line is a kernel with the instruction 256 times over, for slices of 16,384 lanes, less the kernel without it; the
best of several runs, with all checks on.
"""

from __future__ import annotations

import time

import numpy as np

from netdsl.cuda.emulator import DeviceMemory, Emulator

BLOCKS, THREADS, REPEATED, RUNS = 64, 256, 256, 5
REGISTERS = {"f": "f32", "r": "b32", "rd": "b64", "p": "pred"}
START = """mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mov.u32 %r3, s; shl.b32 %r4, %r1, 4; add.u32 %r3, %r3, %r4;
mad.lo.u32 %r5, %r2, 256, %r1; mul.wide.u32 %rd2, %r5, 16; add.u64 %rd3, %rd1, %rd2;
ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd3]; st.shared.v4.f32 [%r3], {%f1, %f2, %f3, %f4}; bar.sync 0;
mov.b32 %r6, %f1; mov.b32 %r7, %f2; mov.b32 %r8, %f3; mov.b32 %r9, %f4;"""
ACROSS = "{%f5, %f6, %f7, %f8}, {%r6, %r7, %r8, %r9}, {%r6, %r7}, {%f1, %f2, %f3, %f4}"
KINDS = {
    "add.s32": "add.s32 %r10, %r6, %r7;",
    "mad.lo.s32": "mad.lo.s32 %r10, %r6, %r7, %r8;",
    "setp.lt.s32": "setp.lt.s32 %p1, %r6, %r7;",
    "selp.f32": "selp.f32 %f5, %f1, %f2, %p2;",
    "add.f32": "add.f32 %f5, %f1, %f2;",
    "fma.rn.f32": "fma.rn.f32 %f5, %f1, %f2, %f3;",
    "ld.global.f32": "ld.global.f32 %f5, [%rd3];",
    "ld.global.v4.f32": "ld.global.v4.f32 {%f5, %f6, %f7, %f8}, [%rd3];",
    "st.global.f32": "st.global.f32 [%rd3], %f1;",
    "ld.shared.f32": "ld.shared.f32 %f5, [%r3];",
    "ld.shared.v4.f32": "ld.shared.v4.f32 {%f5, %f6, %f7, %f8}, [%r3];",
    "st.shared.f32": "st.shared.f32 [%r3], %f1;",
    "cp.async 16": "cp.async.cg.shared.global [%r3], [%rd3], 16;",
    "shfl.sync": "shfl.sync.bfly.b32 %r10, %r6, 1, 31, -1;",
    "bar.sync": "bar.sync 0;",
    "ldmatrix.x4": "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r10, %r11, %r12, %r13}, [%r3];",
    "mma tf32 m16n8k8": f"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {ACROSS};",
    "mma bf16 m16n8k16": f"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {ACROSS};",
}


def text(body: str) -> str:
    """A kernel of a pointer to 16 bytes for each lane."""
    registers = "".join(f".reg .{kind} %{name}<16>; " for name, kind in REGISTERS.items())
    return f""".version 8.5
.target sm_90
.address_size 64
.visible .entry k(.param .u64 x) {{
{registers} .shared .align 16 .b8 s[{16 * THREADS}]; ld.param.u64 %rd1, [x];
{START} setp.eq.s32 %p2, %r1, 0;
{body}
cp.async.wait_all; bar.sync 0; ret;
}}"""


def seconds(emulator: Emulator, body: str, address: int) -> float:
    """The least processor time of a launch."""
    module = emulator.load(text(body))
    kernel = module.kernel("k")
    found = []
    for _ in range(RUNS):
        start = time.process_time()
        emulator.launch(kernel, BLOCKS, THREADS, kernel.pack([address]))
        found.append(time.process_time() - start)
    return min(found)


def main() -> None:
    """Print the table."""
    memory = DeviceMemory(capacity=1 << 26)
    emulator = Emulator(memory)
    values = np.random.default_rng(0).standard_normal(4 * BLOCKS * THREADS).astype(np.float32)
    address = memory.allocate(values.nbytes)
    memory.write(address, values)
    empty = seconds(emulator, "", address)
    for name, line in KINDS.items():
        took = seconds(emulator, "\n".join([line] * REPEATED), address) - empty
        print(f"{name:20} {BLOCKS * THREADS * REPEATED / took / 1e6:6,.0f} million a second")


if __name__ == "__main__":
    main()
