"""Products of matrices: what is offered when they do not fit, and what they need."""

import pytest

from netdsl.ir import ShapeError, TensorType
from netdsl.ops.expand import expand
from netdsl.ops.matmul import MatMul
from netdsl.primitives import Input, PrimitiveBuilder


@pytest.mark.parametrize(
    "op, shapes, hint",
    [
        (MatMul(), ((3, 4), (5, 4)), "did you mean transpose_b = true?"),
        (MatMul(transpose_b=True), ((3, 4), (4, 5)), "did you mean transpose_b = false?"),
        (MatMul(), ((3, 4), (5, 6)), None),
    ],
)
def test_hint(op, shapes, hint):
    with pytest.raises(ShapeError) as caught:
        op.infer(*(TensorType((1, *s)) for s in shapes))
    assert (caught.value.operand, caught.value.hint) == (1, hint)


def test_large_products_need_no_more_than_operands_and_result():
    b = PrimitiveBuilder()
    x, y = (b.add1(Input(TensorType((8, 4, 512, 64))), name=name) for name in "xy")
    product = b.add1(MatMul(transpose_b=True), x, y)
    graph = expand(b.finish({"y": product}))
    assert max(t.size for node in graph for t in node.types) == b.type(product).size
