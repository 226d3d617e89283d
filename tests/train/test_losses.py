"""Every loss goes down when a small network is trained with it; what data sets may have as labels."""

import numpy as np
import pytest

from netdsl.data import DataPlan, from_arrays
from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source
from netdsl.train import Trainer

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((48, 4, 6, 2)).astype(np.float32)
SIGN = IMAGES[..., :1] > 0.3
PARTS = np.stack([IMAGES.mean((1, 2, 3)), -IMAGES.mean((1, 2, 3))], -1)
LOW = IMAGES[:, 0, 0, :] * 0.2
BOXES = np.concatenate([LOW, LOW + 1.0], -1)
SHARES = np.exp(PARTS) / np.exp(PARTS).sum(-1, keepdims=True)
CELLS = SIGN[..., 0].astype(np.uint8)
HOLES = np.where(RNG.random(CELLS.shape) < 0.3, 255, CELLS)

MAP, ROW = "image -> conv({n}, 1)", "image -> flatten -> dense({n})"
BOX = "low = image -> flatten -> dense(2); output y = concat(low, low + 1)"


def trained(loss, flow, labels, epochs=3):
    settings = f"loss = {loss}; optimizer = sgd(lr = 0.05); batch = 8; epochs = {epochs}"
    text = f"net Small {{ input image: [4, 6, 2]; {flow} }}\ntrain {{ {settings} }}\n"
    network = elaborate(Source("small.net", text))
    plan = DataPlan({"train": from_arrays(IMAGES, labels)})
    return [epoch.train["loss"] for epoch in Trainer(network, data=plan).fit().history]


@pytest.mark.parametrize(
    ("loss", "flow", "labels"),
    [
        ("smooth_l1(y, t, beta = 0.1)", ROW.format(n=2), PARTS),
        ("hinge(y, t)", ROW.format(n=2), np.sign(PARTS)),
        ("kl_divergence(y, t)", f"{ROW.format(n=2)} -> log_softmax", SHARES),
        ("focal(y, t)", MAP.format(n=1), SIGN.astype(float)),
        ("dice(y, t)", MAP.format(n=1), SIGN.astype(float)),
        ("cross_entropy(y, t)", MAP.format(n=2), CELLS),
        ("cross_entropy(y, t, ignore_index = 255)", MAP.format(n=2), HOLES),
        ("iou(y, t)", BOX, BOXES),
        ("giou(y, t)", BOX, BOXES),
    ],
)
def test_every_loss_goes_down(loss, flow, labels):
    losses = trained(loss, flow if "output" in flow else f"output y = {flow}", labels)
    assert losses[-1] < 0.97 * losses[0]


def test_labels_that_do_not_fit():
    flow = f"output y = {MAP.format(n=2)}"
    with pytest.raises(NetError, match="the train set has the label 255, the network 2 classes"):
        trained("cross_entropy(y, t)", flow, HOLES)
    with pytest.raises(NetError, match="the train set has the label 255"):
        trained("cross_entropy(y, t, ignore_index = 254)", flow, HOLES)
