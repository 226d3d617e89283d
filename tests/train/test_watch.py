"""What `--watch` logs: the numbers, that training does not change, and that a resumed run logs the same."""

import json
import re

import numpy as np
import pytest

import netdsl
from netdsl.cli.main import main
from netdsl.train import Callback, Trainer, load_checkpoint
from netdsl.train.watch import need_kinds, watch_text

TEXT = """net Small {
  input image: [8, 8, 1]
  output logits = image -> flatten -> dense(12) -> relu -> dropout(0.3) -> dense(10)
}
data { train = digits.train; validation = 0.1; subset = 200; augment = [shift(1)] }
train { loss = cross_entropy(logits, label); optimizer = sgd(lr = 0.5, momentum = 0.9); epochs = 3; batch = 32 }
"""
KINDS = ("gradients", "weights", "activations")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    file = tmp_path_factory.mktemp("watch") / "small.net"
    file.write_text(TEXT)
    return netdsl.load(file, batch=32)


def events(folder, kind="watch"):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [e for e in lines if e["event"] == kind]


class Weights(Callback):
    """The weights around the last step of every epoch."""

    def __init__(self):
        self.before, self.after = [], []

    def on_batch_begin(self, loop):
        if loop.progress.batch == len(loop.batches) - 1:
            self.before.append(loop.learner.program.state_dict())

    def on_epoch_end(self, loop, result):
        self.after.append(loop.learner.program.state_dict())


def test_the_numbers_are_those_of_numpy(network, tmp_path):
    weights = Weights()
    trainer = Trainer(network, tmp_path, watch=KINDS, callbacks=[weights])
    trainer.fit()
    batch = trainer.data.evaluation_batches("train", 32, trainer.learner.inputs.feeds).make(0, 0)
    x, labels = batch["image"].reshape(32, 64).astype(np.float64), batch["label"]
    assert len(events(tmp_path)) == 3
    for event, before, w in zip(events(tmp_path), weights.before, weights.after, strict=True):
        hidden = np.maximum(x @ w["dense1.weight"].reshape(64, 12) + w["dense1.bias"], 0)
        logits = hidden @ w["dense2.weight"].reshape(12, 10) + w["dense2.bias"]
        rms = {"relu1": hidden, "dense2": logits}
        for name, values in rms.items():
            assert event["activations"][name] == pytest.approx(np.sqrt(np.mean(values**2)), rel=1e-5)
        assert event["dead"] == {"relu1": np.mean(hidden.max(axis=0) == 0)}
        for layer in ("dense1", "dense2"):
            names = [f"{layer}.weight", f"{layer}.bias"]
            norm = np.sqrt(sum(np.sum(w[n].astype(float) ** 2) for n in names))
            moved = np.sqrt(sum(np.sum((w[n].astype(float) - before[n]) ** 2) for n in names))
            assert event["weights"][layer] == pytest.approx(norm, rel=1e-6)
            assert event["updates"][layer] == pytest.approx(moved / norm, rel=1e-6)
        # By finite differences along the gradient: its norm is how fast the loss falls in its direction.
        gradient = network.gradient(training=True, share=trainer.program)
    feeds = {"image": batch["image"], "label": labels}
    _, found = gradient(feeds, seed=0)
    norm = np.sqrt(sum(np.sum(found[n].astype(float) ** 2) for n in ("dense1.weight", "dense1.bias")))
    (value,) = gradient(feeds, seed=0)[0].values()
    kept = {n: gradient.get(n) for n in ("dense1.weight", "dense1.bias")}
    step = 1e-3 / norm
    for n, w in kept.items():
        gradient.set(n, w - step * found[n])
    (lower,) = gradient(feeds, seed=0)[0].values()
    assert (value - lower) / step == pytest.approx(norm**2, rel=0.02)
    assert events(tmp_path)[-1]["gradients"]["dense1"] == pytest.approx(norm, rel=1e-6)


class Stop(Callback):
    def on_batch_end(self, loop, values):
        if loop.progress.step == 8:
            loop.stop()


def test_training_is_the_same_and_so_is_a_resumed_log(network, tmp_path):
    Trainer(network, tmp_path / "plain").fit()
    Trainer(network, tmp_path / "whole", watch=KINDS).fit()
    Trainer(network, tmp_path / "part", watch=KINDS, callbacks=[Stop()]).fit()
    Trainer(network, tmp_path / "part", watch=KINDS).fit(resume=True)
    arrays = [
        load_checkpoint(tmp_path / name / "last.safetensors").arrays for name in ("plain", "whole", "part")
    ]
    for name, array in arrays[0].items():
        assert array.tobytes() == arrays[1][name].tobytes() == arrays[2][name].tobytes()
    assert events(tmp_path / "whole") == events(tmp_path / "part")
    order = [
        json.loads(line)["event"] for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()
    ]
    assert order == ["start", *["watch", "epoch"] * 3, "end"]


def test_a_head_that_no_loss_reads_is_not_watched(tmp_path):
    text = TEXT.replace(
        "  output logits", "  output other = image -> flatten -> dense(3) -> relu\n  output logits"
    )
    (tmp_path / "two.net").write_text(text)
    Trainer(netdsl.load(tmp_path / "two.net", batch=32), tmp_path, watch=["activations"]).fit()
    assert events(tmp_path)[0]["activations"].keys() == {"dense2", "relu2", "dense3"}


def test_kinds_are_checked(network):
    assert need_kinds(["weights", "gradients"]) == ("gradients", "weights")
    assert need_kinds("weights") == ("weights",)
    with pytest.raises(ValueError, match="gradient cannot be watched; did you mean gradients"):
        Trainer(network, watch=["gradient"])


def test_in_words():
    found = {"gradients": {"a": 0.5, "b": 2.0}, "updates": {"a": 1e-3}, "dead": {"r": 0.25, "s": 0.5}}
    assert (
        watch_text(found) == "gradients 0.5 (a) to 2 (b)  update/weight 0.001 (a) to 0.001 (a)  dead 50 % (s)"
    )
    assert watch_text({"activations": {"a": 1.0}, "dead": {}}) == "activations up to 1 (a)"


def test_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.net").write_text(TEXT)
    for words, status, text in (
        (["--watch", "wieghts"], 2, "wieghts cannot be watched; did you mean weights?"),
        (["--watch", "weights,activations", "--out", "r", "--set", "train.epochs=2"], 0, "dead "),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["train", "small.net", *words])
        out, err = capsys.readouterr()
        assert ended.value.code == status and text in out + err
    assert len(re.findall(r"^  update/weight ", out, re.M)) == 2
    with pytest.raises(SystemExit) as ended:
        main(["curves", "r", "--watch", "-o", "w.svg"])
    assert ended.value.code == 0
    svg = (tmp_path / "w.svg").read_text()
    assert all(
        text in svg for text in ("norm of the weights", "share of dead channels", ">relu1<", ">dense2<")
    )
