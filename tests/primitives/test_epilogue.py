"""Which epilogues the kernels of a contraction take over: sums of a bias, a residual and bounds, no other."""

import math

import pytest

from netdsl.ir import TensorType
from netdsl.primitives.epilogue import Epilogue, match_epilogue
from netdsl.scalar.text import parse_expr

RESULT = TensorType((4, 6))
ROW, FULL = (6,), (4, 6)
TAKEN = [
    ("x0", [], Epilogue()),
    ("x0 + x1", [ROW], Epilogue(bias=2)),
    ("x1 + x0", [FULL], Epilogue(residual=2)),
    ("x0 + x1 + x2", [FULL, ROW], Epilogue(bias=3, residual=2)),
    ("max(x0 + x1, 0.0)", [ROW], Epilogue(bias=2, low=0.0)),
    ("min(max(x0, -1.0), 2.0)", [], Epilogue(low=-1.0, high=2.0)),
]
LEFT = [
    ("x0 + x1", [(4, 1)]),  # repeated along the channels
    ("x0 + x1", [(1, 6)]),
    ("x0 + x1", [(1,)]),
    ("x0 + x1", [()]),
    ("x0 + x1 + x2", [FULL, FULL]),
    ("x0 + x1 + x2", [ROW, ROW]),
    ("x0 + x0", []),
    ("x1", [FULL]),
    ("x0 * x1", [FULL]),
    ("max(x0, x1)", [FULL]),
    ("max(min(x0, 2.0), -1.0)", []),
]


def matched(text, shapes):
    operands = [TensorType((4, 3)), TensorType((3, 6)), *map(TensorType, shapes)]
    return match_epilogue(parse_expr(text), operands, RESULT)


@pytest.mark.parametrize(("text", "shapes", "epilogue"), TAKEN)
def test_taken_over(text, shapes, epilogue):
    assert matched(text, shapes) == (epilogue, None)


@pytest.mark.parametrize(("text", "shapes"), LEFT)
def test_left_to_a_map(text, shapes):
    assert matched(text, shapes) == (Epilogue(), parse_expr(text))


def test_without_bounds_nothing_is_bounded():
    assert (Epilogue().low, Epilogue().high) == (-math.inf, math.inf)
    assert match_epilogue(None, [], RESULT) == (Epilogue(), None)
