"""`argmax` and `top_k` where elements are equal or no numbers, and as parts of a network."""

import numpy as np
import pytest

from netdsl import passes
from netdsl.elaborate import elaborate
from netdsl.ops.expand import expand
from netdsl.runtime import Program
from netdsl.source import NetError, Source


def run(body, x):
    text = f"net N {{ input x: {list(x.shape[1:])}\n {body} }}"
    graph = elaborate(Source("net.net", text), batch=len(x)).graph
    return Program(passes.inference().run(expand(graph)), threads=2).run({"x": x})


ROWS = np.array(
    [
        [1, 3, 3, 2, 0],
        [np.nan, 9, np.inf, np.nan, 0],
        [-np.inf, -np.inf, -np.inf, -np.inf, -np.inf],
        [2, np.inf, 1, np.nan, 5],
        [-0.0, 0.0, -1, 0.0, -0.0],
    ],
    np.float32,
)


def test_argmax_is_that_of_numpy():
    found = run("output y = argmax(x)\n output z = x -> argmax(keepdims = true)", ROWS)
    assert list(found["y"]) == list(np.argmax(ROWS, -1)) == [1, 0, 0, 3, 0]
    assert found["z"].shape == (5, 1) and found["z"].dtype == np.int64


def test_top_k_puts_the_lower_index_first():
    found = run("v, i = x -> top_k(3)\n output values = v\n output indices = i", ROWS)
    expected = [[1, 2, 3], [0, 3, 2], [0, 1, 2], [3, 1, 4], [0, 1, 3]]
    np.testing.assert_array_equal(found["indices"], expected)
    np.testing.assert_array_equal(found["values"], np.take_along_axis(ROWS, np.array(expected), 1))


def test_indices_are_compared():
    x = np.array([[1, 5, 2, 0], [9, 1, 1, 1]], np.float32)
    found = run("output y = where(argmax(x) == 1, 7, -1)", x)
    assert list(found["y"]) == [7, -1]


def test_more_than_there_are():
    with pytest.raises(NetError, match="there are no 6 elements along channels") as caught:
        run("y, i = x -> top_k(6)", ROWS)
    assert caught.value.diagnostics[0].span.text == "6"
