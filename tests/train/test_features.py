"""A frozen trunk that is computed once: the same training, resumed to the bit, and what refuses it."""

import numpy as np
import pytest

from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source
from netdsl.train import Callback, Trainer
from netdsl.train.freeze import frozen
from netdsl.train.sections import check_sections
from netdsl.train.transfer.trunk import trunk_values

TEXT = """
net Small {
  input image: [8, 8, 1]
  output logits = image -> conv(4, 3, bias = false) -> batch_norm -> relu -> max_pool(2) -> flatten
    -> dense(16) -> relu -> dropout(0.3) -> dense(10)
}
data { train = digits.train; validation = 0.2; subset = 300; drop_last = false }
train {
  loss = cross_entropy(logits, label) + 1e-3 * l2(weights)
  metrics = [accuracy(logits, label)]
  optimizer = adam(lr = 0.01)
  batch = 32
  stages = [stage(epochs = 2, train = "dense2"), stage(epochs = 2, train = "dense*"), stage(epochs = 1)]
}
"""


def net(text=TEXT, **settings):
    given = {f"train.{name}": value for name, value in settings.items()}
    return elaborate(Source("n.net", text), 32, given)


def test_training_on_features_is_training():
    plain = Trainer(net(TEXT.replace(" -> dropout(0.3)", "")))
    cached = Trainer(net(TEXT.replace(" -> dropout(0.3)", ""), cache_features="true"))
    first, second = plain.fit(), cached.fit()
    for a, b in zip(first.history, second.history, strict=True):
        assert b.train["loss"] == pytest.approx(a.train["loss"], rel=1e-5)
        assert b.validation["loss"] == pytest.approx(a.validation["loss"], rel=1e-5)
    for name, array in plain.program.state_dict().items():
        np.testing.assert_allclose(
            cached.program.state_dict()[name], array, rtol=1e-4, atol=1e-5, err_msg=name
        )


def test_a_trunk_is_run_once_and_its_steps_are_gone():
    trainer = Trainer(net(stages='[stage(epochs = 3, train = "dense2")]', cache_features="true"))
    trainer.fit()
    (program,) = {p for key, p in trainer.learner._programs.items() if key[0] == 32 and key[3]}
    assert not any(n.op.name in ("contract", "reduce_window") and "conv1" in n.id for n in program.graph)
    assert "image" not in program.inputs and any(name.startswith("cut/") for name in program.inputs)


def test_weights_of_the_trunk_that_change_are_noticed():
    class Change(Callback):
        def on_epoch_begin(self, loop):
            if loop.progress.epoch == 1:
                loop.learner.program.set("dense1.weight", np.zeros((36, 16), np.float32))

    stages = '[stage(epochs = 2, train = "dense2")]'
    text = TEXT.replace(" -> dropout(0.3)", "").replace("adam(lr = 0.01)", "sgd(lr = 1e-30)")
    found = [
        Trainer(net(text, stages=stages, cache_features=c), callbacks=[Change()]).fit()
        for c in ("true", "false")
    ]
    losses = [[e.train["loss"] for e in f.history] for f in found]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5) and abs(losses[0][0] - losses[0][1]) > 1e-3


WHERE = [
    ("conv(4, 3) -> batch_norm -> relu -> dense", {"conv1", "batch_norm1"}, ["relu1"]),
    ("conv(4, 3) -> batch_norm -> relu -> dense", {"conv1"}, ["conv1"]),
    ("dropout(0.1) -> conv(4, 3) -> relu -> dense", {"conv1"}, []),
    ("gaussian_noise(0.1) -> conv(4, 3) -> relu -> dense", {"conv1"}, []),
    ("conv(4, 3) -> relu -> dropout(0.5) -> dense", {"conv1"}, ["relu1"]),
    ("conv(4, 3) -> batch_norm(statistics = batch) -> relu -> dense", {"conv1", "batch_norm1"}, ["conv1"]),
    ("conv(4, 3) -> concat { | relu | tanh } -> dense", {"conv1"}, ["concat1"]),
    ("conv(4, 3) -> relu -> conv(4, 3) -> dense", {"conv2"}, []),
    ("relu -> dense", set(), []),
]


@pytest.mark.parametrize(("layers", "still", "ends"), WHERE, ids=[f"{a} {sorted(b)}" for a, b, _ in WHERE])
def test_where_a_trunk_ends(layers, still, ends):
    layers = layers.replace("-> dense", "-> flatten -> dense(3)")
    text = f"net N {{ input x: [6, 6, 2]; output y = x -> {layers} }}\ntrain {{ loss = cross_entropy(y, label) }}"
    objective = elaborate(Source("n.net", text), 4).objective
    names = {n.id for n in objective.leaves("param") if n.id.partition(".")[0] in still}
    found = [v.node for v in trunk_values(frozen(objective, names), {"x"})]
    assert found == [
        e.replace("relu1", "flatten1")
        if "dropout" not in layers and e == "relu1"
        else e.replace("concat1", "flatten1")
        for e in ends
    ]


WRONG = [
    (TEXT, {"cache_features": "3"}, "cache_features is true or false"),
    (TEXT, {"cache_features": "true", "stages": "none"}, "there is nothing to compute once"),
    (
        TEXT,
        {"cache_features": "true", "stages": '[stage(epochs = 1, train = "conv1")]'},
        "nothing to compute once",
    ),
    (
        TEXT.replace("subset = 300", "augment = flip"),
        {"cache_features": "true"},
        "makes another one of it in each",
    ),
]


@pytest.mark.parametrize(("text", "settings", "message"), WRONG)
def test_what_cannot_be_computed_once_is_refused(text, settings, message):
    with pytest.raises(NetError, match=message) as caught:
        check_sections(net(text, **settings))
    assert all(d.span is not None for d in caught.value.diagnostics)


def test_features_that_are_too_large_are_refused(monkeypatch):
    monkeypatch.setattr("netdsl.train.transfer.features.machine_memory", lambda: 10_000)
    message = r"(?s)the features of 240 samples need .* memory.*without cache_features it trains the same"
    with pytest.raises(NetError, match=message):
        Trainer(net(cache_features="true")).fit()


def test_a_plan_from_python_that_augments_is_refused():
    from netdsl.data import DataPlan, Flip, from_arrays

    data = DataPlan(
        {"train": from_arrays(np.zeros((64, 8, 8, 1), np.uint8), np.arange(64) % 10), "augment": [Flip()]}
    )
    with pytest.raises(NetError, match="cache_features computes a sample once"):
        Trainer(net(cache_features="true"), data=data).fit()
