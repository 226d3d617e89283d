"""The interpreter: outputs, updates, feeds it refuses, both precisions."""

import numpy as np
import pytest

from netdsl.ir import TensorType, interpret
from netdsl.primitives import Input, PrimitiveBuilder, State


def counter():
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((2,))), name="x")
    n = b.add1(Input(TensorType((2,), "i64")), name="n")
    s = b.add1(State(TensorType((2,))), name="s")
    total = b.map(lambda a, k, old: old + a * k, x, n, s)
    b.update(s, total)
    return b.finish({"y": total})


def feeds(**changed):
    return {"x": np.array([0.1, 0.2]), "n": np.array([1, 2]), "s": np.zeros(2), **changed}


def test_outputs_and_updates():
    result = interpret(counter(), feeds(s=np.ones(2)))
    np.testing.assert_allclose(result.outputs["y"], [1.1, 1.4], rtol=1e-6)
    assert np.array_equal(result.updates["s"], result.outputs["y"])


def test_precision():
    assert interpret(counter(), feeds()).outputs["y"].dtype == np.float32
    y = interpret(counter(), feeds(), np.float64).outputs["y"]
    assert y.dtype == np.float64 and y[0] == 0.1


@pytest.mark.parametrize("floating", [np.float32, np.float64])
def test_numbers_are_as_wide_as_asked_and_labels_are_integers(floating):
    b = PrimitiveBuilder()
    n = b.add1(Input(TensorType((2,), "i64")), name="n")
    graph = b.finish({"half": b.const(np.float32(0.5)), "next": b.map(lambda k: k + 1, n)})
    outputs = interpret(graph, {"n": np.array([1, 2])}, floating).outputs
    assert outputs["half"].dtype == floating and outputs["next"].dtype == np.int64


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"x": np.zeros(3)}, r"x takes shape \[2\], not \[3\]"),
        ({"n": np.array([0.5, 1.0])}, "n takes i64, not float64"),
        ({"x": np.array(["a", "b"])}, "x takes f32"),
    ],
)
def test_feeds_are_checked(changed, message):
    with pytest.raises(ValueError, match=message):
        interpret(counter(), feeds(**changed))


def test_missing_feed():
    with pytest.raises(ValueError, match="no value for n"):
        interpret(counter(), {"x": np.zeros(2), "s": np.zeros(2)})


def test_small_integers_are_labels_too():
    y = interpret(counter(), feeds(n=np.array([1, 2], np.uint8))).outputs["y"]
    np.testing.assert_allclose(y, [0.1, 0.4], rtol=1e-6)
