"""Instruction by instruction: what each gives for edge values, by Python's integers and NumPy's float64."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest

from netdsl.cuda.emulator import PTXError
from tests.cuda.emulator.running import kernel, run

U32 = [
    0,
    1,
    2,
    3,
    7,
    31,
    32,
    33,
    100,
    0x7FFFFFFF,
    0x80000000,
    0x80000001,
    0xFFFFFFFF,
    0xFFFFFFFE,
    0xCAFEBABE,
    65535,
]
PAIRS = [(a, b) for a in U32 for b in U32]
TRIPLES = [(a, b, (a * 2654435761 ^ b * 40503) % 2**32) for a in U32 for b in U32]
U64 = [(v | v << 33) % 2**64 for v in U32] + [2**63, 2**64 - 1, 2**63 - 1]


def signed(x, n=32):
    x %= 1 << n
    return x - (1 << n) if x >> (n - 1) else x


def truncated(a, b):
    return -1 if b == 0 else int(math.copysign(1, a * b or 1)) * (abs(a) // abs(b))


def rest(a, b):
    return a if b == 0 else int(math.copysign(1, a)) * (abs(a) % abs(b))


def inserted(a, b, pos, length):
    pos, length = pos & 255, length & 255
    mask = ((1 << length) - 1) << pos & 0xFFFFFFFF
    return b & ~mask | a << pos & mask


def permuted(a, b, s):
    data = (a | b << 32).to_bytes(8, "little")
    out = []
    for k in range(4):
        nibble = s >> 4 * k & 15
        byte = data[nibble & 7]
        out.append((255 if byte & 128 else 0) if nibble & 8 else byte)
    return int.from_bytes(bytes(out), "little")


# an instruction of 32-bit words in %r2, %r3, %r4 into %r5, and what it gives
WORDS = {
    "add.s32 %r5, %r2, %r3;": lambda a, b, c: a + b,
    "sub.s32 %r5, %r2, %r3;": lambda a, b, c: a - b,
    "mul.lo.s32 %r5, %r2, %r3;": lambda a, b, c: a * b,
    "mul.hi.u32 %r5, %r2, %r3;": lambda a, b, c: a * b >> 32,
    "mul.hi.s32 %r5, %r2, %r3;": lambda a, b, c: signed(a) * signed(b) >> 32,
    "mad.lo.s32 %r5, %r2, %r3, %r4;": lambda a, b, c: a * b + c,
    "mad.hi.u32 %r5, %r2, %r3, %r4;": lambda a, b, c: (a * b >> 32) + c,
    "div.u32 %r5, %r2, %r3;": lambda a, b, c: a // b if b else -1,
    "div.s32 %r5, %r2, %r3;": lambda a, b, c: truncated(signed(a), signed(b)),
    "rem.u32 %r5, %r2, %r3;": lambda a, b, c: a % b if b else a,
    "rem.s32 %r5, %r2, %r3;": lambda a, b, c: rest(signed(a), signed(b)),
    "min.s32 %r5, %r2, %r3;": lambda a, b, c: min(signed(a), signed(b)),
    "max.u32 %r5, %r2, %r3;": lambda a, b, c: max(a, b),
    "neg.s32 %r5, %r2;": lambda a, b, c: -signed(a),
    "abs.s32 %r5, %r2;": lambda a, b, c: abs(signed(a)),
    "and.b32 %r5, %r2, %r3;": lambda a, b, c: a & b,
    "or.b32 %r5, %r2, %r3;": lambda a, b, c: a | b,
    "xor.b32 %r5, %r2, %r3;": lambda a, b, c: a ^ b,
    "not.b32 %r5, %r2;": lambda a, b, c: ~a,
    "shl.b32 %r5, %r2, %r3;": lambda a, b, c: a << b if b < 32 else 0,
    "shl.b32 %r5, %r2, 5;": lambda a, b, c: a << 5,
    "shl.b32 %r5, %r2, 40;": lambda a, b, c: 0,
    "shr.u32 %r5, %r2, %r3;": lambda a, b, c: a >> b if b < 32 else 0,
    "shr.s32 %r5, %r2, %r3;": lambda a, b, c: signed(a) >> min(b, 31),
    "shr.s32 %r5, %r2, 33;": lambda a, b, c: signed(a) >> 31,
    "shf.l.wrap.b32 %r5, %r2, %r3, %r4;": lambda a, b, c: ((b << 32 | a) << (c & 31)) >> 32,
    "shf.r.wrap.b32 %r5, %r2, %r3, %r4;": lambda a, b, c: (b << 32 | a) >> (c & 31),
    "shf.l.clamp.b32 %r5, %r2, %r3, %r4;": lambda a, b, c: ((b << 32 | a) << min(c, 32)) >> 32,
    "shf.r.clamp.b32 %r5, %r2, %r3, %r4;": lambda a, b, c: (b << 32 | a) >> min(c, 32),
    "bfi.b32 %r5, %r2, %r3, %r4, 7;": lambda a, b, c: inserted(a, b, c, 7),
    "bfi.b32 %r5, %r2, %r3, 8, %r4;": lambda a, b, c: inserted(a, b, 8, c),
    "prmt.b32 %r5, %r2, %r3, %r4;": permuted,
    "prmt.b32 %r5, %r2, %r3, 0x5410;": lambda a, b, c: a & 0xFFFF | (b & 0xFFFF) << 16,
    "popc.b32 %r5, %r2;": lambda a, b, c: bin(a).count("1"),
    "clz.b32 %r5, %r2;": lambda a, b, c: 32 - a.bit_length(),
    "setp.lt.s32 %p1, %r2, %r3; selp.b32 %r5, 1, 2, %p1;": lambda a, b, c: 1 if signed(a) < signed(b) else 2,
    "setp.lo.u32 %p1, %r2, %r3; selp.b32 %r5, 1, 2, %p1;": lambda a, b, c: 1 if a < b else 2,
    "setp.hs.u32 %p1, %r2, %r3; selp.b32 %r5, 1, 2, !%p1;": lambda a, b, c: 2 if a >= b else 1,
    "setp.eq.b32 %p2, %r4, %r2; setp.ne.and.b32 %p1|%p3, %r2, %r3, %p2; selp.b32 %r6, 1, 0, %p1; "
    "selp.b32 %r7, 2, 0, %p3; add.u32 %r5, %r6, %r7;": lambda a, b, c: (1 if a != b else 2) if a == c else 0,
    "add.cc.u32 %r6, %r2, %r3; addc.u32 %r5, %r3, %r4;": lambda a, b, c: b + c + (a + b >> 32),
    "mad.lo.cc.u32 %r6, %r2, %r3, %r4; madc.hi.u32 %r5, %r2, %r3, 0;": lambda a, b, c: a * b + c >> 32,
    "cvt.s32.s8 %r5, %r2;": lambda a, b, c: signed(a, 8),
    "cvt.u32.u16 %r5, %r2;": lambda a, b, c: a % 65536,
    "mov.b32 {%h1, %h2}, %r2; mov.b32 %r5, {%h2, %h1};": lambda a, b, c: a >> 16 | (a & 65535) << 16,
    "cvt.u16.u32 %h1, %r2; mul.wide.u16 %r5, %h1, %h1;": lambda a, b, c: (a & 65535) ** 2,
    "cvt.u16.u32 %h1, %r2; cvt.u16.u32 %h2, %r3; min.s16 %h3, %h1, %h2; cvt.s32.s16 %r5, %h3;": lambda a, b, c: (
        min(signed(a, 16), signed(b, 16))
    ),
    "mov.u32 %r5, 7; setp.lt.u32 %p1, %r2, %r3; @%p1 mov.u32 %r5, %r4;": lambda a, b, c: c if a < b else 7,
}


@pytest.mark.parametrize("code", WORDS)
def test_words(code):
    triples = TRIPLES[:: 3 if "," in code else 1]
    a, b, c = (np.array(v, np.uint32) for v in zip(*triples, strict=True))
    loads = "".join(f"add.u64 %rd2{k}, %rd{k}, %rd10; ld.global.u32 %r{k + 1}, [%rd2{k}];" for k in (1, 2, 3))
    text = kernel(f"{loads} {code} add.u64 %rd24, %rd4, %rd10; st.global.u32 [%rd24], %r5;", 4)
    got = run(text, [a, b, c], np.zeros(len(a), np.uint32), block=len(a))
    assert got.tolist() == [WORDS[code](*t) % 2**32 for t in triples]


LONG = {
    "add.s64 %rd5, %rd2, %rd3;": lambda a, b: a + b,
    "mul.lo.s64 %rd5, %rd2, %rd3;": lambda a, b: a * b,
    "mul.hi.s64 %rd5, %rd2, %rd3;": lambda a, b: signed(a, 64) * signed(b, 64) >> 64,
    "mul.hi.u64 %rd5, %rd2, %rd3;": lambda a, b: a * b >> 64,
    "div.s64 %rd5, %rd2, %rd3;": lambda a, b: truncated(signed(a, 64), signed(b, 64)),
    "rem.u64 %rd5, %rd2, %rd3;": lambda a, b: a % b if b else a,
    "shr.s64 %rd5, %rd2, 63;": lambda a, b: signed(a, 64) >> 63,
    "shl.b64 %rd5, %rd2, 35;": lambda a, b: a << 35,
    "min.u64 %rd5, %rd2, %rd3;": min,
    "popc.b64 %r5, %rd2; cvt.u64.u32 %rd5, %r5;": lambda a, b: bin(a).count("1"),
    "clz.b64 %r5, %rd2; cvt.u64.u32 %rd5, %r5;": lambda a, b: 64 - a.bit_length(),
    "cvt.u32.u64 %r5, %rd2; mul.wide.s32 %rd5, %r5, -3;": lambda a, b: signed(a) * -3,
    "cvt.u32.u64 %r5, %rd2; mad.wide.u32 %rd5, %r5, %r5, %rd3;": lambda a, b: (a % 2**32) ** 2 + b,
    "mov.b64 {%r5, %r6}, %rd2; mov.b64 %rd5, {%r6, %r5};": lambda a, b: a >> 32 | (a % 2**32) << 32,
    "add.cc.u64 %rd6, %rd2, %rd3; addc.u64 %rd5, 0, 0;": lambda a, b: a + b >> 64,
    "setp.gt.s64 %p1, %rd2, %rd3; selp.b64 %rd5, %rd2, %rd3, %p1;": lambda a, b: max(
        a, b, key=lambda x: signed(x, 64)
    ),
}


@pytest.mark.parametrize("code", LONG)
def test_long_words(code):
    pairs = [(a, b) for a in U64 for b in U64]
    a, b = (np.array(v, np.uint64) for v in zip(*pairs, strict=True))
    text = kernel(
        "add.u64 %rd21, %rd1, %rd11; add.u64 %rd22, %rd2, %rd11; add.u64 %rd23, %rd3, %rd11;"
        f"ld.global.u64 %rd2, [%rd21]; ld.global.u64 %rd3, [%rd22]; {code} st.global.u64 [%rd23], %rd5;",
        3,
    )
    got = run(text, [a, b], np.zeros(len(a), np.uint64), block=len(a))
    assert got.tolist() == [LONG[code](*p) % 2**64 for p in pairs]


TINY = float(np.float32(1.1754944e-38))
REALS = [
    0.0,
    -0.0,
    1.0,
    -1.5,
    3.1415927,
    -1e-3,
    65504.0,
    1e30,
    -3e38,
    1e-40,
    -1e-45,
    TINY,
    math.inf,
    -math.inf,
    math.nan,
]
F32 = np.array(REALS, np.float32)


def directed(exact, mode):
    """A Fraction as float32, rounded down, up or to zero; nothing else is used than the list of neighbours."""
    near = np.float32(float(exact))
    value = Fraction(float(near))
    if mode == "rz":
        mode = "rm" if exact > 0 else "rp"
    if mode == "rm" and value > exact:
        return np.nextafter(near, np.float32(-np.inf))
    if mode == "rp" and value < exact:
        return np.nextafter(near, np.float32(np.inf))
    return near


def flushed(x):
    return math.copysign(0.0, x) if abs(x) < TINY else x


def least(a, b):
    if math.isnan(a) or math.isnan(b):
        return b if math.isnan(a) else a
    return a if (a, math.copysign(1, a)) <= (b, math.copysign(1, b)) else b


def quotient(a, b):
    with np.errstate(all="ignore"):
        return float(np.float64(a) / np.float64(b))


def function(f):
    def safe(a, b):
        with np.errstate(all="ignore"):
            return float(f(np.float64(a)))

    return safe


# code, the value in float64, the relative error allowed
FLOATS = {
    "add.f32 %f5, %f2, %f3;": (lambda a, b: a + b, 0),
    "add.rn.ftz.f32 %f5, %f2, %f3;": (lambda a, b: flushed(flushed(a) + flushed(b)), 0),
    "sub.f32 %f5, %f2, %f3;": (lambda a, b: a - b, 0),
    "mul.f32 %f5, %f2, %f3;": (lambda a, b: a * b, 0),
    "mul.sat.f32 %f5, %f2, %f3;": (lambda a, b: 0.0 if not a * b > 0 else min(a * b, 1.0), 0),
    "div.rn.f32 %f5, %f2, %f3;": (quotient, 0),
    "div.full.f32 %f5, %f2, %f3;": (quotient, 3e-7),
    "div.approx.ftz.f32 %f5, %f2, %f3;": (lambda a, b: flushed(quotient(flushed(a), flushed(b))), 3e-7),
    "min.f32 %f5, %f2, %f3;": (least, 0),
    "max.f32 %f5, %f2, %f3;": (lambda a, b: -least(-a, -b), 0),
    "neg.f32 %f5, %f2;": (lambda a, b: -a, 0),
    "abs.f32 %f5, %f2;": (lambda a, b: abs(a), 0),
    "abs.ftz.f32 %f5, %f2;": (lambda a, b: abs(flushed(a)), 0),
    "copysign.f32 %f5, %f2, %f3;": (lambda a, b: math.copysign(b, a), 0),
    "sqrt.rn.f32 %f5, %f2;": (function(np.sqrt), 0),
    "sqrt.approx.f32 %f5, %f2;": (function(np.sqrt), 3e-7),
    "rsqrt.approx.f32 %f5, %f2;": (function(lambda x: 1 / np.sqrt(x)), 3e-7),
    "rcp.rn.f32 %f5, %f2;": (lambda a, b: quotient(1.0, a), 0),
    "ex2.approx.f32 %f5, %f2;": (function(np.exp2), 3e-7),
    "lg2.approx.f32 %f5, %f2;": (function(np.log2), 3e-7),
    "sin.approx.f32 %f5, %f2;": (function(np.sin), 3e-7),
    "cos.approx.f32 %f5, %f2;": (function(np.cos), 3e-7),
    "cvt.f64.f32 %fd1, %f2; cvt.f64.f32 %fd2, %f3; div.rn.f64 %fd3, %fd1, %fd2; cvt.rn.f32.f64 %f5, %fd3;": (
        quotient,
        0,
    ),
    "cvt.f64.f32 %fd1, %f2; cvt.f64.f32 %fd2, %f3; fma.rn.f64 %fd3, %fd1, %fd2, %fd1; cvt.rn.f32.f64 %f5, %fd3;": (
        lambda a, b: a * b + a,
        2e-7,
    ),
    "tanh.approx.f32 %f5, %f2;": (function(np.tanh), 3e-7),
    "setp.lt.f32 %p1, %f2, %f3; selp.f32 %f5, 0f3F800000, 0f00000000, %p1;": (lambda a, b: float(a < b), 0),
    "setp.geu.f32 %p1, %f2, %f3; selp.f32 %f5, 0f3F800000, 0f00000000, %p1;": (
        lambda a, b: float(not a < b),
        0,
    ),
    "setp.ne.f32 %p1, %f2, %f3; selp.f32 %f5, 0f3F800000, 0f00000000, %p1;": (
        lambda a, b: float(a < b or a > b),
        0,
    ),
    "setp.neu.f32 %p1, %f2, %f3; selp.f32 %f5, 0f3F800000, 0f00000000, %p1;": (lambda a, b: float(a != b), 0),
    "setp.nan.f32 %p1, %f2, %f3; selp.f32 %f5, 0f3F800000, 0f00000000, %p1;": (
        lambda a, b: float(a != a or b != b),
        0,
    ),
    "cvt.f64.f32 %fd1, %f2; cvt.f64.f32 %fd2, %f3; add.f64 %fd3, %fd1, %fd2; cvt.rn.f32.f64 %f5, %fd3;": (
        lambda a, b: a + b,
        0,
    ),
    "cvt.rzi.s32.f32 %r5, %f2; cvt.rn.f32.s32 %f5, %r5;": (
        lambda a, b: 0.0 if a != a else float(max(-(2**31), min(2**31 - 1, int(max(-1e20, min(1e20, a)))))),
        0,
    ),
    "cvt.rni.f32.f32 %f5, %f2;": (function(np.rint), 0),
    "cvt.rpi.f32.f32 %f5, %f2;": (function(np.ceil), 0),
    "{.reg .b32 t; mov.b32 t, %f2; mov.b32 %f5, t;}": (lambda a, b: a, 0),
}


@pytest.mark.parametrize("code", FLOATS)
def test_floats(code):
    value, tolerance = FLOATS[code]
    pairs = [(a, b) for a in F32 for b in F32]
    a, b = (np.array(v, np.float32) for v in zip(*pairs, strict=True))
    got = run(_float_kernel(code), [a, b], np.zeros(len(a), np.float32), block=len(a)).astype(np.float64)
    with np.errstate(all="ignore"):
        want = np.array([value(float(x), float(y)) for x, y in pairs]).astype(np.float32).astype(np.float64)
        same = (got == want) & (np.signbit(got) == np.signbit(want)) | (np.isnan(got) & np.isnan(want))
        close = np.abs(got - want) <= tolerance * np.abs(want) + (1.5e-45 if tolerance else 0)
    wrong = ~(same | (close if tolerance else same))
    assert not wrong.any(), (pairs[int(wrong.argmax())], got[wrong][0], want[wrong][0])


def _float_kernel(code):
    return kernel(
        "add.u64 %rd21, %rd1, %rd10; add.u64 %rd22, %rd2, %rd10; add.u64 %rd23, %rd3, %rd10;"
        f"ld.global.f32 %f2, [%rd21]; ld.global.f32 %f3, [%rd22]; {code} st.global.f32 [%rd23], %f5;",
        3,
    )


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
def test_fused_products_are_rounded_once(mode):
    """Values whose sum lies beside the middle of two floats: rounding twice goes the wrong way."""
    r = np.random.default_rng(3)
    a = np.concatenate([r.normal(size=500), [1 + 2**-12, 1 + 2**-23, 1.5]]).astype(np.float32)
    b = np.concatenate([r.normal(size=500), [1 + 2**-12, 1 - 2**-24, 1.5]]).astype(np.float32)
    code = f"fma.{mode}.f32 %f5, %f2, %f3, 0f33800001; fma.{mode}.f32 %f5, %f2, %f3, %f5;"
    got = run(_float_kernel(code), [a, b], np.zeros(len(a), np.float32), block=len(a))
    c = Fraction(float(np.uint32(0x33800001).view(np.float32)))

    def once(x, y, z):
        exact = Fraction(float(x)) * Fraction(float(y)) + z
        near = np.float32(float(exact))
        around = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
        if mode == "rn":
            key = lambda v: (abs(Fraction(float(v)) - exact), int(v.view(np.uint32)) & 1)  # noqa: E731
            return min(around, key=key)
        return directed(exact, mode)

    want = [once(x, y, Fraction(float(once(x, y, c)))) for x, y in zip(a, b, strict=True)]
    assert got.tolist() == [float(v) for v in want]


@pytest.mark.parametrize("mode", ["rz", "rm", "rp"])
def test_directed_sums(mode):
    r = np.random.default_rng(4)
    a, b = (
        r.normal(size=300).astype(np.float32) * 10.0 ** r.integers(-5, 5, 300).astype(np.float32)
        for _ in "ab"
    )
    got = run(_float_kernel(f"add.{mode}.f32 %f5, %f2, %f3;"), [a, b], np.zeros(300, np.float32), block=300)
    want = [directed(Fraction(float(x)) + Fraction(float(y)), mode) for x, y in zip(a, b, strict=True)]
    assert got.tolist() == [float(v) for v in want]


def bf16(x, mode="rn"):
    """bf16 bits of a float: the nearest of both neighbours, ties to the even one."""
    with np.errstate(over="ignore"):
        bits = int(np.float32(x).view(np.uint32))
    low, tail = bits >> 16, bits & 0xFFFF
    up = mode == "rn" and (tail > 0x8000 or (tail == 0x8000 and low & 1))
    return low + up


def test_small_floats():
    x = np.array([0.0, 1.0, -1.00390625, 1.01171875, 3e38, 1e-39, 65519.9, math.inf, 0.1, -2.7], np.float32)
    n = len(x)
    pairs = "cvt.rn.bf16x2.f32 %r5, %f2, %f3; mov.b32 %f5, %r5;"
    got = run(_float_kernel(pairs), [x, x[::-1].copy()], np.zeros(n, np.float32), block=n).view(np.uint32)
    assert got.tolist() == [bf16(a) << 16 | bf16(b) for a, b in zip(x, x[::-1], strict=True)]
    for kind, fraction in (("rna", 0x1000), ("rz", 0)):
        code = f"cvt.{kind}.tf32.f32 %r5, %f2; mov.b32 %f5, %r5;"
        got = run(_float_kernel(code), [x, x], np.zeros(n, np.float32), block=n).view(np.uint32)
        bits = x.view(np.uint32)
        cut = (bits + np.uint32(fraction)) & np.uint32(0xFFFFE000)
        assert got.tolist() == np.where(np.isinf(x), bits, cut).tolist()
    code = "cvt.rn.bf16.f32 %h1, %f2; cvt.f32.bf16 %f5, %h1;"
    got = run(_float_kernel(code), [x, x], np.zeros(n, np.float32), block=n).view(np.uint32)
    assert got.tolist() == [bf16(a) << 16 for a in x]


UNKNOWN = {
    "wgmma.fence.sync.aligned;": "wgmma",
    "add.u32.banana %r5, %r2, %r3;": "banana",
    "add.b32 %r5, %r2, %r3;": "add.b32",
    "mul.s32 %r5, %r2, %r3;": "mul.s32",
    "add.u32 %r5, %r2;": "2 operands",
    "add.u32 %f5, %r2, %r3, %r4;": "2 operands",
    "add.u64 %rd5, %r2, %rd3;": ".b32 is no .u64",
    "setp.eq.u32 %r5, %r2, %r3;": "holds no .pred",
    "mov.u32 %r5, %nosuch;": "%nosuch",
    "mov.u32 %r5, nosuch;": "nosuch",
    "bra NOWHERE;": "NOWHERE",
    "ld.global.f32 %f5, [%r99];": "%r99",
    "call vprintf, (%r2);": "call",
    "bar.arrive 0, 32;": "bar.arrive",
    "bar.sync 1;": "of all threads",
    "bar.sync 0, 32;": "of all threads",
    "add.rz.f64 %fd1, %fd1, %fd1;": "add.rz.f64",
    "div.rz.f32 %f1, %f1, %f1;": "rz",
    "ld.u32 %r5, [%rd1];": "generic",
    "brx.idx %r2, T;": "brx.idx",
    "ld.global.v3.f32 {%f1, %f2, %f3}, [%rd1];": "v3",
    "mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32 {%f1}, {%r1}, {%r1}, {%f1};": "m8n8k4",
    "cp.async.bulk.commit_group;": "cp.async.bulk",
    "@%p1 bar.sync 0;": "guard",
    "cvt.rn.satfinite.e4m3x2.f32 %h1, %f1, %f2;": "e4m3x2",
    "mov.u32 %r5, 0x123456789;": "4886718345",
}


@pytest.mark.parametrize("code", UNKNOWN)
def test_what_is_not_known_is_named_with_its_line(code):
    with pytest.raises(PTXError) as found:
        run(kernel(f"mov.u32 %r2, 1;\n{code}", 1), [], np.zeros(1))
    assert re.search(re.escape(UNKNOWN[code]), str(found.value))
    assert found.value.line == kernel(f"mov.u32 %r2, 1;\n{code}", 1).split(code)[0].count("\n") + 1
