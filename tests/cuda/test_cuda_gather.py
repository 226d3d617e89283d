"""`gather` and `scatter_add` on the GPU against NumPy, their PTX emulated."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="compiling for a GPU needs numba-cuda, which is not installed")

from netdsl.cuda.kernels import scatter_add
from netdsl.cuda.kernels.gather import plan_gather
from netdsl.cuda.kernels.scatter_add import plan_scatter_add
from netdsl.ir import TensorType
from netdsl.primitives import Gather, ScatterAdd
from netdsl.schedule import View
from tests.cuda.emulated import emulated, run_emulated

#: shape, axis, shape of the index
GATHERED = [
    ((5,), 0, (3,)),
    ((5,), 0, ()),
    ((7, 6), 0, (2, 4)),
    ((7, 3), 0, (300,)),
    ((2, 7, 3), 1, (4,)),
    ((2, 3, 7), 2, (5, 2)),
    ((3, 0), 0, (2,)),
    ((0, 3), 0, (2,)),
    ((3, 4), 0, (0,)),
]


def indices(size, shape, seed=0):
    """Places, some of them outside on either side."""
    return np.random.default_rng(seed).integers(-2, size + 2, shape)


def numbers(shape, dtype):
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    x.reshape(-1)[:3] = [np.nan, -0.0, np.inf][: x.size]
    return x if dtype == "f32" else x > 0 if dtype == "bool" else np.arange(x.size).reshape(shape) << 33


@pytest.mark.parametrize("dtype", ["f32", "i64", "bool"])
@pytest.mark.parametrize(("shape", "axis", "index"), GATHERED)
def test_gather(shape, axis, index, dtype):
    x, places = numbers(shape, dtype), np.asarray(indices(shape[axis], index))
    (found,) = emulated(plan_gather, Gather(axis), x, places)
    inside = (places >= 0) & (places < shape[axis])
    wanted = np.zeros(found.shape, x.dtype)
    for at in np.ndindex(*shape[:axis], *index):
        outer, k = at[:axis], at[axis:]
        if inside[k]:
            wanted[at] = x[(*outer, places[k])]
    assert found.tobytes() == wanted.tobytes()


def test_rows_that_begin_within_eight_bytes():
    x = np.arange(40, dtype=np.float32)
    places = np.array([2, 0, 9])
    views = [View.dense(0, TensorType((3, 4)), 4), View.dense(1, TensorType((3,), "i64"))]
    out = np.zeros(12, np.float32)
    run_emulated(
        plan_gather(Gather(0), views, [View.dense(2, TensorType((3, 4)))]), {0: x, 1: places, 2: out}
    )
    np.testing.assert_array_equal(out.reshape(3, 4), [[9, 10, 11, 12], [1, 2, 3, 4], [0, 0, 0, 0]])


def added(op, x, places):
    """Sums of float32 in the order of the index."""
    outer, rest = x.shape[: op.axis], x.shape[op.axis + places.ndim :]
    rows = x.reshape(*outer, places.size, *rest)
    wanted = np.zeros((*outer, op.size, *rest), np.float32)
    at = (slice(None),) * op.axis
    for k, row in enumerate(places.reshape(-1)):
        if 0 <= row < op.size:
            wanted[(*at, row)] += rows[(*at, k)]
    return wanted


def check_added(op, x, places):
    (found,) = emulated(plan_scatter_add, op, x, np.asarray(places))
    assert found.tobytes() == added(op, x, np.asarray(places)).tobytes()


@pytest.mark.parametrize(("shape", "axis", "index"), GATHERED)
def test_scatter_add(shape, axis, index):
    x = numbers((*shape[:axis], *index, *shape[axis + 1 :]), "f32")
    check_added(ScatterAdd(axis, shape[axis]), x, indices(shape[axis], index))


@pytest.mark.parametrize(
    ("places", "size", "shape", "rest"),
    [
        (70, 5, (2,), (3,)),  # a thread for each sum
        (700, 5, (), (2,)),  # a warp
        (2100, 300, (), ()),  # two digits
        (5000, 2, (2,), (9,)),  # long runs
    ],
)
def test_scatter_add_of_a_sorted_index(monkeypatch, places, size, shape, rest):
    monkeypatch.setattr(scatter_add, "SHORT", 0)
    check_added(ScatterAdd(len(shape), size), numbers((*shape, places, *rest), "f32"), indices(size, places))


def test_what_is_chosen_depends_on_sizes():
    def launches(places, size, columns):
        types = TensorType((places, columns)), TensorType((places,), "i64")
        views = [View.dense(k, t) for k, t in enumerate((*types, TensorType((size, columns))))]
        return [
            launch.title.split(": ")[-1]
            for launch in plan_scatter_add(ScatterAdd(0, size), views[:2], views[2:])
        ]

    assert launches(128, 1000, 1) == ["scatter_add 128 to 1000 x 1"]
    assert launches(2000, 50_000, 512) == ["sort 1 x 2000", "find rows", "sum"]
    assert launches(70_000, 400, 1)[-2:] == ["find rows", "sum"]
    assert len(launches(70_000, 50_000, 512)) == 9
