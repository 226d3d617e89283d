"""What an op accepts besides the operands it is tested with: its expansion has the types that it says."""

import pytest

from netdsl.ir import ShapeError, TensorType
from netdsl.ops import LIBRARY
from netdsl.primitives import Input, PrimitiveBuilder

GOOD = [sample for op in LIBRARY for sample in op.samples() if sample.error is None]


def types_of(sample):
    kinds = [dict.fromkeys(sample.integers, "i64") | dict.fromkeys(sample.booleans, "bool")]
    return [TensorType(shape, kinds[0].get(k, "f32")) for k, shape in enumerate(sample.data)]


@pytest.mark.parametrize("other", ["i64", "bool"])
def test_labels_and_conditions_are_refused_or_have_the_type_that_is_said(other):
    refused = 0
    for sample in GOOD:
        for k in range(len(sample.data)):
            types = types_of(sample)
            types[k] = TensorType(types[k].shape, other)
            try:
                types += [TensorType(spec.shape) for spec in sample.op.params(*types)]
                said = sample.op.infer(*types)
            except ShapeError:
                refused += 1
                continue
            b = PrimitiveBuilder()
            results = sample.op.expand(b, *(b.add1(Input(t)) for t in types))
            assert tuple(b.type(v) for v in results) == said, (str(sample), k)
    assert refused > len(GOOD) / 2
