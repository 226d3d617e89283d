"""Cross-validation: the folds are those of the trainings, resumed ones too, and the table says mean and spread."""

import json
import math
import statistics

import pytest

import netdsl
from netdsl.cli.main import main
from netdsl.data import DataPlan, load_split
from netdsl.source import NetError
from netdsl.train import Callback, Trainer

TEXT = """net Small { input image: [8, 8, 1]; output logits = image -> flatten -> dense(10) }
data { train = digits.train; test = digits.test; folds = 3; subset = 300 }
train { loss = cross_entropy(logits, label); metrics = [accuracy(logits, label)]; epochs = 2 }
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.net").write_text(TEXT)
    return "small.net"


def train(*words):
    with pytest.raises(SystemExit) as ended:
        main(["train", *words])
    return ended.value.code


def events(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_each_fold_has_its_run_and_the_table_their_mean(file, tmp_path, capsys):
    assert train(file) == 0
    out, folder = capsys.readouterr().out, tmp_path / "runs" / "small-1"
    assert all(f"fold {k}/3" in out for k in (1, 2, 3)) and "spread" in out
    found = json.loads((folder / "folds.json").read_text())
    for k, fold in enumerate(found["folds"], 1):
        end = events(folder / f"fold-{k}")[-1]
        assert fold == {"fold": k, "epochs": 2, "validation": end["validation"], "test": end["test"]}
        assert (folder / f"fold-{k}" / "best.safetensors").exists()
    for part in ("validation", "test"):
        for name in ("loss", "accuracy"):
            values = [fold[part][name] for fold in found["folds"]]
            assert found["mean"][part][name] == pytest.approx(sum(values) / 3)
            wanted = math.sqrt(sum((v - sum(values) / 3) ** 2 for v in values) / 2)
            assert found["spread"][part][name] == pytest.approx(wanted)
    assert len({fold["validation"]["loss"] for fold in found["folds"]}) == 3
    mean = statistics.fmean(fold["validation"]["accuracy"] for fold in found["folds"])
    assert f"{100 * mean:.2f} %" in out


def test_one_fold_is_what_the_cross_validation_trains(file, tmp_path):
    assert train(file, "--out", "all") == train(file, "--set", "data.fold=2", "--out", "one") == 0
    both = [(tmp_path / name / "last.safetensors").read_bytes() for name in ("all/fold-2", "one")]
    assert both[0] == both[1]


class Stop(Callback):
    def on_batch_end(self, loop, values):
        if loop.progress.step == 9:
            loop.stop()


def test_resumed_it_ends_with_the_same_bits(file, tmp_path):
    network = netdsl.load(file)
    whole = netdsl.cross_validate(network, tmp_path / "whole")
    made = iter([[], [Stop()]])
    part = netdsl.cross_validate(network, tmp_path / "part", callbacks=lambda: next(made))
    assert part.results[-1].interrupted and len(part.results) == 2
    assert not (tmp_path / "part" / "folds.json").exists()
    again = netdsl.cross_validate(network, tmp_path / "part", resume=True)
    assert again.to_json() == whole.to_json()
    for name in (
        "fold-1/last.safetensors",
        "fold-2/best.safetensors",
        "fold-3/last.safetensors",
        "folds.json",
    ):
        assert (tmp_path / "part" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert train(file, "--out", str(tmp_path / "part"), "--resume") == 0


def test_from_python_with_a_plan():
    network = netdsl.load("examples/digits.net", settings={"train.epochs": 1, "train.batch": 64})
    data = DataPlan({"train": load_split("digits", "train"), "folds": 2, "subset": 256})
    found = netdsl.cross_validate(network, data=data)
    assert found.values("test") is None and found.mean("test") is None
    a, b = (result.validation["loss"] for result in found.results)
    assert found.mean()["loss"] == (a + b) / 2 and found.spread()["loss"] == pytest.approx(
        abs(a - b) / math.sqrt(2)
    )


def test_a_training_needs_one_of_the_folds(file, capsys):
    with pytest.raises(NetError, match="the data is in 3 folds, and a training takes one"):
        Trainer(netdsl.load(file))
    with pytest.raises(NetError, match="needs data in several folds"):
        netdsl.cross_validate(netdsl.load(file, settings={"data.fold": 1}))
    assert train(file, "--set", "data.fold=2", "--set", "train.epochs=1", "--out", "one") == 0
    words = ["eval", file, "one/last.safetensors", "--on", "validation"]
    capsys.readouterr()
    for more, text in (
        (["--set", "data.fold=2"], "validation: loss"),
        ([], "validation: loss"),  # the checkpoint knows its fold
        (["--set", "data.fold=1"], "data.fold = 2, not 1"),
    ):
        with pytest.raises(SystemExit):
            main([*words, *more])
        said = capsys.readouterr()
        assert text in said.out + said.err
