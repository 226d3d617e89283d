"""Several networks together: the mean of their predictions in run and eval, the mean of their weights."""

import json

import numpy as np
import pytest

import netdsl
from netdsl.cli.main import main
from netdsl.elaborate import elaborate
from netdsl.runtime.artifact import load_artifact
from netdsl.source import NetError, Source
from netdsl.train import Trainer, load_checkpoint
from netdsl.train.restore import evaluate_checkpoint
from netdsl.train.transfer.average import average

TEXT = """
net Small(width = 6) {
  input image: [8, 8, 1]
  output logits = image -> conv(width, 3) -> batch_norm -> relu -> flatten -> dense(10)
  output size = image -> flatten -> dense(1)
}
data { train = digits.train; test = digits.test; validation = 0.2; normalize = NORMALIZE }
train {
  loss = cross_entropy(logits, label) + 1e-3 * l2(weights)
  metrics = [accuracy(logits, label), top_k_accuracy(logits, label, k = 3)]
  optimizer = sgd(lr = 0.05, momentum = 0.9)
  epochs = 2
}
"""


def text(normalize="scale"):
    return TEXT.replace("NORMALIZE", normalize)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three runs of other seeds, the last one normalised otherwise, and a run with snapshots."""
    folder = tmp_path_factory.mktemp("runs")
    for k, normalize in enumerate(("scale", "scale", "standardize")):
        net = elaborate(
            Source("n.net", text(normalize)), overrides={"train.seed": str(k), "train.epochs": "1"}
        )
        Trainer(net, folder / f"r{k}").fit()
    net = elaborate(Source("n.net", text()), overrides={"train.snapshots": "2", "train.schedule": "cosine"})
    Trainer(net, folder / "s").fit()
    (folder / "n.net").write_text(text())
    return folder


def softmax(x):
    e = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_the_mean_of_probabilities_and_of_other_numbers(runs):
    from netdsl.data import load_split

    images = load_split("digits", "test")["image"]
    files = [runs / f"r{k}" / "best.safetensors" for k in range(3)]
    single = [netdsl.restore(f).run({"image": images}) for f in files]
    both = netdsl.ensemble(*files).run({"image": images})
    np.testing.assert_allclose(
        both["logits"], np.mean([softmax(s["logits"]) for s in single], axis=0), atol=1e-6
    )
    np.testing.assert_allclose(
        both["size"], np.mean([s["size"] for s in single], axis=0), rtol=1e-5, atol=1e-6
    )
    alone = netdsl.ensemble(files[0]).run({"image": images})
    np.testing.assert_array_equal(alone["logits"], single[0]["logits"])


def evaluated(runs, *files, split="test"):
    return evaluate_checkpoint(lambda batch: elaborate(Source("n.net", text()), batch), list(files), split)


def test_eval_of_several_is_that_of_their_mean(runs):
    """Against the definition, in float64; the penalty is the mean of the members' own."""
    from netdsl.data import load_split

    data = load_split("digits", "test")
    files = [runs / f"r{k}" / "best.safetensors" for k in range(2)]
    p = np.mean([softmax(netdsl.restore(f).run({"image": data["image"]})["logits"]) for f in files], axis=0)
    labels = data["label"]
    weights = [load_checkpoint(f).arrays for f in files]
    kernels = ("conv1.weight", "dense1.weight", "dense2.weight")
    penalty = np.mean([sum((w[n].astype(np.float64) ** 2).sum() for n in kernels) for w in weights])
    expected = {
        "loss": -np.log(p[np.arange(len(p)), labels]).mean() + 1e-3 * penalty,
        "accuracy": (p.argmax(axis=1) == labels).mean(),
        "top_k_accuracy": (np.argsort(-p, axis=1)[:, :3] == labels[:, None]).any(axis=1).mean(),
    }
    found = evaluated(runs, *files)
    assert found == pytest.approx(expected, rel=1e-5)
    assert evaluated(runs, files[0], files[0]) == pytest.approx(evaluated(runs, files[0]), rel=1e-5)
    with pytest.raises(NetError, match="other seeds"):
        evaluated(runs, *files, split="validation")


def run(capsys, *words):
    with pytest.raises(SystemExit) as done:
        main(list(map(str, words)))
    return done.value.code or 0, capsys.readouterr()


def test_a_folder_stands_for_its_snapshots_in_run_and_eval(runs, capsys, monkeypatch):
    monkeypatch.chdir(runs)
    np.save("x.npy", np.arange(64).reshape(1, 8, 8) % 17)
    two = ["s/snapshot-1.safetensors", "--with", "s/snapshot-2.safetensors", "--format", "json"]
    _, folder = run(capsys, "run", "s", "x.npy", "--format", "json")
    _, named = run(capsys, "run", two[0], "x.npy", *two[1:])
    assert json.loads(folder.out) == json.loads(named.out)
    assert sum(c["probability"] for c in json.loads(folder.out)["classes"]["logits"][0]) <= 1 + 1e-6
    status, shown = run(capsys, "run", "s", "x.npy")
    assert status == 0 and shown.out.startswith("mean of 2 models\n")
    _, shown = run(capsys, "run", "r0", "x.npy")
    assert "mean of" not in shown.out
    _, both = run(capsys, "eval", "n.net", "s")
    _, named = run(capsys, "eval", "n.net", "s/snapshot-1.safetensors", "s/snapshot-2.safetensors")
    assert both.out == named.out and both.out.startswith("test, mean of 2 models: loss")
    _, one = run(capsys, "eval", "n.net", "r0")
    assert one.out == run(capsys, "eval", "n.net", "r0/best.safetensors")[1].out
    status, shown = run(capsys, "run", ".", "x.npy")
    assert status == 1 and ". is no run; there are runs in it: r0, r1, r2, s" in shown.err


def test_the_mean_of_weights(runs, capsys, monkeypatch):
    monkeypatch.chdir(runs)
    status, shown = run(capsys, "average", "r0/best.safetensors", "s", "-o", "mean.netdsl")
    assert status == 0 and shown.out == "written to mean.netdsl: the mean of 3 models, 10 arrays\n"
    files = ["r0/best.safetensors", "s/snapshot-1.safetensors", "s/snapshot-2.safetensors"]
    arrays = [load_checkpoint(runs / f).arrays for f in files]
    found = load_artifact(runs / "mean.netdsl").weights
    assert set(found) == {n for n in arrays[0] if "/" not in n}
    for name, array in found.items():
        expected = sum(a[name].astype(np.float64) for a in arrays) / 3
        np.testing.assert_allclose(array, expected, rtol=1e-6, atol=1e-9)
    status, shown = run(capsys, "eval", "n.net", "mean.netdsl")
    assert status == 0 and shown.out.startswith("test: loss")


def test_what_has_no_mean_is_refused(runs, tmp_path):
    with pytest.raises(NetError, match="is one model"):
        average([runs / "r0" / "best.safetensors"])
    with pytest.raises(NetError, match="prepared, or classes named, in another way"):
        average([runs / "r0" / "best.safetensors", runs / "r2" / "best.safetensors"])
    other = elaborate(
        Source("n.net", text().replace("width = 6", "width = 4")), overrides={"train.epochs": "1"}
    )
    Trainer(other, tmp_path / "o").fit()
    with pytest.raises(NetError, match="has another network"):
        average([runs / "r0" / "best.safetensors", tmp_path / "o" / "best.safetensors"])
    assert netdsl.ensemble(runs / "r0", tmp_path / "o", runs / "s").members[3].graph is not None
    nine = text().replace("dense(10)", "dense(11)")
    Trainer(elaborate(Source("n.net", nine), overrides={"train.epochs": "1"}), tmp_path / "n").fit()
    with pytest.raises(NetError, match="the models have other outputs"):
        netdsl.ensemble(runs / "r0", tmp_path / "n")
