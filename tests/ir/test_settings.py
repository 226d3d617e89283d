"""Checks of settings, at the edges of what they take."""

import math

import pytest

from netdsl.ir import TensorType, settings
from netdsl.limits import MAX_ELEMENTS

LARGEST = 3.4028234663852886e38  # of float32
TAKEN = [
    ("positive", 1, 1),
    ("positive", MAX_ELEMENTS, MAX_ELEMENTS),
    ("count", 0, 0),
    ("boolean", False, False),
    ("number", 3, 3.0),
    ("number", LARGEST, LARGEST),
    ("number", -LARGEST, -LARGEST),
    ("integer", 2**63 - 1, 2**63 - 1),
    ("integer", -(2**63 - 1), -(2**63 - 1)),
    ("initializer", "he_normal", "he_normal"),
    ("initializer", "constant(-0.5)", "constant(-0.5)"),
    ("initializer", "normal(1e-3)", "normal(1e-3)"),
    ("initializer", [[1, 2], [3, 4]], ((1.0, 2.0), (3.0, 4.0))),
    ("initializer", [0.0] * 4096, (0.0,) * 4096),
    ("leaf_initializer", "constant", "constant"),
    ("fans", (3, 4), (3, 4)),
    ("tensor_type", TensorType((2, 3)), TensorType((2, 3))),
]
REFUSED = [
    ("positive", 0, "a positive integer, not 0"),
    ("positive", True, "a positive integer"),
    ("positive", 1.0, "a positive integer"),
    ("positive", MAX_ELEMENTS + 1, "must be at most"),
    ("count", -1, "0 or more, not -1"),
    ("count", True, "0 or more"),
    ("boolean", 1, "true or false, not 1"),
    ("number", True, "a number, not True"),
    ("number", "1", "a number"),
    ("number", math.nextafter(LARGEST, math.inf), "as tensors hold them"),
    ("number", float("nan"), "as tensors hold them"),
    ("number", float("-inf"), "as tensors hold them"),
    ("integer", 2**63, "must be at most"),
    ("integer", -(2**63), "must be at most"),
    ("integer", 1.5, "an integer"),
    ("integer", True, "an integer"),
    ("initializer", "he", "must be one of he_normal"),
    ("initializer", "normal(-1.0)", "must be one of"),
    ("initializer", "constant(1e39)", "as tensors hold them"),
    ("initializer", "constant", "must be one of"),
    ("initializer", [[1, 2], [3]], "rows of the same length"),
    ("initializer", [], "rows of the same length"),
    ("initializer", [0.0] * 4097, "4096 numbers at most, not 4097"),
    ("fans", (3,), "two positive integers"),
    ("fans", [3, 4], "two positive integers"),
    ("fans", (3, 0), "a positive integer, not 0"),
    ("tensor_type", (2, 3), "must be a type"),
    ("tensor_type", TensorType((2**40,)), ""),
]


@pytest.mark.parametrize(("check", "value", "stored"), TAKEN)
def test_taken(check, value, stored):
    found = getattr(settings, check)(value)
    assert found == stored and type(found) is type(stored)


@pytest.mark.parametrize(("check", "value", "message"), REFUSED)
def test_refused(check, value, message):
    with pytest.raises(ValueError) as caught:
        getattr(settings, check)(value)
    assert message in str(caught.value) and str(caught.value)
