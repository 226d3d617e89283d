"""What primitives mean, against plain NumPy and against each other; what they refuse."""

import itertools

import numpy as np
import pytest

from netdsl.ir import ShapeError, TensorType
from netdsl.primitives import (
    Concat,
    Const,
    Contract,
    Gather,
    Input,
    Map,
    NonMaxSuppression,
    Pad,
    PrimitiveBuilder,
    Reduce,
    ReduceWindow,
    ReduceWindowGrad,
    Reshape,
    RoiReduce,
    RoiReduceGrad,
    ScatterAdd,
    Slice,
    TopK,
    Transpose,
)
from netdsl.primitives.builder import KEY
from netdsl.scalar import Arg, Index, absolute, exp

X, Y = Arg(0), Arg(1)
RNG = np.random.default_rng(0)

GEOMETRIES = [
    ((), (), (), 1, (), ()),
    ((), (), (), 3, (), ()),
    ((2,), ((1, 2),), (1,), 1, (7,), (3,)),
    ((2, 3), ((0, 1), (2, 0)), (2, 1), 2, (6, 7), (2, 3)),
    ((1, 1, 2), ((1, 1), (0, 0), (1, 0)), (1, 2, 1), 1, (3, 5, 4), (2, 2, 3)),
    ((3, 3), ((0, 0), (0, 0)), (1, 1), 4, (7, 7), (1, 1)),
]


@pytest.mark.parametrize("stride, pad, dilation, groups, size, kernel", GEOMETRIES)
def test_contract_is_one_form(stride, pad, dilation, groups, size, kernel):
    """<y, output(x, w)> = <x, input(y, w)> = <w, kernel(x, y)>, and the first is the definition."""
    x = RNG.normal(size=(2, *size, 2 * groups))
    w = RNG.normal(size=(*kernel, 2, 3 * groups))
    geometry = (stride, pad, dilation, groups)
    (out,) = Contract("forward", *geometry).reference(x, w)
    y = RNG.normal(size=out.shape)
    (back,) = Contract("backward_data", *geometry, size).reference(y, w)
    (weight,) = Contract("backward_weights", *geometry, kernel).reference(x, y)
    total = by_definition(x, w, y, *geometry)
    np.testing.assert_allclose([(out * y).sum(), (back * x).sum(), (weight * w).sum()], total, rtol=1e-10)
    types = [TensorType(a.shape) for a in (x, w, y)]
    assert Contract("forward", *geometry).infer(types[0], types[1]) == (types[2],)
    assert Contract("backward_data", *geometry, size).infer(types[2], types[1]) == (types[0],)
    assert Contract("backward_weights", *geometry, kernel).infer(types[0], types[2]) == (types[1],)


def by_definition(x, w, y, stride, pad, dilation, groups):
    depth, width, total = w.shape[-2], w.shape[-1] // groups, 0.0
    for o in itertools.product(*map(range, y.shape[1:-1])):
        for k in itertools.product(*map(range, w.shape[:-2])):
            at = [a * s + t * d - lo for a, s, t, d, (lo, _) in zip(o, stride, k, dilation, pad, strict=True)]
            if any(not 0 <= a < n for a, n in zip(at, x.shape[1:-1], strict=True)):
                continue
            for g in range(groups):
                c, f = slice(g * depth, (g + 1) * depth), slice(g * width, (g + 1) * width)
                total += (x[:, *at, c] @ w[*k, :, f] * y[:, *o, f]).sum()
    return total


def test_contract_epilogue():
    x, w, bias = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 5)), RNG.normal(size=5)
    (y,) = Contract("forward", epilogue=exp(X + Y)).reference(x, w, bias)
    np.testing.assert_allclose(y, np.exp(x @ w + bias))


def test_gather_slices_pads_and_flips():
    x = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(Slice((1, 0), (1, 2), (2, 2)).reference(x)[0], x[1:, ::2])
    np.testing.assert_array_equal(Slice((0, 3), (1, -1), (3, 4)).reference(x)[0], x[:, ::-1])
    np.testing.assert_array_equal(
        Slice((-1, -2), (1, 1), (5, 7)).reference(x)[0], np.pad(x, ((1, 1), (2, 1)))
    )


@pytest.mark.parametrize("start, step", [((1, 0), (1, 2)), ((-1, 3), (2, -1)), ((2, -2), (-1, 1))])
def test_scatter_is_the_adjoint_of_gather(start, step):
    x, y = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 3))
    (out,) = Slice(start, step, y.shape).reference(x)
    (back,) = Pad(start, step, x.shape).reference(y)
    np.testing.assert_allclose((out * y).sum(), (x * back).sum())


def test_top_indices_of_ties_zeros_and_what_is_no_number():
    x = np.array([[1.0, np.nan, -0.0, 0.0, np.inf, 1.0, -np.inf, np.nan]])
    np.testing.assert_array_equal(TopK(8).reference(x)[0], [[1, 7, 4, 0, 5, 2, 3, 6]])
    np.testing.assert_array_equal(TopK(3).reference(x)[0], [[1, 7, 4]])


def test_map_and_reduce_broadcast():
    x, y = RNG.normal(size=(2, 3, 1)), RNG.normal(size=(4,))
    (got,) = Map((X + Y,)).reference(x, y)
    np.testing.assert_allclose(got, x + y)
    for kind, function in (("sum", np.sum), ("max", np.max), ("min", np.min)):
        op = Reduce(kind, X * Y, (0, 2), True)
        np.testing.assert_allclose(op.reference(x, y)[0], function(x * y, (0, 2), keepdims=True))
        assert op.infer(TensorType(x.shape), TensorType(y.shape)) == (TensorType((1, 3, 1)),)


def test_builder_adds_nothing_needless():
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((2, 3))), name="x")
    assert b.map(lambda v: v, x) == x and b.reshape(x, (2, 3)) == x
    assert b.key() == b.key() and len(b.nodes) == 2
    assert b.nodes[KEY].types == (TensorType((), "i64"),)


F = TensorType
WINDOW = ((2,), (1,), ((0, 0),), (1,), (0,))
REFUSED = [
    (Map((X + Y,)), (F((2,)), F((3,))), "does not broadcast"),
    (Map((X,), (2,)), (F((3,)),), "does not broadcast"),
    (Map((X,), (-1,)), (F(()),), "is not a shape"),
    (Map((Y,)), (F((2,)),), "operand 1 of 1"),
    (Map((Index(1),)), (F((2,)),), "axis outside of rank 1"),
    (Reduce("mean", X, (0,)), (F((2,)),), "no reduction is called mean"),
    (Reduce("sum", X, (1,)), (F((2,)),), "are not ascending axes"),
    (Reduce("sum", X, (1, 0)), (F((2, 2)),), "are not ascending axes"),
    (Reduce("max", X, (0,)), (F((0,)),), "over an axis of size 0"),
    (Contract("product"), (F((2, 3)), F((3, 4))), "takes a role"),
    (Contract("forward"), (F((2, 3)), F((4, 4))), "3 channels in 1 group and a kernel"),
    (Contract("forward"), (F((2, 3)), F((3, 4), "i64")), "takes f32 of rank 2"),
    (Contract("forward", (1,), ((0, 0),), (1,)), (F((2, 3, 1)), F((5, 1, 1))), "does not fit into 3"),
    (Contract("forward", (0,), ((0, 0),), (1,)), (F((2, 3, 1)), F((2, 1, 1))), "from 1"),
    (Contract("backward_data", (1,), ((0, 0),), (1,), 1, (9,)), (F((2, 3, 1)), F((2, 1, 1))), "size"),
    (Contract("backward_weights", (1,), ((0, 0),), (1,)), (F((2, 3, 1)), F((2, 3, 1))), "size"),
    (Contract("forward"), (F((2, 3)), F((3, 4)), F((4,))), "takes two operands"),
    (Contract("forward", epilogue=X + Y), (F((2, 3)), F((3, 4)), F((5, 1, 1))), "do not broadcast to"),
    (Contract("forward", epilogue=X + Y), (F((2, 3)), F((3, 4)), F((5,))), "does not broadcast"),
    (ReduceWindow("sum", *WINDOW), (F((1, 3, 1)),), "no window is called sum"),
    (ReduceWindow("max", *WINDOW), (F((1, 3, 3, 1)),), "do not fit"),
    (ReduceWindow("max", (4,), *WINDOW[1:]), (F((1, 3, 1)),), "a window of 4 does not fit"),
    (ReduceWindow("max", (2,), (0,), *WINDOW[2:]), (F((1, 3, 1)),), "from 1"),
    (ReduceWindowGrad("max", *WINDOW, True, (3,)), (F((1, 2, 1)),), "is not"),
    (RoiReduce("avg"), (F((1, 3, 4, 5)), F((1, 2, 1, 3)), F((1, 2, 1, 4))), "no region is called avg"),
    (RoiReduce("sum"), (F((1, 3, 4)), F((1, 2, 1, 3)), F((1, 2, 1, 4))), "two of rank 4"),
    (RoiReduce("sum"), (F((1, 3, 4, 5)), F((1, 2, 1, 4)), F((1, 2, 1, 4))), "rows .* do not weight"),
    (RoiReduce("sum"), (F((1, 3, 4, 5)), F((1, 2, 1, 3)), F((1, 3, 1, 4))), "columns .* do not weight"),
    (RoiReduce("sum", True), (F((1, 3, 4, 5)), F((1, 2, 2, 3)), F((1, 2, 1, 4))), "cannot split 5 channels"),
    (RoiReduceGrad("sum"), (F((1, 2, 2, 3)), F((1, 2, 1, 4)), F((1, 2, 1, 1, 5))), "is not"),
    (NonMaxSuppression(3, 0.5), (F((1, 5, 4)), F((1, 2, 4))), "takes boxes"),
    (NonMaxSuppression(3, 0.5), (F((1, 4, 5)), F((1, 2, 4))), "do not belong to boxes"),
    (NonMaxSuppression(3, 0.5), (F((1, 3, 4, 5)), F((1, 2, 5))), "do not belong to boxes"),
    (NonMaxSuppression(-1, 0.5), (F((1, 4, 5)), F((1, 2, 5))), "cannot keep -1 boxes"),
    (Reduce("sum", X > 0, (0,)), (F((3,)),), "a sum takes numbers"),
    (Reduce("sum", X, (0,)), (F((3,), "bool"),), "a sum takes numbers"),
    (Map((-X,)), (F((3,), "bool"),), "neg takes numbers"),
    (Map((absolute(X > 0),)), (F((3,)),), "abs takes numbers"),
    (Reshape((4,)), (F((3,)),), "cannot reshape"),
    (Reshape((-1, -3)), (F((3,)),), "cannot reshape"),
    (Concat(0), (F((2, 3)), F((2, 4))), "cannot concat"),
    (Concat(2), (F((2, 3)),), "cannot concat"),
    (Slice((0,), (0,), (1,)), (F((3,)),), "needs a start"),
    (Pad((0, 0), (1,), (1,)), (F((3,)),), "needs a start"),
    (Transpose((0, 2)), (F((3, 4)),), "is not an order"),
    (TopK(4), (F((2, 3)),), "cannot take 4 elements"),
    (TopK(0), (F((2, 3)),), "cannot take 0 elements"),
    (TopK(1), (F((2, 3), "i64"),), "takes f32 with an axis"),
    (TopK(1), (F(()),), "takes f32 with an axis"),
    (Gather(0), (F((3,)), F((2,))), "indices are i64"),
    (Gather(1), (F((3,)), F((2,), "i64")), "there is no axis 1"),
    (ScatterAdd(0, 3), (F((3, 4)), F((2,), "i64")), "are not those of"),
    (Const(np.array(["a"])), (), "neither float, int nor bool"),
    (Input(F((2,))), (F((2,)),), "takes no operands"),
]


@pytest.mark.parametrize(
    "op, types, message", REFUSED, ids=[f"{k}-{op.name}" for k, (op, *_) in enumerate(REFUSED)]
)
def test_what_does_not_fit_is_refused(op, types, message):
    with pytest.raises(ShapeError, match=message):
        op.infer(*types)
