"""Planted bugs: every one is found, as what it is, at its line."""

import numpy as np
import pytest

from netdsl.cuda.emulator import (
    BarrierDivergence,
    DataRace,
    DeviceMemory,
    Emulator,
    Endless,
    HostAccessError,
    InactiveLane,
    KernelFault,
    LaunchError,
    Misaligned,
    OutOfBounds,
    OutOfMemory,
    PTXError,
    ReadOnlyWrite,
    Trap,
    UnfinishedCopy,
    UninitialisedRead,
    UseAfterFree,
)
from tests.cuda.emulator.running import Machine, kernel

SHARED = ".shared .align 16 .b8 s[256];"
DYNAMIC = ".extern .shared .align 16 .b8 d[];"
PLACE = "mov.u32 %r7, s; shl.b32 %r8, %r50, 2; add.u32 %r9, %r7, %r8; xor.b32 %r10, %r8, 252;"
PLACE += "add.u32 %r11, %r7, %r10;"
LOAD = "add.u64 %rd20, %rd1, %rd10; ld.global.f32 %f1, [%rd20];"
STORE = "add.u64 %rd21, %rd2, %rd10; st.global.f32 [%rd21], %f1;"
COPY = "cp.async.ca.shared.global [%r9], [%rd20], 4; cp.async.commit_group;"
ALL = "0xffffffff"

# title: (code, fault, what the message says); the faulty line is marked by <<
BUGS = {
    "load beyond the end": (
        f"{LOAD}\n ld.global.f32 %f2, [%rd20+4];<<",
        OutOfBounds,
        "0 bytes after the end of",
    ),
    "store before the start": (
        f"{LOAD}\n st.global.f32 [%rd2+-4], %f1;<<",
        OutOfBounds,
        "before every allocation|after the end",
    ),
    "null pointer": (
        "mov.u64 %rd9, 0;\n ld.global.f32 %f2, [%rd9];<<",
        OutOfBounds,
        "no address of device 0",
    ),
    "wide load at the end": (
        "mul.wide.u32 %rd9, %r1, 16; add.u64 %rd9, %rd1, %rd9;\n ld.global.v4.f32 {%f1,%f2,%f3,%f4}, [%rd9];<<",
        OutOfBounds,
        "16 bytes at global",
    ),
    "misaligned wide load": (f"{LOAD}\n ld.global.v2.f32 {{%f1, %f2}}, [%rd1+4];<<", Misaligned, "width 8"),
    "misaligned store": ("mov.u32 %r2, 0;\n st.global.u32 [%rd2+2], %r2;<<", Misaligned, "width 4"),
    "read of what nothing wrote": (
        "\n ld.global.f32 %f1, [%rd2];<<",
        UninitialisedRead,
        "0 bytes into the allocation",
    ),
    "write to an input": ("mov.u32 %r2, 0;\n st.global.u32 [%rd1], %r2;<<", ReadOnlyWrite, "4 bytes"),
    "shared memory that nothing wrote": (
        f"{PLACE}\n ld.shared.f32 %f1, [%r9];<<",
        UninitialisedRead,
        "shared",
    ),
    "shared index too large": (
        f"{PLACE} mov.f32 %f1, 0f00000000;\n st.shared.f32 [%r9+4], %f1;<<",
        OutOfBounds,
        "shared",
    ),
    "dynamic shared memory too small": (
        "mov.u32 %r7, d; mov.u32 %r2, 0; mad.lo.u32 %r9, %r50, 4, %r7;\n st.shared.u32 [%r9+4], %r2;<<",
        OutOfBounds,
        "shared",
    ),
    "local memory that nothing wrote": (
        ".local .align 4 .b8 own[16]; mov.u64 %rd9, own;\n ld.local.u32 %r2, [%rd9];<<",
        UninitialisedRead,
        "local",
    ),
    "local index too large": (
        ".local .align 4 .b8 own[16]; mov.u64 %rd9, own;\n st.local.u32 [%rd9+16], %r1;<<",
        OutOfBounds,
        "local",
    ),
    "register that nothing wrote": ("\n add.u32 %r2, %r3, 1;<<", UninitialisedRead, "register"),
    "missing barrier": (
        f"{LOAD} {PLACE}\n st.shared.f32 [%r9], %f1; ld.shared.f32 %f1, [%r11];<<",
        (DataRace, UninitialisedRead),
        "shared",
    ),
    "missing second barrier": (
        f"{LOAD} {PLACE} st.shared.f32 [%r9], %f1; bar.sync 0;\n"
        " ld.shared.f32 %f2, [%r11];<<\n st.shared.f32 [%r9], %f1;",
        DataRace,
        "read and write of shared byte",
    ),
    "two threads write one element": (f"{PLACE}\n st.shared.u32 [%r7], %r1;<<", DataRace, "different values"),
    "two writes without a barrier": (
        f"{PLACE} st.shared.u32 [%r9], %r1;\n st.shared.u32 [%r11], %r8;<<",
        DataRace,
        "write after write",
    ),
    "plain read of an atomic counter": (
        f"{PLACE} setp.ne.u32 %p1, %r50, 0; mov.u32 %r3, 0; @%p1 bra A; st.shared.u32 [%r7], %r3; A: bar.sync 0;"
        "atom.shared.add.u32 %r2, [%r7], 1;\n ld.shared.u32 %r4, [%r7];<<",
        DataRace,
        "shared byte",
    ),
    "warps without a barrier, only bar.warp.sync": (
        f"{LOAD} {PLACE} st.shared.f32 [%r9], %f1; bar.warp.sync {ALL};\n ld.shared.f32 %f2, [%r11];<<",
        DataRace,
        "without a barrier",
    ),
    "a warp reads what it overwrites after a barrier of its own": (
        f"{PLACE} xor.b32 %r12, %r8, 4; add.u32 %r12, %r7, %r12; mov.u32 %r3, 0; st.shared.u32 [%r9], %r3;"
        f"bar.sync 0; st.shared.u32 [%r9], %r1;\n ld.shared.u32 %r2, [%r12];<<\n"
        f"bar.warp.sync {ALL}; st.shared.u32 [%r12], %r2;",
        DataRace,
        "read and write",
    ),
    "barrier in a branch": (
        "setp.lt.u32 %p1, %r50, 40; @!%p1 bra A;\n bar.sync 0;<<\n A:",
        BarrierDivergence,
        "40 threads",
    ),
    "two barriers for one": (
        "setp.lt.u32 %p1, %r50, 32; @!%p1 bra A;\n bar.sync 0;<<\n bra B; A: bar.sync 0; B:",
        BarrierDivergence,
        "waits at PTX line",
    ),
    "barrier after an early exit": (
        "setp.ge.u32 %p1, %r50, 60; @%p1 exit;\n bar.sync 0;<<",
        BarrierDivergence,
        r"thread \(60, 0, 0\) has left",
    ),
    "shuffle in a branch": (
        f"setp.lt.u32 %p1, %r50, 20; @!%p1 bra A;\n shfl.sync.bfly.b32 %r2, %r1, 16, 31, {ALL};<<\n A:",
        InactiveLane,
        "do not take part",
    ),
    "shuffle outside of its own mask": (
        "\n shfl.sync.bfly.b32 %r2, %r1, 1, 31, 0xffff;<<",
        InactiveLane,
        "not in its own member mask",
    ),
    "vote in a branch": (
        f"setp.lt.u32 %p1, %r50, 20; @!%p1 bra A;\n vote.sync.any.pred %p2, %p1, {ALL};<<\n A:",
        InactiveLane,
        "0xffffffff",
    ),
    "cp.async read too early": (
        f"{LOAD} {PLACE} {COPY}\n ld.shared.f32 %f2, [%r9];<<",
        UnfinishedCopy,
        "shared",
    ),
    "cp.async with one group too many left": (
        f"{LOAD} {PLACE} {COPY} cp.async.wait_group 1;\n ld.shared.f32 %f2, [%r9];<<",
        UnfinishedCopy,
        "shared",
    ),
    "cp.async without a barrier": (
        f"{LOAD} {PLACE} {COPY} cp.async.wait_all;\n ld.shared.f32 %f2, [%r11];<<",
        DataRace,
        "cp.async",
    ),
    "misaligned rows of ldmatrix": (
        f"{PLACE} st.shared.u32 [%r9], %r1; bar.sync 0;\n"
        "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r2}, [%r9];<<",
        Misaligned,
        "16 bytes",
    ),
    "endless loop": ("A:\n bra A;<<", Endless, "budget"),
    "trap": ("\n trap;<<", Trap, "gave up"),
}


@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize("title", BUGS)
def test_planted_bugs_are_named_with_their_line(title, seed):
    code, fault, message = BUGS[title]
    text = kernel(code.replace("<<", ""), 2, SHARED + (DYNAMIC if "dynamic" in title else ""))
    machine = Machine()
    x = machine.put(np.arange(64, dtype=np.float32))
    machine.memory.protect(x, 256)
    y = machine.memory.allocate(256)
    with pytest.raises(fault, match=message) as found:
        machine.launch(text, 1, 64, [x, y], seed=seed, shared=256 if "dynamic" in title else 0, steps=10_000)
    before = kernel(code.split("<<")[0] + "<<", 2, SHARED + (DYNAMIC if "dynamic" in title else ""))
    assert found.value.line == before.split("<<")[0].count("\n") + 1
    assert found.value.kernel == "k"
    assert title in ("endless loop",) or found.value.thread is not None


def test_use_after_free_and_memory_of_the_other_device():
    text = kernel("ld.global.f32 %f1, [%rd1];", 1)
    machine, other = Machine(), DeviceMemory(1, 1 << 20)
    x = machine.put(np.zeros(4, np.float32))
    machine.memory.free(x)
    with pytest.raises(UseAfterFree, match="which was freed"):
        machine.launch(text, 1, 32, [x])
    foreign = other.allocate(16)
    with pytest.raises(OutOfBounds, match="memory of device 1, and not of device 0"):
        machine.launch(text, 1, 32, [foreign])
    machine.memory.write(x2 := machine.memory.allocate(16), np.ones(4, np.float32))
    other.copy(foreign, x2, 16, machine.memory)
    assert other.read(foreign, 16).view(np.float32).tolist() == [1] * 4


def test_poisoned_memory_is_read_only_after_it_is_written_again():
    machine = Machine()
    x = machine.put(np.zeros(64, np.float32))
    machine.memory.poison(x + 128, 64)
    text = kernel("add.u64 %rd20, %rd1, %rd10; ld.global.f32 %f1, [%rd20];", 1)
    with pytest.raises(UninitialisedRead) as found:
        machine.launch(text, 1, 64, [x])
    assert found.value.thread == (32, 0, 0)
    machine.launch(text, 1, 32, [x])
    machine.memory.fill(x + 128, 0, 16, 4)
    machine.launch(text, 1, 64, [x])


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("st.global.u32 [%rd1], %r52;", "(write after write|two threads store different)"),
        (
            "mul.wide.u32 %rd5, %r52, 4; add.u64 %rd6, %rd1, %rd5; st.global.u32 [%rd6], %r52;"
            "ld.global.u32 %r2, [%rd1];",
            "read and write",
        ),
        ("atom.global.add.u32 %r2, [%rd1], 1; ld.global.u32 %r3, [%rd1];", "read and write"),
    ],
)
def test_races_between_blocks(code, what):
    machine = Machine()
    x = machine.put(np.zeros(64, np.uint32))
    for grid in (8, 600):
        if grid == 600 and "rd6" in code:
            continue
        with pytest.raises(DataRace, match=f"{what}( of global address .* by block|)"):
            machine.launch(kernel(code, 1), grid, 32, [x])
    machine.launch(kernel(code, 1), 8, 32, [x], races=False)


def test_a_warp_may_share_memory_between_its_own_barriers():
    """Neither are atomics, nor strong accesses, nor lanes that agree a race."""
    code = f"""{PLACE} xor.b32 %r12, %r8, 4; add.u32 %r12, %r7, %r12;
    st.shared.u32 [%r9], %r1; bar.warp.sync {ALL}; ld.shared.u32 %r2, [%r12]; bar.warp.sync {ALL};
    st.shared.u32 [%r12], %r2; bar.sync 0;
    mov.u32 %r13, 5; st.shared.u32 [%r7], %r13; bar.sync 0; atom.shared.add.u32 %r14, [%r7], 1;
    red.shared.max.u32 [%r7], 70; bar.sync 0; ld.shared.u32 %r15, [%r7];
    red.global.add.u32 [%rd1], %r15;"""
    machine = Machine()
    x = machine.put(np.zeros(1, np.uint32))
    machine.launch(kernel(code, 1, SHARED), 3, 64, [x])
    assert machine.get(x, np.zeros(1, np.uint32)) == [3 * 64 * 70]


def test_bank_conflicts_are_counted():
    def conflicts(stride, op="ld.shared.f32 %f1, [%r9]"):
        code = f"mov.u32 %r7, s; mad.lo.u32 %r9, %r50, {stride}, %r7; st.shared.u32 [%r9], %r1; bar.sync 0; {op};"
        text = kernel(code, 0, ".shared .align 16 .b8 s[8192];")
        return Machine().launch(text, 1, 32, [], bank_conflicts=True).bank_conflicts

    assert [conflicts(s) for s in (4, 8, 128)] == [0, 2, 62]
    vector = "ld.shared.v4.f32 {%f1, %f2, %f3, %f4}, [%r7]"
    assert conflicts(4, vector) == 0


def test_what_was_compiled_with_lineinfo_says_the_line_of_the_program():
    code = "mov.u64 %rd9, 0;\n.loc 1 42 7\n ld.global.f32 %f1, [%rd9];"
    with pytest.raises(OutOfBounds, match=r"model\.py:42") as found:
        Machine().launch(kernel(code) + '.file 1 "model.py"\n', 1, 32, [])
    assert found.value.source == ("model.py", 42)


def test_launches_that_a_gpu_refuses():
    machine = Machine()
    module = machine.emulator.load(
        kernel("", 1).replace("k(.param .u64 p1)", "k(.param .u64 p1) .maxntid 64, 1, 1")
    )
    (name,) = module.kernels
    k = module.kernel(name)
    assert (k.parameter_size, k.max_threads, k.shared_size) == (8, 64, 0)
    for grid, block, options in (
        (1, 65, {}),
        (0, 32, {}),
        ((1, 70000), 32, {}),
        ((1, 1, 1, 1), 32, {}),
        (1, 0, {}),
        (1, 32, {"shared": 300_000}),
        (1, 32, {"shared": -1}),
    ):
        with pytest.raises(LaunchError):
            machine.emulator.launch(k, grid, block, k.pack([0]), **options)
    with pytest.raises(LaunchError, match="8 bytes of arguments, 4 are given"):
        machine.emulator.launch(k, 1, 32, b"1234")
    for values in ([], [1, 2], [2**64], [-(2**63) - 1]):
        with pytest.raises(LaunchError):
            k.pack(values)
    with pytest.raises(PTXError, match="there is k"):
        module.kernel("other")


def test_the_host_is_told_of_wrong_addresses():
    memory = DeviceMemory(capacity=1 << 20)
    a = memory.allocate(100)
    assert a % 256 == 0
    for wrong in (
        lambda: memory.write(a + 50, np.zeros(51, np.uint8)),
        lambda: memory.read(a - 1, 1),
        lambda: memory.read(a, 100),  # nothing was written
        lambda: memory.free(a + 1),
        lambda: memory.fill(a, 0, 26, 4),
        lambda: memory.poison(a, 101),
        lambda: memory.protect(0, 1),
        lambda: memory.copy(a, a, -1),
    ):
        with pytest.raises(HostAccessError):
            wrong()
    memory.free(a)
    with pytest.raises(HostAccessError):
        memory.free(a)
    for size in (-1, 1 << 30):
        with pytest.raises(OutOfMemory):
            memory.allocate(size)
    addresses = set()
    for _ in range(1000):
        addresses.add(b := memory.allocate(10_000))
        memory.free(b)
    assert 20 < len(addresses) < 1000  # freed memory is used again when nothing else is left


def test_all_faults_are_kernel_faults():
    assert issubclass(DataRace, KernelFault)
    assert isinstance(Emulator(DeviceMemory(capacity=4096)).memory, DeviceMemory)
