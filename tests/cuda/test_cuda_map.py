"""`map` and copies on the GPU against NumPy: as PTX that is emulated."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.cuda.codegen.nest import Divisor
from netdsl.cuda.kernels import map as kernels
from netdsl.cuda.kernels.map import plan_elementwise
from netdsl.ir import TensorType
from netdsl.primitives import Concat, Map, Pad, Slice, Transpose
from netdsl.scalar import (
    Arg,
    Index,
    Uniform,
    cast_float,
    cast_int,
    logical_and,
    logical_not,
    logical_or,
    where,
)
from netdsl.scalar.expr import Binary, Unary
from netdsl.scalar.operators import COMPARE, FLOAT_ONLY
from netdsl.schedule import View

DTYPES = {"float32": "f32", "int64": "i64", "bool": "bool"}
X, Y = Arg(0), Arg(1)
#: both zeros, denormals, the largest, what overflows exp
EDGES = [0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3.4e38, 1e-7, 0.5, 88.5, -88, -103, 3e38]
#: ends and multiples of pi/4, large angles
ANGLES = [
    0.7853981,
    -0.75,
    1.5707963,
    -3.1415927,
    3.1415925,
    1e5,
    -1e10,
    1e20,
    2.5,
    3.5,
    -2.5,
    0.3,
    -0.7,
    7.1,
]
FLOATS = np.float32(EDGES + ANGLES)
INTEGERS = np.array([0, 1, -1, 2, -3, 7, 2**62, -(2**63), 5, 2**63 - 1])


@pytest.fixture
def run():
    """What runs launches over buffers."""
    pytest.importorskip("numba_cuda", reason="compiling for a GPU needs numba-cuda, which is not installed")
    from tests.cuda.emulated import run_emulated

    return run_emulated


def computed(run, op, *arrays):
    """What the kernels of a primitive write, for dense operands."""
    types = [TensorType(a.shape, DTYPES[a.dtype.name]) for a in arrays]
    results = op.infer(*types)
    buffers = [np.ascontiguousarray(a).reshape(-1) for a in arrays]
    buffers += [np.zeros(t.size, next(n for n, d in DTYPES.items() if d == t.dtype)) for t in results]
    buffers = [b.view(np.uint8) if b.dtype == bool else b for b in buffers]
    views = [View.dense(k, t) for k, t in enumerate([*types, *results])]
    run(plan_elementwise(op, views[: len(types)], views[len(types) :]), dict(enumerate(buffers)))
    found = zip(buffers[len(types) :], results, strict=True)
    return [(b.view(bool) if t.dtype == "bool" else b).reshape(t.shape) for b, t in found]


def check(run, op, *arrays, ulps=0):
    """Equal to the meaning in float64, up to units in the last place of float32."""
    wide = [a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays]
    for found, exact in zip(computed(run, op, *arrays), op.reference(*wide), strict=True):
        if found.dtype != np.float32:
            np.testing.assert_array_equal(found, exact)
            continue
        with np.errstate(all="ignore"):
            wanted = exact.astype(np.float32)
            off = np.abs(found - exact) / np.spacing(np.abs(wanted))
        fine = (found == wanted) | (np.isnan(found) & np.isnan(wanted)) | (off <= ulps)
        assert fine.all(), [(a[~fine][:5] for a in arrays), found[~fine][:5], wanted[~fine][:5]]


@pytest.mark.parametrize("op", [*FLOAT_ONLY, "neg", "abs", "sign"])
def test_functions_of_a_float(run, op):
    check(run, Map((Unary(op, X),)), FLOATS, ulps=3)


@pytest.mark.parametrize("op", ["neg", "abs", "sign", "float", "not"])
def test_functions_of_an_integer(run, op):
    check(run, Map((Unary(op, X),)), INTEGERS)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "max", "min", "pow", *COMPARE])
def test_pairs_of_floats(run, op):
    check(run, Map((Binary(op, X, Y),)), FLOATS[:, None], FLOATS[::2], ulps=1)


@pytest.mark.parametrize("op", ["floordiv", "mod"])
def test_division_of_floats_rounds_down(run, op):
    a, b = (
        np.array([7, -7, 5.5, -0.5, 0, 1e6], np.float32),
        np.array([2, -2, 0.25, 3, np.inf, -np.inf], np.float32),
    )
    check(run, Map((Binary(op, X, Y),)), a[:, None], b)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "max", "min", "floordiv", "mod", *COMPARE])
def test_pairs_of_integers(run, op):
    check(run, Map((Binary(op, X, Y),)), INTEGERS[:, None], INTEGERS)


def test_powers_of_integers(run):
    check(run, Map((X**Y,)), INTEGERS[:, None], np.array([0, 1, 2, 3, 63]))


def test_a_negative_power_of_an_integer_is_zero(run):
    (found,) = computed(run, Map((X**Y,)), np.array([2, 3]), np.array([-1, -5]))
    assert found.tolist() == [0, 0]


def test_casts(run):
    finite = np.array([0.0, -0.9, 2.9, -3.5, 1e10, np.nan], np.float32)
    assert computed(run, Map((cast_int(X),)), finite)[0].tolist() == [0, 0, 2, -3, 10_000_000_000, 0]
    ends = np.array([1e30, -np.inf], np.float32)
    assert computed(run, Map((cast_int(X),)), ends)[0].tolist() == [2**63 - 1, -(2**63)]
    check(run, Map((cast_float(X < 1.0), cast_int(X < 1.0))), FLOATS)


def test_conditions(run):
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    check(run, Map((logical_and(X, Y), logical_or(X, Y), logical_not(X), where(X, 2.0, Arg(1)))), a, b)


def test_random_numbers_and_coordinates_of_a_space_with_merged_axes(run):
    key = np.array(7 << 32 | 3)
    check(run, Map((Uniform(5, X), Uniform(5, X, 1) + Index(1)), (3, 2, 5)), key, ulps=1)
    check(run, Map((X * 10 + Index(2),)), np.arange(30).reshape(3, 2, 5))


def test_a_negative_key(run):
    check(run, Map((Uniform(2**31, X),), (40,)), np.array(-5))


@pytest.mark.parametrize("shapes", [((4, 1, 5), (3, 1)), ((), (2, 3)), ((1, 7), (6, 1)), ((0, 3), (3,))])
def test_operands_broadcast(run, shapes):
    rng = np.random.default_rng(0)
    check(run, Map((X - Y,)), *(rng.standard_normal(s).astype(np.float32) for s in shapes))


@pytest.mark.parametrize(
    ("op", "shapes"),
    [
        (Concat(1), [(2, 3, 2), (2, 1, 2)]),
        (Transpose((2, 0, 1)), [(2, 3, 5)]),
        (Slice((1, 4), (1, -2), (2, 3)), [(4, 5)]),
        (Pad((1, 2), (1, 1), (4, 6)), [(2, 3)]),
    ],
)
def test_copies(run, op, shapes):
    rng = np.random.default_rng(0)
    check(run, op, *(rng.standard_normal(s).astype(np.float32) for s in shapes))


def test_more_threads_than_one_block_has(run):
    check(run, Map((X + 1.0,)), np.arange(700, dtype=np.float32))


def test_more_elements_than_an_index_counts():
    views = [View.dense(k, TensorType((2**16, 2**16))) for k in range(2)]
    with pytest.raises(LookupError, match="map over 4_294_967_296 elements"):
        plan_elementwise(Map((X + 1.0,)), views[:1], views[1:])


@pytest.mark.parametrize("d", [1, 2, 3, 5, 7, 10, 641, 2**16 + 1, 2**30 - 1, 2**30 + 1, 2**31 - 1, 2**31])
def test_dividing_by_multiplying(d):
    divisor = Divisor.of(d)
    assert divisor.factor < 2**32
    multiples = [k * d + r for k in (0, 1, 2, (2**31 - 1) // d) for r in (-1, 0, 1)]
    for n in {*multiples, 2**31 - 1, 2**30, 12345}:
        if 0 <= n < 2**31:
            assert (n * divisor.factor) % 2**64 >> divisor.shift == n // d, n


def test_sources_are_the_same_for_other_sizes():
    """What is compiled is a kernel for all sizes of a number of axes."""

    def source(*shape):
        views = [View.dense(k, TensorType(shape)) for k in range(2)]
        (launch,) = plan_elementwise(Map((X + 1.0,)), views[:1], views[1:])
        return launch.source

    assert source(3, 4).key == source(5, 60).key


FLOAT = np.random.default_rng(0).standard_normal((2, 6, 8)).astype(np.float32)
FOURS = {
    "rows": (Map((X + Y,)), FLOAT, FLOAT[0, 0]),
    "one for a row": (Map((X * Y,)), FLOAT, FLOAT[:, :, :1]),
    "conditions": (Map((where(X > 0.0, X, 0.0), X > 0.0)), FLOAT),
    "integers": (Map((X * cast_float(Y),)), FLOAT, np.arange(96).reshape(2, 6, 8)),
    "coordinates": (Map((X + cast_float(Index(2)) * 100.0 + cast_float(Index(0)),)), FLOAT),
    "random": (Map((X + Uniform(5, Y),)), FLOAT, np.array(7 << 32 | 3)),
    "concat": (Concat(1), FLOAT, FLOAT[:, :2]),
    "transpose": (Transpose((1, 0, 2)), FLOAT),
    "pad": (Pad((1, 1, 4), (1, 1, 1), (4, 8, 16)), FLOAT),
    "slice": (Slice((0, 1, 4), (1, 2, 1), (2, 2, 4)), FLOAT),
}


@pytest.mark.parametrize("name", FOURS)
def test_four_elements_of_a_thread(run, monkeypatch, name):
    """In large spaces: the same bits as one by one."""
    op, *arrays = FOURS[name]
    one = computed(run, op, *arrays)
    monkeypatch.setattr(kernels, "LARGE", 0)
    check(run, op, *arrays, ulps=1)
    assert [a.tobytes() for a in computed(run, op, *arrays)] == [a.tobytes() for a in one]


def test_large_spaces_are_read_by_fours_where_they_lie_on_them():
    """A quarter of the threads; not where rows, or the first element, lie between multiples of four."""

    def launch(shape, start=0):
        whole = [View.dense(k, TensorType((*shape[:-1], shape[-1] + start))) for k in range(2)]
        views = [v.sliced([0] * (len(shape) - 1) + [start], [1] * len(shape), shape) for v in whole]
        return plan_elementwise(Map((X + 1.0,)), views[:1], views[1:])[0]

    by_fours, small, odd, apart = (
        launch((2048, 512)),
        launch((64, 512)),
        launch((1049000, 2)),
        launch((2048, 512), 1),
    )
    assert by_fours.blocks * 4 * by_fours.threads == 2048 * 512
    assert "load4" in by_fours.source.text and "store4" in by_fours.source.text
    assert "load4" not in small.source.text and "load4" not in apart.source.text
    assert apart.blocks * apart.threads == 2048 * 512
    assert odd.source.key == by_fours.source.key  # rows of two are merged
