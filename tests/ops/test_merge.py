"""Misfits of branches: who is to blame, and what would help."""

import pytest

from netdsl.ir import ShapeError, TensorType
from netdsl.ops.merge import Add, Concat


def refusal(op, *shapes):
    with pytest.raises(ShapeError) as caught:
        op.infer(*(TensorType((1, *s)) for s in shapes))
    return caught.value


@pytest.mark.parametrize(
    "op, shapes, operand, hint",
    [
        (Concat(), ((28, 28, 8), (28, 28, 4), (14, 14, 8)), 2, "did you mean stride = 1?"),
        (Concat(), ((13, 13, 8), (28, 28, 4), (28, 28, 8)), 0, "did you mean stride = 1?"),
        (Concat(), ((28, 28, 8), (26, 26, 8)), 1, "did you mean pad = same?"),
        (Concat(), ((14, 14, 8), (28, 28, 8)), 1, "did you mean stride = 2?"),
        (Concat(), ((14, 14, 8), (28, 14, 8)), 1, None),
        (Concat(), ((14, 14, 8), (196, 8)), 1, None),
        (Add(), ((14, 14, 8), (14, 14, 4)), 1, "conv(8, 1) gives it 8 channels"),
        (Add(), ((8,), (4,)), 1, None),
    ],
)
def test_blame_and_hint(op, shapes, operand, hint):
    error = refusal(op, *shapes)
    assert (error.operand, error.hint) == (operand, hint)
