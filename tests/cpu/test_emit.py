import numpy as np
import pytest

from netdsl.native.emit import F32, I32

LANES = pytest.mark.parametrize("lanes", [4, 8, 16])


@LANES
def test_loop_with_partial_vectors_touches_nothing_else(compiled, lanes):
    def square(e):
        x, y, n = e.args
        with e.loop(0, n, e.lanes) as loop:
            at = e.mul(loop.index, 4)
            count = e.min_int(e.sub(n, loop.index), e.lanes)
            v = e.load_part(e.f32s, e.add(x, at), count)
            e.store_part(e.b.fmul(v, v), e.add(y, at), count)

    run = compiled(square, lanes=lanes)
    x = np.arange(50, dtype=np.float32)
    for n in range(50):
        y = np.full(50, -1, np.float32)
        run(x.ctypes.data, y.ctypes.data, n)
        assert (y == np.where(np.arange(50) < n, x * x, -1)).all()


@LANES
def test_carried_values_and_reduce(compiled, lanes):
    def total(e):
        x, y, n = e.args
        with e.loop(0, n, e.lanes, [e.constant(e.f32s, 0)]) as loop:
            v = e.load(e.f32s, e.add(x, e.mul(loop.index, 4)))
            loop.next(e.b.fadd(loop.carried[0], v))
        e.store(e.reduce(loop.results[0], e.b.fadd), y)

    run = compiled(total, lanes=lanes)
    x, y = np.arange(64, dtype=np.float32), np.zeros(1, np.float32)
    run(x.ctypes.data, y.ctypes.data, 64)
    assert y[0] == x.sum()
    run(x.ctypes.data, y.ctypes.data, 0)
    assert y[0] == 0


def test_maximum_keeps_nan(compiled):
    def relu(e):
        x, y, _ = e.args
        e.store(e.minimum(e.maximum(e.load(e.f32s, x), e.constant(e.f32s, 0)), e.constant(e.f32s, 6)), y)

    x, y = np.array([-1, 0, 5, 7, np.nan, -np.inf, np.inf, -0.0], np.float32), np.zeros(8, np.float32)
    compiled(relu)(x.ctypes.data, y.ctypes.data, 0)
    np.testing.assert_array_equal(y, np.array([0, 0, 5, 6, np.nan, 0, 6, 0], np.float32))


def test_conversions_bits_and_choose(compiled):
    def convert(e):
        x, y, n = e.args
        whole = e.bits(e.load(e.f32s, x), I32)
        (scale,) = e.choose(e.less(n, 3), lambda: [e.constant(F32, 2)], lambda: [e.constant(F32, 3)])
        e.store(e.b.fmul(e.to_float(whole), e.splat(scale)), y)

    x = np.array([1, -2, 0, 2**31 - 1, -(2**31), 16_777_217, 3, 4], np.int32)
    for n, scale in ((2, 2), (3, 3)):
        y = np.zeros(8, np.float32)
        compiled(convert)(x.ctypes.data, y.ctypes.data, n)
        assert (y == x.astype(np.float32) * scale).all()
