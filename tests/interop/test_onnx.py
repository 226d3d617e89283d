"""Every op as ONNX, against ONNX's own evaluator."""

import numpy as np
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from netdsl.interop.onnx import OnnxGraph, to_onnx
from netdsl.ir import interpret
from tests.ops.samples import EXACT, build, feeds_of


def onnx_results(name, model, feeds):
    # The evaluator mixes up counts: of samples and channels in LRN, of groups and channels in ConvTranspose.
    # It has no MaxRoiPool.
    if name in ("lrn", "conv_transpose", "roi_pool"):
        return onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    return ReferenceEvaluator(model).run(None, feeds)


@pytest.mark.parametrize("sample", [s for s in EXACT if not s.training], ids=str)
def test_onnx_evaluator_agrees(sample):
    graph, names = build(sample)
    types = [graph[n].types[0] for n in names]
    if sample.op.onnx(OnnxGraph(), types, *names) is None:
        pytest.skip("ONNX has no counterpart")
    feeds = feeds_of(sample, graph, names)
    feeds = {n: a.astype(np.float32) if graph[n].types[0].dtype == "f32" else a for n, a in feeds.items()}
    with np.errstate(divide="ignore"):
        got = onnx_results(sample.op.name, to_onnx(graph), feeds)
    expected = interpret(graph, feeds).outputs
    for name, array in zip(graph.outputs, got, strict=True):
        # The evaluator computes LogSoftmax as the logarithm of a softmax that may underflow.
        finite = np.isfinite(array)
        assert finite.mean() > 0.5
        np.testing.assert_allclose(array[finite], expected[name][finite], rtol=2e-5, atol=1e-5)
