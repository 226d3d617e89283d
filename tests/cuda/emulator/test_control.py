"""Control flow: lanes that diverge meet again, and leave when they want to."""

import numpy as np
import pytest

from tests.cuda.emulator.running import kernel, run

OUT = np.zeros(64, np.uint32)
STORE = "add.u64 %rd20, %rd1, %rd10; st.global.u32 [%rd20], %r2;"


def test_collatz_loops_of_different_lengths():
    body = f"""
    add.u32 %r3, %r1, 1; mov.u32 %r2, 0;
    LOOP: setp.eq.u32 %p1, %r3, 1; @%p1 bra DONE;
    and.b32 %r4, %r3, 1; setp.eq.u32 %p2, %r4, 0; @%p2 bra EVEN;
    mad.lo.u32 %r3, %r3, 3, 1; bra.uni NEXT;
    EVEN: shr.u32 %r3, %r3, 1;
    NEXT: add.u32 %r2, %r2, 1; bra LOOP;
    DONE: {STORE}"""

    def steps(n):
        return 0 if n == 1 else 1 + steps(3 * n + 1 if n & 1 else n // 2)

    got = run(kernel(body, 1), [], OUT, block=64)
    assert got.tolist() == [steps(n + 1) for n in range(64)]


@pytest.mark.parametrize("seed", [0, 1])
def test_blocks_of_any_size_and_order(seed):
    out = np.zeros(7 * 45, np.uint32)
    got = run(kernel(f"mov.u32 %r2, %r1; {STORE}", 1), [], out, block=45, grid=7, seed=seed)
    assert got.tolist() == list(range(7 * 45))


def test_a_lane_that_leaves_early_writes_nothing_more():
    body = f"mov.u32 %r2, 1; {STORE} setp.gt.u32 %p1, %r1, 40; @%p1 exit; mov.u32 %r2, 2; {STORE}"
    assert run(kernel(body, 1), [], OUT, block=64).tolist() == [2] * 41 + [1] * 23


def test_local_shared_and_constant_variables():
    before = (
        ".const .align 4 .u32 table[4] = {5, 6, 7, 8}; .global .u32 counter = 3; .shared .align 4 .b8 s[256];"
    )
    body = f"""
    .local .align 4 .b8 own[16];
    mov.u64 %rd2, own; mov.u64 %rd3, table; and.b32 %r3, %r1, 3; mul.wide.u32 %rd4, %r3, 4;
    add.u64 %rd5, %rd3, %rd4; ld.const.u32 %r4, [%rd5];
    add.u64 %rd6, %rd2, %rd4; st.local.u32 [%rd6], %r4; ld.local.u32 %r5, [%rd6];
    ld.global.u32 %r6, [counter];
    mov.u32 %r7, s; shl.b32 %r8, %r1, 2; add.u32 %r9, %r7, %r8;
    add.u32 %r10, %r5, %r6; st.shared.u32 [%r9], %r10;
    bar.sync 0;
    xor.b32 %r11, %r8, 4; add.u32 %r12, %r7, %r11; ld.shared.u32 %r2, [%r12];
    {STORE}"""
    assert run(kernel(body, 1, before), [], OUT, block=64).tolist() == [8 + ((n ^ 1) & 3) for n in range(64)]
