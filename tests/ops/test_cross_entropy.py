"""Cross entropy where no cell counts, which has no mean: ONNX and PyTorch make it NaN."""

import numpy as np

from netdsl.autodiff import grad
from netdsl.ir import TensorType
from netdsl.ops.cross_entropy import CrossEntropy
from netdsl.primitives import Input, PrimitiveBuilder
from netdsl.runtime import Program


def test_where_no_cell_counts_there_is_no_loss_and_no_gradient():
    b = PrimitiveBuilder(training=True)
    logits = b.add1(Input(TensorType((2, 3, 4))), name="logits")
    label = b.add1(Input(TensorType((2, 3), "i64")), name="label")
    (loss,) = CrossEntropy(ignore_index=255).expand(b, logits, label)
    program = Program(grad(b.finish({"loss": loss}), "loss", ["logits"]), threads=1)
    values = np.random.default_rng(0).standard_normal((2, 3, 4))
    found = program.run({"logits": values, "label": np.full((2, 3), 255)})
    assert found["loss"] == 0
    assert not found["grad/logits"].any()
