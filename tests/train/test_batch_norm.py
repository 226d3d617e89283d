"""Batch norm while others learn: frozen, shared by several inputs, and over a single value."""

import numpy as np
import pytest

from netdsl import passes
from netdsl.backend.registry import find_target
from netdsl.data import DataPlan, from_arrays
from netdsl.elaborate import elaborate
from netdsl.ir import interpret
from netdsl.ops.expand import expand
from netdsl.ops.rebatch import with_batch
from netdsl.runtime import Program
from netdsl.source import NetError, Source
from netdsl.train import Callback, Trainer, load_checkpoint
from netdsl.train.freeze import frozen as with_frozen
from netdsl.train.memory_prediction import predict_memory
from netdsl.train.restore import restored_program
from netdsl.train.step import evaluation_graph, training_graph

from .nets import arrays

SECTION = "train { loss = mse(y, t); optimizer = sgd(lr = 0.1); epochs = 2; batch = BATCH }"
CLASSES = (
    "train { loss = cross_entropy(y, t); optimizer = sgd(lr = 0.1, momentum = 0.9); epochs = 2; batch = 8 }"
)
BLOCK = "block Trunk { in -> dense(5) -> batch_norm -> relu }\n"
KEEP = 0.9


def network(flow, section=SECTION, batch=8, blocks=""):
    text = f"{blocks}net N {{ input x: [4]\n {flow} }}\n{section.replace('BATCH', str(batch))}"
    return elaborate(Source("n.net", text), batch)


def updates(net, feeds):
    """The new statistics of one training step in float64, by name."""
    return interpret(expand(net.graph, training=True), feeds, np.float64).updates


def random_feeds(net, seed=0):
    rng = np.random.default_rng(seed)
    leaves = [n for n in net.graph if n.op.name in ("input", "param", "state")]
    return {n.id: rng.uniform(0.5, 1.5, n.types[0].shape) for n in leaves}


def moved(old, uses, statistic):
    """A running statistic after the uses of a layer, in order."""
    for x in uses:
        old = KEEP * old + (1 - KEEP) * statistic(x)
    return old


@pytest.mark.parametrize(
    ("flow", "uses"),
    [
        ("layer bn = batch_norm; output y = (x -> bn) + (x * 3 -> bn)", lambda x: [x, 3 * x]),
        ("layer bn = batch_norm; output y = (x * 3 -> bn) + (x -> bn)", lambda x: [3 * x, x]),
        ("layer bn = batch_norm; output y = (x -> bn) + (x -> bn)", lambda x: [x, x]),
        (
            "layer bn = batch_norm; output y = concat(x -> bn, x + 1 -> bn, x * x -> bn)",
            lambda x: [x, x + 1, x * x],
        ),
        ("layer b = Twice; output y = (x -> b) + (x * 3 -> b)", lambda x: [x, 3 * x]),
    ],
)
def test_every_use_of_a_shared_layer_moves_its_statistics(flow, uses):
    net = network(flow, blocks="block Twice { in -> batch_norm -> tanh }\n")
    feeds = random_feeds(net)
    found = updates(net, feeds)
    assert len(found) == 2
    seen = uses(feeds["x"])
    for name, new in found.items():
        variance = name.endswith("running_var")
        expected = moved(
            feeds[name], seen, (lambda a: a.var(0, ddof=1)) if variance else (lambda a: a.mean(0))
        )
        np.testing.assert_allclose(new, expected, rtol=1e-12)


FROZEN = [
    ("output y = x -> dense(5) -> batch_norm @freeze -> dense(3)", {"batch_norm1"}),
    ("output y = x -> Trunk @freeze -> dense(3)", {"trunk1.batch_norm1", "trunk1.dense1"}),
    (
        "layer trunk = Trunk @freeze; output y = (x -> trunk) + (x * 2 -> trunk) -> dense(3)",
        {"trunk.batch_norm1", "trunk.dense1"},
    ),
    (
        "output y = x -> add { | dense(5) -> batch_norm | dense(5) -> batch_norm } @freeze -> dense(3)",
        {"dense1", "dense2", "batch_norm1", "batch_norm2"},
    ),
]


@pytest.mark.parametrize(("flow", "frozen"), FROZEN)
def test_frozen_layers_behave_as_in_inference_and_stay(flow, frozen):
    net = network(flow, CLASSES, blocks=BLOCK)
    feeds = random_feeds(net)
    assert not updates(net, feeds)
    inference = interpret(expand(net.graph), feeds, np.float64).outputs["y"]
    training = interpret(expand(net.graph, training=True), feeds, np.float64).outputs["y"]
    np.testing.assert_array_equal(training, inference)
    x, labels = arrays()
    trainer = Trainer(net, data=DataPlan({"train": from_arrays(10 * x, labels)}))
    before = trainer.program.state_dict()
    trainer.fit()
    for name, new in trainer.program.state_dict().items():
        same = np.array_equal(new, before[name])
        assert same == (name.rpartition(".")[0] in frozen), name


def test_pytorchs_way_keeps_the_weights_alone():
    net = network("output y = x -> batch_norm(statistics = batch) @freeze -> dense(3)", CLASSES)
    x, labels = arrays()
    trainer = Trainer(net, data=DataPlan({"train": from_arrays(10 * x, labels)}))
    before = trainer.program.state_dict()
    trainer.fit()
    changed = {n for n, a in trainer.program.state_dict().items() if not np.array_equal(a, before[n])}
    assert changed >= {"batch_norm1.running_mean", "batch_norm1.running_var", "dense1.weight"}
    assert not {"batch_norm1.weight", "batch_norm1.bias"} & changed


def test_running_statistics_with_weights_that_learn():
    net = network("output y = x -> batch_norm(statistics = running) -> dense(3)", CLASSES)
    x, labels = arrays()
    trainer = Trainer(net, data=DataPlan({"train": from_arrays(10 * x, labels)}))
    before = trainer.program.state_dict()
    trainer.fit()
    changed = {n for n, a in trainer.program.state_dict().items() if not np.array_equal(a, before[n])}
    assert {"batch_norm1.weight", "batch_norm1.bias"} <= changed
    assert not {"batch_norm1.running_mean", "batch_norm1.running_var"} & changed


def test_a_trunk_that_was_trained_before_is_the_same_after(tmp_path):
    """Transfer: a head on a frozen trunk learns, and what the trunk computes stays, bit for bit."""
    x, labels = arrays()
    data = DataPlan({"train": from_arrays(x, labels)})
    Trainer(network("output y = x -> Trunk -> dense(3)", CLASSES, blocks=BLOCK), tmp_path, data).fit()
    trunk = {
        n: a
        for n, a in load_checkpoint(tmp_path / "last.safetensors").arrays.items()
        if n.startswith("trunk1") and "/" not in n
    }
    net = network("output h = x -> Trunk @freeze; output y = h -> dense(3)", CLASSES, blocks=BLOCK)
    trainer = Trainer(net, data=data)
    for name, array in trunk.items():
        trainer.program.set(name, array)
    before = restored_program(net.graph, trainer.program.state_dict(), 8).run({"x": x[:8]})
    trainer.fit()
    after = restored_program(net.graph, trainer.program.state_dict(), 8).run({"x": x[:8]})
    assert np.array_equal(before["h"], after["h"]) and not np.array_equal(before["y"], after["y"])
    assert all(np.array_equal(trainer.program.get(name), array) for name, array in trunk.items())


def test_tags_of_a_shared_layer_stand_where_it_is_made():
    with pytest.raises(NetError, match="the tags of a layer are given once, where it is made"):
        network("layer bn = batch_norm; output y = (x -> bn) + (x -> bn @freeze)")


class Steps(Callback):
    count = 0

    def on_batch_end(self, loop, values):
        self.count += 1


@pytest.mark.parametrize(
    ("flow", "batch", "samples", "drop_last", "message"),
    [
        ("x -> batch_norm", 1, 8, True, "in a batch of 1 sample, batch_norm has one value per channel"),
        ("x -> batch_norm", 4, 9, False, "in a batch of 1 sample, batch_norm has one value per channel"),
        ("x -> batch_norm", 4, 1, False, "in a batch of 1 sample, batch_norm has one value per channel"),
        ("x -> batch_norm", 4, 9, True, None),
        ("x -> batch_norm", 4, 10, False, None),
        ("x -> batch_norm @freeze -> dense(4)", 1, 3, True, None),
        ("x -> batch_norm(statistics = running)", 4, 9, False, None),
        ("x -> reshape([2, 2]) -> batch_norm -> flatten", 1, 3, True, None),
    ],
)
def test_a_single_value_is_diagnosed_at_the_layer_before_anything_is_trained(
    tmp_path, flow, batch, samples, drop_last, message
):
    x = np.random.default_rng(0).random((samples, 4), np.float32)
    data = DataPlan({"train": from_arrays(x, x), "drop_last": drop_last})
    steps = Steps()
    if message is None:
        assert np.isfinite(
            Trainer(network(f"output y = {flow}", batch=batch), data=data, callbacks=[steps])
            .fit()
            .train["loss"]
        )
        return
    with pytest.raises(NetError, match=message) as caught:
        Trainer(network(f"output y = {flow}", batch=batch), tmp_path / "run", data, callbacks=[steps]).fit()
    (found,) = caught.value.diagnostics
    assert found.span.text == "batch_norm" and found.fix and steps.count == 0
    assert not (tmp_path / "run").exists()


def test_memory_needs_no_statistics():
    net = network("output y = x -> batch_norm -> dense(4)", section="")
    one, two = (predict_memory(net, n).peaks["training"].total for n in (1, 2))
    assert 0 < one < two
    assert predict_memory(net, 1, 1_000_000).peaks["training"].largest_batch > 100


@pytest.mark.torch
def test_siamese_training_and_inference_equal_pytorch():
    torch = pytest.importorskip("torch")
    flow = "layer e = Encoder; a = x -> e; b = x * 2 + 1 -> e; output y = a - b"
    net = network(flow, blocks="block Encoder { in -> dense(5) -> batch_norm -> tanh }\n", batch=8)
    rng = np.random.default_rng(0)
    x, t = (rng.random(s).astype(np.float32) for s in ((24, 4), (24, 5)))
    trainer = Trainer(net, data=DataPlan({"train": from_arrays(x, t), "shuffle": False}))
    start = trainer.program.state_dict()
    dense, norm = torch.nn.Linear(4, 5), torch.nn.BatchNorm1d(5)
    dense.weight.data, dense.bias.data = (
        torch.tensor(np.ascontiguousarray(start[f"e.dense1.{n}"].T)) for n in ("weight", "bias")
    )
    optimizer = torch.optim.SGD([*dense.parameters(), *norm.parameters()], lr=0.1)

    def outputs(batch):
        a, b = (torch.tanh(norm(dense(v))) for v in (batch, batch * 2 + 1))
        return a - b

    for _ in range(2):
        for k in range(0, 24, 8):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(
                outputs(torch.tensor(x[k : k + 8])), torch.tensor(t[k : k + 8])
            ).backward()
            optimizer.step()
    trainer.fit()
    for name, theirs in norm.state_dict().items():
        if name != "num_batches_tracked":
            np.testing.assert_allclose(
                trainer.program.get(f"e.batch_norm1.{name}"), theirs.numpy(), rtol=2e-5, atol=1e-6
            )
    norm.eval()
    program = restored_program(with_batch(net.graph, 8), trainer.program.state_dict(), 8)
    np.testing.assert_allclose(
        program.run({"x": x[:8]})["y"], outputs(torch.tensor(x[:8])).detach(), rtol=1e-4, atol=1e-5
    )


def test_a_frozen_trunk_costs_what_it_costs_in_inference():
    """The same steps up to the head, at every run: scales are folded into kernels, and nothing is packed again."""
    text = """net N {
      input x: [8, 8, 3]
      output y = x -> conv(8, 3, pad = same) -> batch_norm -> relu -> max_pool(2)
        -> conv(16, 3, pad = same, bias = false) -> batch_norm -> relu -> flatten -> dense(3)
    }
    train { loss = cross_entropy(y, label) }
    """
    objective = elaborate(Source("n.net", text), 4).objective
    trunk = frozenset(n.id for n in objective.leaves("param") if "dense" not in n.id)
    learns = passes.training().run(training_graph(with_frozen(objective, trunk)))
    predicts = passes.inference().run(evaluation_graph(objective))

    def steps(graph):
        run = Program(graph, find_target("cpu", threads=1)).layout.lowered.run
        calls = [call for call in run if {"conv1", "conv2", "max_pool1"} & {*call.node.origin}]
        return [step.title for call in calls for step in call.steps]

    assert steps(learns) == steps(predicts) and len(steps(learns)) >= 3
