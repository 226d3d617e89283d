"""`top_k` on the GPU against a stable sort, its PTX emulated."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="compiling for a GPU needs numba-cuda, which is not installed")

from netdsl.cuda.kernels.top_k import plan_top
from netdsl.ir import TensorType
from netdsl.primitives import TopK
from netdsl.schedule import View
from tests.cuda.emulated import emulated, run_emulated

ODD = np.float32([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45])


def check(x, count):
    (found,) = emulated(plan_top, TopK(count), x)
    np.testing.assert_array_equal(found, TopK(count).reference(x)[0])


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        ((1,), 1),
        ((3, 2, 10), 4),
        ((300, 5), 5),
        ((9, 257), 1),
        ((2, 2048), 2048),
        ((2, 2049), 3),  # parts, the second of one element
        ((2, 20_000), 256),  # two levels of parts
        ((2, 5000), 257),  # all of a row is sorted
        ((0, 4), 2),
    ],
)
@pytest.mark.parametrize("odd", [True, False])
def test_rows(shape, count, odd):
    rng = np.random.default_rng(count)
    check(rng.choice(ODD, shape) if odd else rng.uniform(-1, 1, shape).astype(np.float32), count)


@pytest.mark.parametrize("order", [1, -1])
def test_sorted_rows(order):
    check(np.arange(3000, dtype=np.float32)[None, ::order], 2500)


def test_no_step_of_a_sort_meets_a_bank_twice():
    x = np.random.default_rng(0).uniform(size=2048).astype(np.float32)
    views = [View.dense(0, TensorType((1, 2048))), View.dense(1, TensorType((1, 5), "i64"))]
    arrays = {0: x, 1: np.zeros(5, np.int64)}
    (found,) = run_emulated(plan_top(TopK(5), views[:1], views[1:]), arrays, conflicts=True)
    assert found.bank_conflicts == 0
    assert arrays[1].tolist() == np.argsort(-x)[:5].tolist()


def test_too_many_elements():
    views = [View.dense(0, TensorType((2**20, 2**12))), View.dense(1, TensorType((2**20, 4), "i64"))]
    with pytest.raises(LookupError, match="sorting 4_294_967_296 elements"):
        plan_top(TopK(4), views[:1], views[1:])


def test_sources_are_the_same_for_other_sizes():
    def sources(rows, size, count):
        views = [View.dense(0, TensorType((rows, size))), View.dense(1, TensorType((rows, count), "i64"))]
        return {launch.source.key for launch in plan_top(TopK(count), views[:1], views[1:])}

    assert sources(3, 10, 2) == sources(500, 1000, 5)
    assert len(sources(1, 10**6, 10**5)) == 5
