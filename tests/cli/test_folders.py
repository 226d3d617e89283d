"""Folders of folds and of sweeps where a run or a trained network is asked for."""

import json
import statistics
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.cli.main import main
from netdsl.source import NetError
from tests.calls import call

TEXT = """net Small(width = 8) {
  input image: [8, 8, 1]
  output logits = image -> flatten -> dense(width) -> relu -> dense(10)
}
data { train = digits.train; test = digits.test; folds = 3; subset = 300 }
train { loss = cross_entropy(logits, label); metrics = [accuracy(logits, label)]; epochs = 2; batch = 64 }
"""
IMAGE = np.load("netdsl/data/digits.npz")["test_images"][:2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with `small.net`, the cross-validation `runs/f` and the sweeps `runs/s` and, of folds, `runs/sf`."""
    folder = tmp_path_factory.mktemp("folders")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("small.net").write_text(TEXT)
        np.save("two.npy", IMAGE)
        plain = ["--set", "data.folds=none", "--set", "data.validation=0.2", "--set", "train.epochs=1"]
        for words in (
            ["train", "small.net", "--out", "runs/f"],
            ["sweep", "small.net", "--set", "width=4,16", *plain, "--jobs", "1", "--out", "runs/s"],
        ):
            with pytest.raises(SystemExit) as ended:
                main(words)
            assert ended.value.code == 0
    return folder


@pytest.fixture(autouse=True)
def here(trained, monkeypatch):
    monkeypatch.chdir(trained)


def test_curves_of_a_folder_are_those_of_the_runs_in_it(capsys):
    for folder, names in (
        ("runs/f", ["fold-1 train", "fold-3 validation"]),
        ("runs/s", ["run-1 width=4 train", "run-2 width=16 validation"]),
        ("runs", ["f/fold-1 train", "s/run-2 width=16 validation"]),
    ):
        code, out, _ = call(capsys, "curves", folder, "--only", "loss")
        assert code == 0 and all(name in " ".join(out.split()) for name in names), out


def test_each_fold_is_evaluated_with_mean_and_spread(capsys):
    code, out, _ = call(capsys, "eval", "small.net", "runs/f", "--format", "json")
    found = json.loads(out)
    singles = [
        json.loads(call(capsys, "eval", "small.net", f"runs/f/fold-{k}", "--format", "json")[1])
        for k in (1, 2, 3)
    ]
    for name in ("loss", "accuracy"):
        values = [single[name] for single in singles]
        assert [fold[name] for fold in found["folds"]] == values
        assert found["mean"][name] == pytest.approx(statistics.fmean(values))
        assert found["spread"][name] == pytest.approx(statistics.stdev(values))
    code, out, _ = call(capsys, "eval", "small.net", "runs/f")
    assert code == 0 and "mean" in out and "(each fold by its best checkpoint, on the test set)" in out


def test_a_fold_is_validated_on_what_it_set_aside(capsys):
    end = [json.loads(line) for line in Path("runs/f/fold-2/metrics.jsonl").read_text().splitlines()][-1]
    code, out, _ = call(
        capsys,
        "eval",
        "small.net",
        "runs/f/fold-2/last.safetensors",
        "--on",
        "validation",
        "--format",
        "json",
    )
    assert code == 0 and json.loads(out)["loss"] == pytest.approx(end["validation"]["loss"], rel=1e-6)
    code, out, _ = call(capsys, "eval", "small.net", "runs/f", "--on", "validation")
    assert code == 0 and "on the fold that it set aside" in out
    both = ["eval", "small.net", "runs/f/fold-1", "runs/f/fold-2", "--on", "validation"]
    assert "the checkpoints had other folds for validation" in call(capsys, *both)[2]
    for other, text in (("data.folds=4", "data.folds = 3, not 4"), ("data.fold=1", "data.fold = 2, not 1")):
        code, _, err = call(
            capsys, "eval", "small.net", "runs/f/fold-2", "--on", "validation", "--set", other
        )
        assert code == 1 and text in err


def test_folds_answer_together(capsys):
    code, out, _ = call(capsys, "run", "runs/f", "two.npy", "--format", "json")
    members = [netdsl.restore(f"runs/f/fold-{k}/best.safetensors").run({"image": IMAGE}) for k in (1, 2, 3)]

    def softmax(x):
        e = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    wanted = np.mean([softmax(m["logits"]) for m in members], axis=0)
    assert code == 0 and np.allclose(json.loads(out)["outputs"]["logits"], wanted, atol=1e-5)
    same = netdsl.ensemble("runs/f").run({"image": IMAGE})["logits"]
    assert np.allclose(same, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "message", "fix"),
    [
        (["run", "runs/s", "two.npy"], "the best accuracy is", "netdsl run runs/s/run-"),
        (["eval", "small.net", "runs/s"], "a sweep of 2 trials", "netdsl eval small.net runs/s/run-"),
        (["eval", "small.net", "runs"], "there are runs in it: f, s", "such as runs/f"),
        (["run", "runs", "two.npy"], "there are runs in it: f, s", "such as runs/f"),
        (["average", "runs/f", "-o", "a.netdsl"], "their weights have no sensible mean", "netdsl run runs/f"),
        (
            ["eval", "small.net", "runs/f", "runs/f/fold-1"],
            "evaluated one by one",
            "name the folds themselves",
        ),
        (
            ["eval", "small.net", "runs/f", "--confusion"],
            "holds one for each fold",
            "name the folds themselves",
        ),
    ],
)
def test_what_is_no_model_says_what_to_type(capsys, words, message, fix):
    code, out, err = call(capsys, *words)
    text = " ".join(err.split())
    assert (code, out) == (1, "") and message in text and fix in text


def test_the_command_for_the_best_run_of_a_sweep_works(capsys):
    for words in (["eval", "small.net", "runs/s"], ["run", "runs/s", "two.npy"]):
        _, _, err = call(capsys, *words)
        typed = next(line for line in err.splitlines() if line.startswith("help: netdsl "))
        code, out, _ = call(capsys, *typed.removeprefix("help: netdsl ").split())
        assert code == 0 and out


def test_from_python_a_sweep_is_no_ensemble():
    with pytest.raises(NetError, match="there are runs in it: run-1, run-2"):
        netdsl.ensemble("runs/s")


def test_an_unfinished_or_older_cross_validation(capsys, tmp_path):
    import shutil

    shutil.copytree("runs/f", tmp_path / "f")
    kept = json.loads((tmp_path / "f/folds.json").read_text())
    kept["folds"].pop()
    (tmp_path / "f/folds.json").write_text(json.dumps(kept))
    assert call(capsys, "run", str(tmp_path / "f"), "two.npy")[1].startswith("mean of 2 models")
    (tmp_path / "f/folds.json").unlink()
    code, out, err = call(capsys, "run", str(tmp_path / "f"), "two.npy")
    assert out.startswith("mean of 3 models") and "has not come to its end" in err
    shutil.copy("runs/f/fold-1/best.safetensors", tmp_path / "f/best.safetensors")
    code, out, err = call(capsys, "run", str(tmp_path / "f"), "two.npy")
    assert code == 1 and "and the folds of a cross-validation" in err
