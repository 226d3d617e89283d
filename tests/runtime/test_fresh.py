"""First weights are the same bits, however many of them are drawn at a time."""

import numpy as np
import pytest

from netdsl import machine
from netdsl.ir import Graph, Node, TensorType
from netdsl.ops.initializers import initialize
from netdsl.primitives import Param
from netdsl.runtime.fresh import FEW, draw_weights


def leaves(size):
    kinds = ("he_normal", "glorot_uniform", "zeros", "rademacher", "normal(0.02)")
    ops = [Param(TensorType((size, 3)), init=kind, fan=(3, size)) for kind in kinds]
    return Graph([Node(f"w{k}", op, (), op.infer()) for k, op in enumerate(ops)], {}, {})


@pytest.mark.parametrize("size", [5, FEW])
@pytest.mark.parametrize("processors", [1, 3])
def test_each_leaf_has_its_own_bits(size, processors, monkeypatch):
    monkeypatch.setattr(machine, "processors", lambda: processors)
    found = {}
    draw_weights(leaves(size), 7, found.__setitem__)
    assert found.keys() == {"w0", "w1", "w2", "w3", "w4"}
    for node in leaves(size):
        np.testing.assert_array_equal(found[node.id], initialize(node, 7))


def test_an_error_of_one_is_raised(monkeypatch):
    monkeypatch.setattr(machine, "processors", lambda: 2)

    def refuse(name, array):
        raise MemoryError(name)

    with pytest.raises(MemoryError, match="w0"):
        draw_weights(leaves(FEW), 0, refuse)
