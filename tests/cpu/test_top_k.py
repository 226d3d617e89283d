"""`top_k` against a stable sort."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.primitives import TopK
from tests.cpu.planned import run_primitive

ODD = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45]


def check(x, count):
    (got,) = run_primitive(TopK(count), [x])
    np.testing.assert_array_equal(got, TopK(count).reference(x)[0])


@settings(max_examples=60)
@given(st.data())
def test_any_row(data):
    size = data.draw(st.integers(1, 40))
    rows = data.draw(st.lists(st.lists(st.sampled_from(ODD), min_size=size, max_size=size), max_size=4))
    check(np.array(rows, np.float32).reshape(len(rows), size), data.draw(st.integers(1, size)))


@pytest.mark.parametrize("count", [1, 2, 5, 100, 3000])
@pytest.mark.parametrize("steps", [7, 10**9])
def test_long_rows_with_and_without_ties(count, steps):
    x = np.random.default_rng(count).uniform(-1, 1, (2, 3, 3000))
    check((np.round(x * steps) / steps).astype(np.float32), count)


@pytest.mark.parametrize("order", [1, -1])
def test_sorted_rows(order):
    check(np.arange(500, dtype=np.float32)[None, ::order], 70)
