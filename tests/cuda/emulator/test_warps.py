"""Warps, tensor cores, asynchronous copies and atomics, against their meaning written here; random programs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cuda.emulator.running import Machine, kernel, run

ALL = "0xffffffff"
OUT = np.zeros(64, np.uint32)
STORE = "add.u64 %rd20, %rd1, %rd10; st.global.u32 [%rd20], %r2;"


def shuffled(mode, lane, by, width):
    """The lane that is read in segments of `width` lanes, or None."""
    segment = lane // width * width
    other = {"up": lane - by, "down": lane + by, "bfly": lane ^ by, "idx": segment + by % width}[mode]
    lowest = 0 if mode == "bfly" else segment  # earlier segments are open to bfly
    return other if lowest <= other < segment + width else None


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("width", [32, 8])
@pytest.mark.parametrize("by", [1, 5, 16])
@pytest.mark.parametrize("mode", ["up", "down", "bfly", "idx"])
def test_shuffles(mode, by, width, seed):
    c = (32 - width) << 8 | (0 if mode == "up" else 31)
    code = "add.u32 %r3, %r1, 100;"
    code += f"shfl.sync.{mode}.b32 %r2|%p1, %r3, {by}, {c}, {ALL}; @!%p1 add.u32 %r2, %r2, 1000;"
    got = run(kernel(f"{code} {STORE}", 1), [], OUT, block=64, seed=seed).tolist()
    want = []
    for n in range(64):
        other = shuffled(mode, n % 32, by, width)
        want.append(n + 1100 if other is None else 100 + n // 32 * 32 + other)
    assert got == want


def bits(holds):
    return sum(1 << k for k in range(32) if holds(k))


WARPS = {
    f"vote.sync.ballot.b32 %r2, %p1, {ALL};": lambda n, w: bits(lambda k: (w + k) % 3 == 0),
    f"vote.sync.any.pred %p2, %p1, {ALL}; selp.u32 %r2, 1, 0, %p2;": lambda n, w: 1,
    f"vote.sync.all.pred %p2, %p1, {ALL}; selp.u32 %r2, 1, 0, %p2;": lambda n, w: 0,
    f"rem.u32 %r3, %r1, 5; match.any.sync.b32 %r2, %r3, {ALL};": lambda n, w: bits(
        lambda k: (w + k) % 5 == n % 5
    ),
    "mov.u32 %r2, %laneid; mov.u32 %r3, %warpid; mad.lo.u32 %r2, %r3, 100, %r2;": lambda n, w: (
        n % 32 + w // 32 * 100
    ),
}


@pytest.mark.parametrize("code", WARPS)
def test_whole_warps(code):
    text = kernel(f"rem.u32 %r4, %r1, 3; setp.eq.u32 %p1, %r4, 0; {code} {STORE}", 1)
    for seed in (0, 3):
        got = run(text, [], OUT, block=64, seed=seed).tolist()
        assert got == [WARPS[code](n, n // 32 * 32) for n in range(64)]


def test_instructions_without_effect():
    """Fences and hints change nothing in lock step; pointers to global memory are those of its own space."""
    code = """membar.gl; fence.acq_rel.gpu; bar.warp.sync 0xffffffff; cvta.to.global.u64 %rd9, %rd1;
    sub.u64 %rd9, %rd9, %rd1; cvt.u32.u64 %r2, %rd9; add.u32 %r2, %r2, 116;"""
    assert run(kernel(f"{code} {STORE}", 1), [], OUT, block=64).tolist() == [116] * 64


def test_half_a_warp_votes_alone():
    code = "setp.lt.u32 %p1, %r50, 16; @!%p1 bra A; setp.lt.u32 %p2, %r50, 9;"
    code += "vote.sync.ballot.b32 %r2, %p2, 0xffff; bra B; A: mov.u32 %r2, 5; B:"
    assert run(kernel(f"{code} {STORE}", 1), [], OUT[:32]).tolist() == [511] * 16 + [5] * 16


SHAPES = [("bf16", 16), ("bf16", 8), ("tf32", 8), ("tf32", 4)]


@pytest.mark.parametrize(("kind", "depth"), SHAPES)
def test_products_of_tensor_cores(kind, depth):
    """Whole numbers, so that the order of sums does not matter; the layouts are those of the PTX manual."""
    r = np.random.default_rng(depth)
    a, b, c = (r.integers(-8, 8, s).astype(np.float32) for s in ((16, depth), (depth, 8), (16, 8)))
    each = 1 if kind == "tf32" else 2
    na, nb = 16 * depth // 32 // each, depth * 8 // 32 // each
    lanes = np.arange(32)
    group, inner = lanes // 4, lanes % 4

    def word(x):
        if kind == "tf32":
            return x[..., 0].view(np.uint32)
        bits = (x.view(np.uint32) >> 16).astype(np.uint16)
        return bits[..., 0].astype(np.uint32) | bits[..., 1].astype(np.uint32) << 16

    step = np.arange(each)
    left = [
        a[(group + 8 * (k % 2))[:, None], (inner * each + 4 * each * (k // 2))[:, None] + step]
        for k in range(na)
    ]
    right = [b[(inner * each + 4 * each * k)[:, None] + step, group[:, None]] for k in range(nb)]
    sums = [c[group + 8 * (k // 2), inner * 2 + k % 2] for k in range(4)]
    packed = np.stack(
        [*map(word, map(np.ascontiguousarray, left + right)), *(s.view(np.uint32) for s in sums)]
    )
    registers = [f"%r{k + 10}" for k in range(len(packed))]
    loads = "".join(f"ld.global.u32 {x}, [%rd20+{128 * k}];" for k, x in enumerate(registers))
    floats = "".join(f"mov.b32 %f{k}, {x};" for k, x in enumerate(registers[-4:]))
    text = kernel(
        f"add.u64 %rd20, %rd1, %rd10; {loads} {floats}"
        f"mma.sync.aligned.m16n8k{depth}.row.col.f32.{kind}.{kind}.f32 {{%f10,%f11,%f12,%f13}},"
        f"{{{','.join(registers[:na])}}}, {{{','.join(registers[na : na + nb])}}}, {{%f0,%f1,%f2,%f3}};"
        "add.u64 %rd21, %rd2, %rd10; st.global.f32 [%rd21], %f10; st.global.f32 [%rd21+128], %f11;"
        "st.global.f32 [%rd21+256], %f12; st.global.f32 [%rd21+384], %f13;",
        2,
    )
    got = run(text, [packed], np.zeros((4, 32), np.float32))
    want = a @ b + c
    assert got.tolist() == [want[group + 8 * (k // 2), inner * 2 + k % 2].tolist() for k in range(4)]


@pytest.mark.parametrize("transposed", ["", ".trans"])
def test_ldmatrix(transposed):
    x = np.arange(4 * 64, dtype=np.uint16)
    before = ".shared .align 16 .b8 s[512];"
    code = f"""mov.u32 %r7, s; shl.b32 %r8, %r50, 4; add.u32 %r9, %r7, %r8; mul.wide.u32 %rd5, %r50, 16;
    add.u64 %rd6, %rd1, %rd5; ld.global.v4.u32 {{%r10,%r11,%r12,%r13}}, [%rd6];
    st.shared.v4.u32 [%r9], {{%r10,%r11,%r12,%r13}}; bar.sync 0;
    ldmatrix.sync.aligned.m8n8.x4{transposed}.shared.b16 {{%r20,%r21,%r22,%r23}}, [%r9];
    add.u64 %rd7, %rd2, %rd10; st.global.u32 [%rd7], %r20; st.global.u32 [%rd7+128], %r21;
    st.global.u32 [%rd7+256], %r22; st.global.u32 [%rd7+384], %r23;"""
    got = run(kernel(code, 2, before), [x], np.zeros((4, 32), np.uint32))
    m = x.reshape(4, 8, 8).astype(np.uint32)
    m = m.transpose(0, 2, 1) if transposed else m
    assert got.tolist() == (m[:, :, 0::2] | m[:, :, 1::2] << 16).reshape(4, 32).tolist()


@pytest.mark.parametrize("size", [16, 8, 4, 0])
def test_asynchronous_copies_fill_up_with_zeros(size):
    x = np.arange(128, dtype=np.uint32) + 1
    before = ".shared .align 16 .b8 s[512];"
    code = f"""mov.u32 %r7, s; shl.b32 %r8, %r50, 4; add.u32 %r9, %r7, %r8; mul.wide.u32 %rd5, %r50, 16;
    add.u64 %rd6, %rd1, %rd5; mov.u32 %r3, {size};
    cp.async.cg.shared.global.L2::128B [%r9], [%rd6], 16, %r3; cp.async.commit_group; cp.async.wait_group 0;
    ld.shared.v4.u32 {{%r10,%r11,%r12,%r13}}, [%r9]; add.u64 %rd7, %rd2, %rd5;
    st.global.v4.u32 [%rd7], {{%r10,%r11,%r12,%r13}};"""
    got = run(kernel(code, 2, before), [x], np.zeros((32, 4), np.uint32))
    want = x.reshape(32, 4).copy()
    want[:, size // 4 :] = 0
    assert got.tolist() == want.tolist()


ATOMICS = {
    "add.u32": (5, 5 + sum(range(64))),
    "min.s32": (40, 0),
    "max.u32": (40, 63),
    "and.b32": (0xFFFF, 0),
    "or.b32": (0, 63),
    "xor.b32": (1, 1),
    "exch.b32": (3, None),
}


@pytest.mark.parametrize("op", ATOMICS)
def test_atomics(op):
    start, want = ATOMICS[op]
    text = kernel(
        f"atom.global.{op} %r2, [%rd1], %r1; add.u64 %rd21, %rd2, %rd10; st.global.u32 [%rd21], %r2;", 2
    )
    x = np.array([start], np.uint32)
    got = run(text, [x], OUT, block=64)
    assert got[0] == start
    red = kernel(f"red.global.{op} [%rd1], %r1;", 1) if want is not None else None
    if red:
        machine = Machine()
        address = machine.put(x)
        machine.launch(red, 1, 64, [address])
        assert machine.get(address, x)[0] == want


def test_float_atomics_and_compare_and_swap():
    code = """cvt.rn.f32.u32 %f1, %r1; atom.global.add.f32 %f2, [%rd1], %f1;
    atom.global.cas.b32 %r2, [%rd1+4], 7, 9; add.u64 %rd21, %rd2, %rd10; st.global.u32 [%rd21], %r2;"""
    got = run(kernel(code, 2), [np.array([1.5, np.uint32(7).view(np.float32)], np.float32)], OUT, block=64)
    assert got.tolist() == [7] + [9] * 63


OPS = {
    "add.s32": lambda a, b: a + b,
    "sub.s32": lambda a, b: a - b,
    "mul.lo.s32": lambda a, b: a * b,
    "and.b32": lambda a, b: a & b,
    "or.b32": lambda a, b: a | b,
    "xor.b32": lambda a, b: a ^ b,
    "max.u32": max,
    "shl.b32": lambda a, b: a << b if b < 32 else 0,
    "shr.u32": lambda a, b: a >> b if b < 32 else 0,
    "mul.hi.u32": lambda a, b: a * b >> 32,
}
STEPS = st.tuples(
    st.sampled_from(sorted(OPS)), *[st.integers(2, 9)] * 3, st.sampled_from(["", "@%p1 ", "@!%p1 "])
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25), st.integers(0, 63))
def test_random_programs(steps, limit):
    """Straight-line integer programs with guards, against a loop over threads in Python."""
    begin = "".join(f"mad.lo.u32 %r{k}, %r1, {k * 2654435761 % 2**31}, {k};" for k in range(2, 10))
    lines = "".join(f"{guard}{op} %r{d}, %r{a}, %r{b};\n" for op, d, a, b, guard in steps)
    text = kernel(f"{begin} setp.lt.u32 %p1, %r1, {limit};\n{lines} {STORE}", 1)
    want = []
    for thread in range(64):
        r = {k: (thread * (k * 2654435761 % 2**31) + k) % 2**32 for k in range(2, 10)}
        for op, d, a, b, guard in steps:
            if guard == "" or (thread < limit) == (guard == "@%p1 "):
                r[d] = OPS[op](r[a], r[b]) % 2**32
        want.append(r[2])
    assert run(text, [], OUT, block=64).tolist() == want
