"""Reductions on the GPU, as PTX that is emulated, against NumPy in float64."""

import itertools

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="compiling for a GPU needs numba-cuda, which is not installed")

from netdsl.cuda.kernels.reduce import plan_reduce
from netdsl.ir import TensorType
from netdsl.primitives import Reduce
from netdsl.scalar import Arg, Index, Uniform, cast_float, cast_int, eq, exp, log, sin, where
from netdsl.schedule import View
from tests.cuda.emulated import emulated, run_emulated

KINDS = ("sum", "max", "min")
X, Y = Arg(0), Arg(1)


def check(op, *arrays, rtol=1e-5):
    """Equal to the meaning in float64."""
    (found,) = emulated(plan_reduce, op, *arrays)
    wide = [a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays]
    (wanted,) = op.reference(*wide)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol)


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("axes", [c for n in range(5) for c in itertools.combinations(range(4), n)])
def test_all_axes(axes):
    kind = KINDS[sum(axes) % 3]
    check(Reduce(kind, X, axes, keepdims=kind == "max"), normal(3, 5, 4, 11))


@pytest.mark.parametrize(
    "shape",
    [
        (40, 2),
        (40, 3),
        (40, 8),
        (300, 10),
        (9, 64),
        (5, 130),
        (33, 500),
        (3, 513),
        (2, 4100),
        (1, 9000),
        (1, 100_001),
    ],
)
def test_rows(shape):
    """A thread, part of a warp, a warp and a block for each, rows cut into parts; one more or less than they hold."""
    x = normal(*shape)
    check(Reduce("sum", X, (1,)), x)
    check(Reduce("sum", X, (1,)), x[:, 1:])


@pytest.mark.parametrize(
    "shape", [(1, 40), (3, 600), (17, 33), (300, 5), (300, 40), (5000, 8), (3000, 257), (130, 3), (1000, 1)]
)
def test_columns(shape):
    """A thread, 8 and 32 threads for each, columns cut into parts."""
    check(Reduce("sum", X, (0,)), normal(*shape))


@pytest.mark.parametrize(
    ("shape", "axes"), [((8, 49, 40), (1,)), ((4, 30, 8, 6), (1, 3)), ((2, 400, 9), (0, 2))]
)
def test_kept_and_reduced_axes_by_turns(shape, axes):
    check(Reduce("max", X, axes), normal(*shape))


@pytest.mark.parametrize(
    ("shape", "axes"), [((1_000_001,), (0,)), ((60_000, 9), (0,)), ((4, 200_000), (1,)), ((700, 300), (0,))]
)
def test_long_sums_are_as_accurate_as_numpys(shape, axes):
    x = np.random.default_rng(3).random(shape, np.float32)
    (found,) = emulated(plan_reduce, Reduce("sum", X, axes), x)
    exact = x.sum(axes, np.float64)
    assert np.max(np.abs(found - exact) / exact) < 4e-7


@pytest.mark.parametrize("shape", [(50, 10), (10, 40_000)])
def test_expressions_of_several_operands(shape):
    rng = np.random.default_rng(4)
    x, labels = normal(*shape), rng.integers(0, shape[1], (shape[0], 1))
    check(Reduce("sum", where(eq(Index(1), Y), X, 0.0), (1,)), x, labels)
    check(Reduce("sum", where(Y, X * Arg(2), 0.0), (0, 1)), x, x > 0, normal(shape[1]), rtol=1e-4)
    check(Reduce("max", X * Y + cast_float(Index(1)), (1,)), x, normal(shape[0], 1))


def test_functions_and_random_numbers():
    x = normal(60, 130)
    check(Reduce("sum", exp(X - Y), (1,)), x, x.max(1, keepdims=True))
    check(Reduce("sum", sin(X) * log(X * X + 1.0) + exp(sin(Y)), (0,)), x, normal(130))
    check(Reduce("sum", sin(X), (0,)), normal(60, 12))
    check(Reduce("sum", where(Uniform(3, Y) < 0.5, X, 0.0), (0,)), x, np.array(5 << 32 | 7))


@pytest.mark.parametrize("shape", [(37, 21), (3, 20_000), (3000, 5)])
def test_integers(shape):
    x = np.random.default_rng(5).integers(-(2**62), 2**62, shape)
    for kind, axes in zip(KINDS, ((0,), (1,), (0, 1)), strict=True):
        op = Reduce(kind, X * 3, axes)
        np.testing.assert_array_equal(emulated(plan_reduce, op, x)[0], op.reference(x)[0])


@pytest.mark.parametrize("end", [-(2**63), 2**63 - 1])
def test_the_ends_of_integers(end):
    x = np.full((3, 40), end)
    for kind in ("max", "min") if end < 0 else ("min",):
        assert (emulated(plan_reduce, Reduce(kind, X, (1,)), x)[0] == end).all()


@pytest.mark.parametrize("shape", [(6, 3), (4, 30), (3, 300), (2, 20_000)])
def test_conditions(shape):
    x = np.random.default_rng(6).random(shape) < 0.5
    x[0], x[-1] = True, False
    for kind, axes in (("max", (1,)), ("min", (1,)), ("min", (0, 1))):
        op = Reduce(kind, X, axes)
        np.testing.assert_array_equal(emulated(plan_reduce, op, x)[0], op.reference(x)[0])
    check(Reduce("sum", cast_int(X), (0, 1)), x)


def test_a_sum_of_conditions_is_refused():
    views = [View.dense(0, TensorType((4, 3), "bool")), View.dense(1, TensorType((4,), "bool"))]
    with pytest.raises(LookupError, match="sum of bool: cast to int or float"):
        plan_reduce(Reduce("sum", X, (1,)), views[:1], views[1:])


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("shape", [(40, 40), (300, 7)])
def test_nan_wins_and_infinities_stay(axes, shape):
    x = normal(*shape)
    x.flat[[45, 279, 442]] = np.nan, np.inf, -np.inf
    for kind in ("sum", "max"):
        op = Reduce(kind, X, axes)
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(
                emulated(plan_reduce, op, x)[0], op.reference(x)[0], rtol=1e-4, atol=1e-4
            )


@pytest.mark.parametrize("kind", ["max", "min"])
def test_infinities_alone(kind):
    for x in (np.full((3, 40), np.inf, np.float32), np.full((3, 40), -np.inf, np.float32)):
        np.testing.assert_array_equal(emulated(plan_reduce, Reduce(kind, X, (1,)), x)[0], x[:, 0])


@pytest.mark.parametrize(
    ("shape", "axes", "wanted"), [((0, 3), (0,), [0, 0, 0]), ((2, 0), (0, 1), 0), ((3, 0), (1,), [0, 0, 0])]
)
def test_a_sum_of_nothing_is_zero(shape, axes, wanted):
    for dtype in (np.float32, np.int64):
        assert emulated(plan_reduce, Reduce("sum", X, axes), np.zeros(shape, dtype))[0].tolist() == wanted


def test_no_results_no_launch():
    views = [View.dense(0, TensorType((0, 3))), View.dense(1, TensorType((0,)))]
    assert plan_reduce(Reduce("max", X, (1,)), views[:1], views[1:]) == []


def test_a_reduction_of_a_scalar():
    check(Reduce("sum", X * 2.0, ()), np.array(3, np.float32))


@pytest.mark.parametrize("first", [2, 4])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("rows", "columns"), [(12, 40), (9000, 8), (5, 5000)])
def test_operands_and_results_with_strides(axis, rows, columns, first):
    """A part of a wider tensor, aligned or not, backwards, into every other element."""
    x = normal(rows, columns + 8)
    source = View.dense(0, TensorType(x.shape)).sliced((rows - 1, first), (-1, 1), (rows, columns))
    count = rows if axis else columns
    target = View.dense(1, TensorType((2 * count,))).sliced((0,), (2,), (count,))
    launches = plan_reduce(Reduce("sum", X, (axis,)), [source], [target])
    assert ("load4" in launches[0].source.text) == (first == 4)
    out = np.full(2 * count, 77, np.float32)
    run_emulated(launches, {0: x.reshape(-1), 1: out})
    exact = x[::-1, first : first + columns].sum(axis, dtype=np.float64)
    np.testing.assert_allclose(out[::2], exact, rtol=1e-5, atol=1e-4)
    assert (out[1::2] == 77).all()


def test_too_long_for_a_kernel():
    views = [View.dense(0, TensorType((2**18, 2**16))), View.dense(1, TensorType(()))]
    with pytest.raises(LookupError, match="sum 262144x65536 over 0,1: a kernel takes 2_147_483_648"):
        plan_reduce(Reduce("sum", X, (0, 1)), views[:1], views[1:])


def sources(op, *shapes):
    """The keys of the sources of a reduction of one operand of each shape."""
    return {
        launch.source.key
        for shape in shapes
        for launch in plan_reduce(
            op, [View.dense(0, TensorType(shape))], [View.dense(1, *op.infer(TensorType(shape)))]
        )
    }


def test_sources_are_the_same_for_other_sizes():
    batch_norm = [(64 * 112 * 112, 64), (64 * 56 * 56, 256), (64 * 28 * 28, 512), (64 * 7 * 7, 2048)]
    assert len(sources(Reduce("sum", X, (0,)), *batch_norm)) <= 3
    assert len(sources(Reduce("sum", X, (1,)), (128, 1000), (256, 1000), (64, 992))) == 1


def test_large_reductions_fill_a_gpu():
    """Blocks of the first launch; a column of partial results is short."""
    for shape, axes in [((64 * 56 * 56, 64), (0,)), ((2**22,), (0,)), ((4, 2**20), (1,)), ((2**20, 3), (0,))]:
        op = Reduce("sum", X, axes)
        first, _ = plan_reduce(
            op, [View.dense(0, TensorType(shape))], [View.dense(1, *op.infer(TensorType(shape)))]
        )
        assert 500 < first.blocks < 5000
        assert first.scratch <= 4 * np.prod(shape) // 8


def test_banks_of_shared_memory_do_not_collide():
    rows, columns = TensorType((6, 3000)), TensorType((3000, 40))
    for t, axis in ((rows, 1), (columns, 0)):
        op = Reduce("sum", X, (axis,))
        views = [View.dense(0, t), View.dense(1, *op.infer(t))]
        buffers = {0: normal(*t.shape).reshape(-1), 1: normal(views[1].type.size)}
        found = run_emulated(plan_reduce(op, views[:1], views[1:]), buffers, conflicts=True)
        assert [launch.bank_conflicts for launch in found] == [0] * len(found)
