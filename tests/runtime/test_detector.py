"""A detector in two stages, from text to boxes: proposals, features of each, classes and boxes that are kept."""

import numpy as np

from netdsl import api
from netdsl.autodiff import grad
from netdsl.elaborate import elaborate
from netdsl.ir import interpret
from netdsl.ops.expand import expand
from netdsl.ops.initializers import initialize
from netdsl.ops.roi_align import RoiAlign
from netdsl.source import Source

TEXT = """
net Detector(classes = 3, proposals = 6) {
  input image: [H = 64, W = 96, 3]
  output features = image -> conv(8, 3, stride = 8, pad = same) -> relu
  base = features -> anchors(stride = 8, sizes = [16, 32], ratios = [0.5, 1, 2])
  objectness = features -> conv(6, 1) -> reshape([-1])
  deltas = features -> conv(24, 1) -> reshape([-1, 4])
  candidates = (deltas -> stop_gradient, base) -> box_decode(clip = [H, W])
  output rois, scores, _ = (candidates, objectness) -> nms(proposals, 0.7)
  output pooled = (features, rois) -> roi_align(3, spatial_scale = 1 / 8)
  hidden = pooled -> reshape([proposals, -1]) -> dense(16) -> relu
  probabilities = hidden -> dense(classes) -> softmax
  moves = hidden -> dense(4)
  output refined = (moves, rois) -> box_decode(weights = [10, 10, 5, 5], clip = [H, W])
  output boxes, confidence, kinds = (refined, probabilities) -> nms(4, 0.5, 0.1)
}
train {
  loss = giou(refined, box)
}
"""


def network(batch=2):
    return elaborate(Source("detector.net", TEXT), batch)


def test_proposals_and_detections():
    program = api.compile(network(), seed=3)
    image = np.random.default_rng(0).normal(size=(2, 64, 96, 3)).astype(np.float32)
    got = program.run({"image": image})
    rois, boxes = got["rois"], got["boxes"]
    assert (np.diff(got["scores"]) <= 0).all() and len(np.unique(rois[0], axis=0)) == 6
    for corners in (rois, boxes):
        assert (corners >= 0).all() and (corners <= [96, 64, 96, 64]).all()
        assert (corners[..., :2] <= corners[..., 2:]).all()
    (expected,) = RoiAlign(3, 1 / 8).reference(got["features"], rois)
    np.testing.assert_allclose(got["pooled"], expected, atol=1e-5)
    assert (got["confidence"] > 0.1).all() and set(got["kinds"].ravel()) <= {0, 1, 2}
    for n in range(2):
        assert {tuple(box) for box in boxes[n]} <= {tuple(box) for box in got["refined"][n]}
    alone = api.compile(network(1), seed=3).run({"image": image[1:]})
    np.testing.assert_allclose(alone["boxes"], boxes[1:], atol=1e-4)


def test_the_loss_of_the_boxes_reaches_the_features_but_not_the_proposals():
    graph = expand(network().objective, training=True)
    features, proposals = ([f"conv{k}.weight", f"conv{k}.bias"] for k in (1, 3))
    rng = np.random.default_rng(1)
    feeds = {n.id: initialize(n, 3) for n in graph.leaves("param")}
    feeds["image"] = rng.normal(size=(2, 64, 96, 3)).astype(np.float32)
    feeds["box"] = np.tile(np.array([20, 10, 60, 40], np.float32), (2, 6, 1))
    grads = interpret(grad(graph, "loss", [*features, *proposals]), feeds).outputs
    assert all(np.abs(grads[f"grad/{name}"]).max() > 1e-7 for name in features)
    assert not any(grads[f"grad/{name}"].any() for name in proposals)
