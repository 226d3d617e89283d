"""Receptive fields and other batch sizes, against published figures."""

from fractions import Fraction

import pytest

from netdsl.ir import TensorType, Value, verify
from netdsl.ops import BY_NAME
from netdsl.ops.conv import Conv
from netdsl.ops.dense import Dense
from netdsl.ops.global_pool import GlobalAvgPool
from netdsl.ops.merge import Add
from netdsl.ops.pool import AvgPool, MaxPool
from netdsl.ops.rebatch import with_batch
from netdsl.ops.receptive_field import MAX_PERIOD, Pattern, merged, receptive_field
from netdsl.ops.shape import Flatten
from netdsl.primitives import Input, Param, PrimitiveBuilder, State


def chain(size, *layers):
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((1, *size))), name="image")
    for k, op in enumerate(layers):
        own = [
            b.add1((Param if s.trainable else State)(TensorType(s.shape)), name=f"{k}.{s.name}")
            for s in op.params(b.type(x))
        ]
        x = b.add1(op, x, *own, name=f"layer{k}")
    return b.finish({"y": x})


def field(*layers, size=(224, 224, 3)):
    graph = chain(size, *layers)
    return receptive_field(graph, graph.outputs["y"])


LENET = (
    *(Conv(6, 5, pad="same"), BY_NAME["tanh"](), AvgPool(2), Conv(16, 5), BY_NAME["tanh"](), AvgPool(2)),
    *(Flatten(), Dense(120), BY_NAME["tanh"](), Dense(84), BY_NAME["tanh"](), Dense(10)),
)


def test_receptive_field_of_vgg16():
    blocks = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
    layers = [
        op
        for channels, count in blocks
        for op in (*(Conv(channels, 3, pad="same"), BY_NAME["relu"]()) * count, MaxPool(2))
    ]
    # Araujo, Norris and Sim 2019: 212.
    assert field(*layers) == (212, 212)


@pytest.mark.parametrize(
    "layers, expected",
    [
        ([Conv(4, 3)], (3, 3)),
        ([Conv(4, (3, 1)), Conv(4, 3, dilation=2)], (7, 5)),
        ([Conv(4, 3, stride=2), Conv(4, 3, stride=2), Conv(4, 3)], (15, 15)),
        ([Conv(4, 3), GlobalAvgPool()], (224, 224)),
        ([Conv(4, 3), Flatten(), Dense(3)], (224, 224)),
    ],
)
def test_receptive_fields(layers, expected):
    assert field(*layers) == expected


def test_receptive_field_is_the_largest_over_paths():
    b = PrimitiveBuilder(chain((8, 8, 1), Conv(2, 3, pad="same", bias=False)))
    w = b.add1(Param(TensorType((5, 5, 2, 2))), name="w")
    wide = b.add1(Conv(2, 5, pad="same", bias=False), Value("layer0"), w, name="wide")
    y = b.add1(Add(), wide, Value("layer0"), name="y")
    assert receptive_field(b.finish({"y": y}), y) == (7, 7)


def test_other_batch_size():
    graph = chain((28, 28, 1), *LENET)
    new = verify(with_batch(graph, 7))
    assert [n.id for n in new] == [n.id for n in graph]
    assert new["layer3"].types[0].shape == (7, 10, 10, 16) and new["3.weight"] == graph["3.weight"]


@pytest.mark.parametrize("size", [4, 7, MAX_PERIOD + 1, 3 * MAX_PERIOD])
@pytest.mark.parametrize(
    "patterns",
    [
        (Pattern(((0, 1),), 1), Pattern(((0, 2),), 2)),
        (Pattern(((-1, 2), (0, 4)), 5), Pattern(((0, 3),), 2), Pattern(((-3, 1),), Fraction(1, 2))),
        (Pattern(((-1, 2),), 2), Pattern(((0, 1), (0, 3)), 4)),
    ],
)
def test_cells_that_read_several_maps_see_what_each_of_them_sees(patterns, size):
    """Also where neighbours of one map are further apart in the input than those of another."""
    both = merged(patterns, size)
    for cell in {0, 1, size // 2, size - 1}:
        start, stop = both.at(cell)
        spans = [p.at(cell) for p in patterns]
        assert start <= min(a for a, _ in spans) and stop >= max(b for _, b in spans)
        if size <= MAX_PERIOD:
            assert (start, stop) == (min(a for a, _ in spans), max(b for _, b in spans))
    assert both.jump == max(p.jump for p in patterns)
