"""Inference of the zoo against pytorchcv's networks (PyTorch), with the same weights: one network per family."""

import importlib

import numpy as np
import pytest

from netdsl.train import restored_program
from tests.zoo.test_counts import EXAMPLES

torch = pytest.importorskip("torch")
pytest.importorskip("pytorchcv.models")
from tests.peers.pairing import random_weights, share  # noqa: E402 - imports torch

pytestmark = pytest.mark.torch

# File, net or preset, settings, pytorchcv's module and name.
NETWORKS = [
    ("alexnet", None, {}, "alexnet.alexnetb"),
    ("bagnet", "bagnet17", {}, "bagnet.bagnet17"),
    ("bn_inception", None, {}, "bninception.bninception"),
    ("darknet19", "darknet19", {}, "darknet.darknet19"),
    ("darknet53", None, {"H": "224", "W": "224"}, "darknet53.darknet53"),
    ("deeplab", "deeplabv3_resnetd50b", {"H": "96", "W": "96"}, "deeplabv3.deeplabv3_resnetd50b_voc"),
    ("densenet", "densenet121", {}, "densenet.densenet121"),
    ("efficientnet", "efficientnet_b0", {}, "efficientnet.efficientnet_b0"),
    ("enet", None, {"H": "64", "W": "96"}, "enet.enet_cityscapes"),
    ("inception_resnet_v2", None, {}, "inceptionresnetv2.inceptionresnetv2"),
    ("inception_v3", "inception_v3_without_head", {}, "inceptionv3.inceptionv3"),
    ("inception_v4", None, {}, "inceptionv4.inceptionv4"),
    ("mobilenet_v1", "mobilenet_w1", {}, "mobilenet.mobilenet_w1"),
    ("nin", None, {}, "nin_cifar.nin_cifar10"),
    ("preresnet", "preresnet18", {}, "preresnet.preresnet18"),
    ("preresnet", "preresnet50", {}, "preresnet.preresnet50b"),
    ("pspnet", "pspnet_resnetd50b", {"H": "96", "W": "96"}, "pspnet.pspnet_resnetd50b_voc"),
    ("resnet", "resnet50", {}, "resnet.resnet50b"),
    ("resnet", "resnext50_32x4d", {}, "resnext.resnext50_32x4d"),
    ("resnet_cifar", "resnet20", {}, "resnet_cifar.resnet20_cifar10"),
    ("segnet", "segnet_cityscapes", {"H": "64", "W": "96"}, "segnet.segnet_cityscapes"),
    ("senet", "seresnet50", {}, "seresnet.seresnet50"),
    ("senet154", None, {}, "senet.senet154"),
    ("squeezenet", "squeezenet1_1", {}, "squeezenet.squeezenet_v1_1"),
    ("vgg", "vgg16", {}, "vgg.vgg16"),
    ("vgg", "vgg11_bn", {}, "vgg.bn_vgg11b"),
]


@pytest.mark.parametrize(("file", "net", "settings", "peer"), NETWORKS, ids=[row[3] for row in NETWORKS])
def test_inference(file, net, settings, peer):
    from netdsl.api import load as load_network

    network = load_network(EXAMPLES / f"{file}.net", net=net, settings=settings)
    graph = network.graph
    rng = np.random.default_rng(0)
    weights = random_weights(graph, rng)
    module_name, _, name = peer.partition(".")
    make = getattr(importlib.import_module(f"pytorchcv.models.{module_name}"), name)
    model = make(in_size=graph["image"].types[0].shape[1:3]).eval()
    for module in (m for m in model.modules() if getattr(m, "return_indices", False)):
        # ENet's windows are 2 x 2 in the paper; pytorchcv's are larger and overlap.
        module.kernel_size, module.padding = 2, 0
    share(graph, model, weights)
    image = rng.standard_normal(graph["image"].types[0].shape).astype(np.float32)
    ours = restored_program(graph, weights, 1).run({"image": image})["logits"]
    with torch.no_grad():
        results = model(torch.from_numpy(image).permute(0, 3, 1, 2).contiguous())
    theirs = (results[0] if isinstance(results, tuple) else results).numpy()
    theirs = np.moveaxis(theirs, 1, -1)
    assert np.abs(ours - theirs).max() < 1e-5 * np.abs(theirs).max()
