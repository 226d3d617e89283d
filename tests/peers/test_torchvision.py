"""Inference of detectors against torchvision's (PyTorch), same weights: pyramids, shared heads, default boxes."""

import numpy as np
import pytest

import netdsl
from netdsl.train import restored_program
from tests.zoo.test_counts import EXAMPLES

torch = pytest.importorskip("torch")
detection = pytest.importorskip("torchvision.models.detection")
from tests.peers.pairing import random_weights, share  # noqa: E402 - imports torch

pytestmark = pytest.mark.torch


def both(file, net, settings, model):
    """Our outputs, torchvision's network with the same weights, and the picture for it."""
    network = netdsl.load(EXAMPLES / f"{file}.net", net=net, settings=settings)
    rng = np.random.default_rng(0)
    weights = random_weights(network.graph, rng)
    share(network.graph, model, weights)
    image = rng.standard_normal(network.graph["image"].types[0].shape).astype(np.float32)
    ours = restored_program(network.graph, weights, 1).run({"image": image})
    return ours, model.eval(), torch.from_numpy(image).permute(0, 3, 1, 2).contiguous()


def close(ours, theirs):
    """Whether two arrays are equal to 1e-5 of the largest number."""
    theirs = theirs.detach().numpy()
    return ours.shape == theirs.shape and np.abs(ours - theirs).max() < 1e-5 * np.abs(theirs).max()


def test_retinanet():
    model = detection.retinanet_resnet50_fpn(weights=None, weights_backbone=None)
    size = {"H": "128", "W": "160"}
    ours, model, picture = both("retinanet", "retinanet_resnet50_fpn", size, model)
    theirs = model.head(list(model.backbone(picture).values()))
    assert close(ours["logits"], theirs["cls_logits"])
    assert close(ours["boxes"], theirs["bbox_regression"])


def test_ssd():
    from torchvision.models.detection.image_list import ImageList

    model = detection.ssd300_vgg16(weights=None, weights_backbone=None)
    ours, model, picture = both("ssd", "ssd300_vgg16", {}, model)
    maps = list(model.backbone(picture).values())
    theirs = model.head(maps)
    model.anchor_generator.clip = (
        False  # as in the paper's configuration: boxes may be larger than the picture
    )
    anchors = model.anchor_generator(ImageList(picture, [(300, 300)]), maps)
    boxes = model.box_coder.decode_single(theirs["bbox_regression"][0], anchors[0])
    assert close(ours["logits"], theirs["cls_logits"])
    assert close(ours["boxes"], boxes[None])


def test_fpn():
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    model = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, trainable_layers=5, norm_layer=torch.nn.BatchNorm2d
    )
    ours, model, picture = both("fpn", "fpn_resnet50", {"H": "96", "W": "128"}, model)
    theirs = model(picture)
    for name, found in zip(("p2", "p3", "p4", "p5", "p6"), theirs.values(), strict=True):
        assert close(ours[name], found.permute(0, 2, 3, 1)), name
