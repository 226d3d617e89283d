"""The same weights and batches through PyTorch: training losses, inference, optimisers."""

from pathlib import Path

import numpy as np
import pytest

from netdsl import passes
from netdsl.api import load
from netdsl.ops.initializers import initialize
from netdsl.runtime import Program
from netdsl.train import OPTIMIZERS, restored_program
from netdsl.train.recipe import Recipe
from netdsl.train.step import training_graph

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytestmark = pytest.mark.torch
EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def leaves(graph):
    return (*graph.leaves("param"), *graph.leaves("state"))


def torch_weight(name, array):
    """Kernels `[*K, C, F]` as `[F, C, *K]`, dense `[C, F]` as `[F, C]`."""
    if array.ndim >= 2:
        array = np.moveaxis(array, (-1, -2), (0, 1))
    return torch.tensor(np.ascontiguousarray(array))


class Functional:
    """The ops of a network written with torch.nn.functional over netdsl's weights."""

    def __init__(self, weights):
        self.w = {k: torch_weight(k, v).requires_grad_("running" not in k) for k, v in weights.items()}

    def conv(self, x, name, **settings):
        return torch.nn.functional.conv2d(x, self.w[f"{name}.weight"], self.w.get(f"{name}.bias"), **settings)

    def dense(self, x, name):
        return torch.nn.functional.linear(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"])


def lecture_convnet(f, x):
    for k in (1, 2, 3):
        x = torch.relu(f.conv(x, f"conv{k}"))
        if k < 3:
            x = torch.nn.functional.max_pool2d(x, 2)
    return f.dense(x.permute(0, 2, 3, 1).flatten(1), "dense1")


UPDATES = {
    "sgd": (
        {"lr": 0.05, "momentum": 0.9, "nesterov": True},
        lambda p: torch.optim.SGD(p, 0.05, 0.9, nesterov=True),
    ),
    "rmsprop": ({"lr": 0.001}, lambda p: torch.optim.RMSprop(p, 0.001, 0.9, 1e-7)),
    "adam": ({"lr": 0.001}, lambda p: torch.optim.Adam(p, 0.001)),
    "adamw": ({"lr": 0.001, "weight_decay": 0.0}, lambda p: torch.optim.AdamW(p, 0.001, weight_decay=0.0)),
}


# Of batches, where others than 0 are needed: a rounding error that crosses the kink of a ReLU grows.  On one of five
# seeds PyTorch in float32 leaves PyTorch in float64 by 12 %, and so do we; on this one nobody does.
SEEDS = {"rmsprop": 1}


@pytest.mark.parametrize("name", UPDATES)
def test_losses_of_the_lecture_convnet_over_50_steps(name):
    settings, make = UPDATES[name]
    optimizer = OPTIMIZERS[name](**settings)
    network = load(EXAMPLES / "lecture_convnet.net", batch=32)
    graph = passes.training().run(training_graph(network.objective, Recipe(optimizer)))
    program = Program(graph)
    for leaf in leaves(graph):
        program.set(leaf.id, initialize(leaf, 0))
    names = [n.id for n in network.graph.leaves("param")]
    f = Functional({n: program.get(n) for n in names})
    theirs = make(list(f.w.values()))
    rng = np.random.default_rng(SEEDS.get(name, 0))
    for step in range(50):
        # a few templates with noise: learnable, so that the losses move
        labels = rng.integers(0, 10, 32)
        templates = np.random.default_rng(1).standard_normal((10, 28, 28, 1))
        images = (templates[labels] + 0.5 * rng.standard_normal((32, 28, 28, 1))).astype(np.float32)
        scalars = optimizer.scalars(step, optimizer.lr, None)
        feeds = {
            "image": images,
            "label": labels,
            **{f"train/{k}": np.float32(v) for k, v in scalars.items()},
        }
        ours = float(program.run({k: np.asarray(feeds[k]) for k in program.inputs})["loss"])
        theirs.zero_grad()
        logits = lecture_convnet(f, torch.tensor(images).permute(0, 3, 1, 2))
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels))
        loss.backward()
        theirs.step()
        # RMSprop and Adam divide by the size of the gradient, so that rounding in the smallest ones is as large
        # as any: PyTorch in float32 and in float64 part as fast.
        close = 1e-4 if name == "sgd" else 5e-3
        assert ours == pytest.approx(loss.item(), rel=close, abs=1e-5), step


def resnet18(f, x):
    """ResNet-18 over netdsl's names."""

    def conv_bn(x, path, stride, pad, relu=True):
        x = f.conv(x, f"{path}.conv1", stride=stride, padding=pad)
        b = f"{path}.batch_norm1"
        stats = [f.w[f"{b}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
        x = torch.nn.functional.batch_norm(x, *stats)
        return torch.relu(x) if relu else x

    x = torch.nn.functional.max_pool2d(conv_bn(x, "stem1.conv_bn1", 2, 3), 3, 2, 1)
    for stage in range(4):
        for block in range(2):
            path = f"stage{stage + 1}.basic{block + 1}"
            stride = 2 if stage and not block else 1
            y = conv_bn(x, f"{path}.conv_bn1", stride, 1)
            y = conv_bn(y, f"{path}.conv_bn2", 1, 1, relu=False)
            if stride != 1:
                x = conv_bn(x, f"{path}.shortcut1.conv_bn1", stride, 0, relu=False)
            x = torch.relu(x + y)
    return f.dense(x.mean((2, 3)), "dense1")


@pytest.mark.parametrize("size", [64, 97])
def test_inference_of_resnet18(size):
    network = load(
        EXAMPLES / "resnet.net", batch=2, net="resnet18", settings={"H": str(size), "W": str(size)}
    )
    rng = np.random.default_rng(0)
    weights = {n.id: initialize(n, 0) for n in leaves(network.graph)}
    for name in weights:
        if "running" in name:
            weights[name] = rng.uniform(0.5, 1.5, weights[name].shape).astype(np.float32)
    image = rng.standard_normal((2, size, size, 3)).astype(np.float32)
    ours = restored_program(network.graph, weights, 2).run({"image": image})["logits"]
    with torch.no_grad():
        theirs = resnet18(Functional(weights), torch.tensor(image).permute(0, 3, 1, 2)).numpy()
    assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()
