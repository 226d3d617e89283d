"""Counts of ops, primitives and networks against numbers worked out by hand."""

import pytest

from netdsl.cost import cost_of, count_flops, count_macs, count_params, facts, operations, primitive_flops
from netdsl.elaborate import elaborate
from netdsl.ir import Node, TensorType, Value
from netdsl.ops import BY_NAME, LIBRARY
from netdsl.primitives import (
    Concat,
    Contract,
    Gather,
    Map,
    NonMaxSuppression,
    Reduce,
    ReduceWindow,
    ReduceWindowGrad,
    RoiReduce,
    RoiReduceGrad,
    ScatterAdd,
    Slice,
    TopK,
    Transpose,
)
from netdsl.scalar import parse_expr
from netdsl.source import Source

X = (2, 6, 8, 4)  # a batch of two maps, six rows of eight cells with four channels
SIZE = 2 * 6 * 8 * 4

# Op, settings, shapes of the data, multiply-adds, other operations on floats.
OPS = [
    ("conv", (10, 3), {}, [X], 2 * 4 * 6 * 10 * 9 * 4, 2 * 4 * 6 * 10),
    ("conv", (10, (3, 1)), {"groups": 2, "bias": False}, [X], 2 * 4 * 8 * 10 * 3 * 2, 0),
    ("conv", (10, 3), {"pad": "same", "stride": 2, "bias": False}, [X], 2 * 3 * 4 * 10 * 9 * 4, 0),
    ("conv", (10, 3), {"pad": 1, "pad_mode": "constant", "pad_value": 2.0}, [X], 96 * 10 * 36, 96 * 10),
    ("depthwise_conv", (3,), {"pad": "same"}, [X], SIZE * 9, SIZE),
    ("separable_conv", (10, 3), {"pad": "same"}, [X], SIZE * 9 + 96 * 4 * 10, 96 * 10),
    # Each cell of the operand is spread over a kernel; what is cut off at the border counts.
    ("conv_transpose", (10, 3), {"stride": 2, "bias": False}, [X], SIZE * 9 * 10, 0),
    ("dense", (10,), {}, [(3, 7)], 3 * 7 * 10, 3 * 10),
    ("dense", (10,), {"bias": False}, [X], SIZE * 10, 0),
    ("matmul", (), {}, [(2, 3, 5), (2, 5, 7)], 2 * 3 * 5 * 7, 0),
    ("max_pool", (2,), {}, [X], 0, SIZE),
    ("avg_pool", (3,), {"stride": 1}, [X], 0, 2 * 4 * 6 * 4 * 9),
    ("adaptive_avg_pool", ((3, 2),), {}, [X], 0, SIZE),
    ("global_avg_pool", (), {}, [X], 0, SIZE),
    ("global_max_pool", (), {}, [X], 0, SIZE),
    ("reduce_mean", (), {}, [X], 0, SIZE),
    ("reduce_sum", (), {"axes": (-1,)}, [X], 0, SIZE),
    # The scale is folded into the convolution before it.
    ("batch_norm", (), {}, [X], 0, 2 * SIZE),
    # Distance and sum; distance, square and sum; distance and scale; weight and bias; three for each deviation.
    ("layer_norm", (), {}, [(5, 16)], 0, (2 + 3 + 2 + 2) * 80 + (1 + 3) * 5),
    ("lrn", (5,), {}, [X], 0, (1 + 4 + 4) * SIZE),
    ("l2_normalize", (), {}, [X], 0, 3 * SIZE),
    ("dropout", (), {}, [X], 0, 0),
    ("add", (), {}, [X, X, X], 0, 2 * SIZE),
    ("mul", (), {}, [X, (2, 1, 1, 4)], 0, SIZE),
    ("concat", (), {}, [X, X], 0, 0),
    ("less", (), {}, [X, X], 0, SIZE),
    ("crop", (1,), {}, [X], 0, 0),
    ("pad", (1,), {"mode": "constant", "value": 3.0}, [X], 0, 0),
    ("pad", (1,), {"mode": "reflect"}, [X], 0, 0),
    ("reshape", ((32, 6),), {}, [X], 0, 0),
    ("flatten", (), {}, [X], 0, 0),
    ("upsample", (2,), {}, [X], 0, 0),
    # Rows, then columns: two products and a sum for every cell.
    ("upsample", (2,), {"mode": "bilinear"}, [X], 0, 3 * (2 * SIZE + 4 * SIZE)),
    ("relu", (), {}, [X], 0, SIZE),
    ("relu6", (), {}, [X], 0, 2 * SIZE),
    ("leaky_relu", (), {}, [X], 0, 3 * SIZE),
    ("prelu", (), {}, [X], 0, 2 * SIZE),
    ("silu", (), {}, [X], 0, 2 * SIZE),
    ("sigmoid", (), {}, [X], 0, SIZE),
    ("tanh", (), {}, [X], 0, SIZE),
    ("softmax", (), {}, [(3, 7)], 0, 5 * 21),
    ("one_hot", (5,), {}, [(3,)], 0, 15),
    ("top_k", (2,), {}, [(3, 7)], 0, 21),
    ("max_unpool", (2,), {}, [(2, 3, 4, 4), X], 0, 2 * SIZE),
    ("roi_align", (7,), {"sampling_ratio": 2}, [X, (2, 5, 4)], 0, 2 * 5 * 49 * 4 * 4 * 8),
    ("roi_pool", (7,), {}, [X, (2, 5, 4)], 0, SIZE * 5),
    ("ps_roi_pool", (2,), {}, [X, (2, 5, 4)], 0, SIZE // 4 * 5),
    ("anchors", ((16.0,), (32.0, 64.0)), {}, [X], 0, 3 * 2 * 48 * 2 * 4),
    ("box_decode", (), {}, [(2, 7, 4), (2, 7, 4)], 0, 10 * 56),
    ("box_decode", (), {"clip": (9.0, 9.0)}, [(2, 7, 4), (2, 7, 4)], 0, 12 * 56),
    ("nms", (5,), {}, [(2, 7, 4), (2, 7)], 0, 16 * 2 * 5 * 7),
    # Difference, square and sum; the last quotient.
    ("mse", (), {}, [(3, 4), (3, 4)], 0, 3 * 12 + 1),
]
LABELS = {"one_hot": {0}}


@pytest.mark.parametrize(("name", "args", "named", "shapes", "macs", "others"), OPS)
def test_ops(name, args, named, shapes, macs, others):
    op = BY_NAME[name].make(args, named)
    data = [TensorType(s, "i64" if k in LABELS.get(name, ()) else "f32") for k, s in enumerate(shapes)]
    weights = [TensorType(spec.shape) for spec in op.params(*data)]
    found = cost_of(op, *data, *weights)
    assert (found.macs, found.flops) == (macs, 2 * macs + others)


def test_what_needs_a_publication_to_count_otherwise():
    """The list is short, and each says where its count is from."""
    own = [op for op in LIBRARY if "published_flops" in vars(op)]
    assert {op.name for op in own} == {
        *("batch_norm", "lrn", "l2_normalize", "softmax", "prelu", "max_unpool"),
        *("anchors", "box_decode", "roi_align", "roi_pool", "ps_roi_pool"),
    }
    for op in own:
        assert any(year in op.published_flops.__doc__ for year in map(str, range(2010, 2027))), op.name


GRID = TensorType((2, 6, 8, 4))
SMALL = TensorType((2, 3, 4, 4))
ROIS = [TensorType((2, 5, 3, 6)), TensorType((2, 5, 3, 8))]
PRIMITIVES = [
    (Map((parse_expr("exp(x0) * x1"), parse_expr("exp(x0)"))), [GRID, TensorType((4,))], 2 * SIZE),
    (Reduce("sum", parse_expr("x0 * x0 * 0.25"), (3,)), [GRID], 2 * SIZE),
    (Reduce("max", parse_expr("x0 * 0.25"), (3,)), [GRID], 2 * SIZE),
    (Reduce("sum", parse_expr("i0 * 2"), (0, 3), shape=X), [], 0),
    (
        Contract("forward", (1, 1), ((0, 0), (0, 0)), (1, 1)),
        [GRID, TensorType((3, 3, 4, 5))],
        2 * 2 * 24 * 5 * 36,
    ),
    (Contract("backward_data", size=()), [TensorType((3, 5)), TensorType((7, 5))], 2 * 3 * 5 * 7),
    (Contract("backward_weights", size=()), [TensorType((3, 7)), TensorType((3, 5))], 2 * 3 * 5 * 7),
    (
        Contract("forward", epilogue=parse_expr("max(x0 + x1, 0.0)")),
        [TensorType((3, 7)), TensorType((7, 5)), TensorType((5,))],
        2 * 3 * 5 * 7 + 2 * 3 * 5,
    ),
    (ReduceWindow("max", (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), (0, 0)), [GRID], SIZE),
    # Which cell was the largest, and one more sum.
    (
        ReduceWindowGrad("max", (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), (0, 0), True, (6, 8)),
        [GRID, SMALL, SMALL],
        2 * SIZE,
    ),
    (ReduceWindowGrad("avg", (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), (0, 0), True, (6, 8)), [SMALL], SIZE),
    (RoiReduce("sum"), [GRID, *ROIS], 5 * SIZE),
    (RoiReduceGrad("sum"), [*ROIS, TensorType((2, 5, 3, 3, 4))], 5 * SIZE),
    (NonMaxSuppression(3, 0.5), [TensorType((2, 4, 9)), TensorType((2, 1, 9))], 16 * 2 * 3 * 9),
    (TopK(3), [TensorType((2, 9))], 18),
    (Gather(1), [GRID, TensorType((3,), "i64")], 0),
    (ScatterAdd(0, 9), [TensorType((3, 4)), TensorType((3,), "i64")], 12),
    (Transpose((0, 2, 1, 3)), [GRID], 0),
    (Concat(3), [GRID, GRID], 0),
    (Slice((0, 1, 1, 0), (1, 1, 1, 1), (2, 4, 4, 4)), [GRID], 0),
]


@pytest.mark.parametrize(("op", "operands", "flops"), PRIMITIVES, ids=lambda v: str(v)[:40])
def test_primitives(op, operands, flops):
    inputs = tuple(Value(f"x{k}") for k in range(len(operands)))
    assert primitive_flops(Node("y", op, inputs, op.infer(*operands)), operands) == flops


@pytest.mark.parametrize(
    ("text", "types", "count"),
    [
        ("max(x0, 0.0)", ("f32",), 1),
        ("exp(x0) / (1.0 + exp(x0))", ("f32",), 3),  # the exponential once
        ("where(x0 > 0.0, x0, x0 * 0.1)", ("f32",), 3),
        ("float(x0) * 2.0", ("i64",), 1),
        ("x0 // 3 + 1", ("i64",), 0),
        ("where(i1 < 2, x0 - x1, x0 + x1)", ("f32", "f32"), 2),  # both could be, one is
        ("x0 * (float(i1) * 0.5 - 1.0)", ("f32",), 1),
        ("x0 * (x1 + 1.0)", ("f32", None), 1),
        ("stop_gradient(x0) + 0.5", ("f32",), 1),
        ("x0 > 0.0 and x1 > 0.0", ("f32", "f32"), 2),
    ],
)
def test_operations_on_floats(text, types, count):
    assert operations((parse_expr(text),), types) == count


def test_a_division_is_more_work_than_a_sum_and_an_exponential_more_than_that():
    one, some, many = (facts(parse_expr(f)).work for f in ("x0 + x1", "x0 / x1", "exp(x0)"))
    assert one == 1 < some < many


def test_counts_are_exact_beyond_64_bits():
    t = TensorType((2**30, 2**30, 2**30, 3))
    op = BY_NAME["conv"].make((2**20, 3), {"bias": False})
    assert cost_of(op, t, TensorType((3, 3, 3, 2**20))).macs == 2**50 * (2**30 - 2) ** 2 * 27


@pytest.mark.parametrize(
    ("name", "args", "named"),
    [
        ("upsample", (), {"mode": "bilinear"}),
        ("upsample", (3,), {}),
        ("adaptive_avg_pool", (3_000_001,), {}),
        ("pad", (1,), {"mode": "edge"}),
        ("slice", (0, 2**39), {"step": 2}),
    ],
)
def test_what_is_counted_is_never_made(name, args, named):
    """Indices as long as an axis would take terabytes."""
    op, t = BY_NAME[name].make(args, named), TensorType((1, 2**40, 1))
    assert cost_of(op, t).macs == 0


LENET = """
net LeNet5 {
  input image: [28, 28, 1]
  output y = image
    -> conv(6, 5, pad = same) -> tanh -> avg_pool(2) -> conv(16, 5) -> tanh -> avg_pool(2)
    -> flatten -> dense(120) -> tanh -> dense(84) -> tanh -> dense(10)
}
"""


def test_lenet():
    graph = elaborate(Source("lenet.net", LENET)).graph
    convs = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 150
    dense = 400 * 120 + 120 * 84 + 84 * 10
    assert count_params(graph) == 61_706
    assert count_macs(graph) == convs + dense == 416_520
    biases = 28 * 28 * 6 + 10 * 10 * 16 + 120 + 84 + 10
    tanhs, pools = 4704 + 1600 + 120 + 84, 4 * (14 * 14 * 6 + 5 * 5 * 16)
    assert count_flops(graph) == 2 * 416_520 + biases + tanhs + pools


def test_running_statistics_are_no_params():
    text = "net N { input x: [8, 8, 4]\n output y = x -> batch_norm }"
    assert count_params(elaborate(Source("n.net", text)).graph) == 8
