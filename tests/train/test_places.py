"""A folder is of one thing: a training, a cross-validation or a sweep; what is in the way is told by its name."""

from pathlib import Path

import pytest

from netdsl.cli.main import main
from netdsl.source import NetError
from netdsl.train import Trainer

from .nets import network, plan

TEXT = """net Small(width = 4) {
  input image: [8, 8, 1]
  output logits = image -> flatten -> dense(width) -> relu -> dense(10)
}
data { train = digits.train; subset = 100; validation = 0.2 }
train { loss = cross_entropy(logits, label); epochs = 1; batch = 16 }
"""
FOLDS = ["--set", "data.validation=none", "--set", "data.folds=2"]
KINDS = {
    "a training": (["train", "small.net"], "last.safetensors"),
    "a cross-validation": (["train", "small.net", *FOLDS], "fold-1/last.safetensors"),
    "a sweep": (["sweep", "small.net", "--set", "width=4,8", "--jobs", "1"], "sweep.json"),
}


def fails(capsys, *words):
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([*words])
    assert ended.value.code
    return capsys.readouterr().err


@pytest.mark.parametrize(("there", "new"), [(a, b) for a in KINDS for b in KINDS if a != b])
def test_a_folder_of_something_else_is_left_alone(capsys, tmp_path, monkeypatch, there, new):
    monkeypatch.chdir(tmp_path)
    Path("small.net").write_text(TEXT)
    mark = Path("out", KINDS[there][1])
    mark.parent.mkdir(parents=True)
    mark.write_text("old")
    error = fails(capsys, *KINDS[new][0], "--out", "out")
    assert f"out is the folder of {there}: {new} has one of its own" in error
    assert "name another folder by --out DIR" in error
    assert [p for p in Path("out").rglob("*") if p.is_file()] == [mark] and mark.read_text() == "old"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("out", "reason"),
    [("small.net", "small.net is a file, not"), ("small.net/a/b", "small.net is a file, not a folder")],
)
def test_a_file_is_no_folder(capsys, tmp_path, monkeypatch, kind, out, reason):
    monkeypatch.chdir(tmp_path)
    Path("small.net").write_text(TEXT)
    assert reason in fails(capsys, *KINDS[kind][0], "--out", out)


@pytest.mark.parametrize(
    "words",
    [
        ["train", "a.net", "--out", ""],
        ["train", "a.net", "--start", ""],
        ["sweep", "a.net", "--set", "a=1,2", "--out", ""],
        ["run", "", "x.npy"],
        ["eval", "a.net", ""],
        ["check", ""],
        ["data", "get", "digits", "--folder", ""],
    ],
    ids=" ".join,
)
def test_an_empty_word_is_not_this_folder(capsys, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    assert "the name is empty" in fails(capsys, *words)
    assert not list(tmp_path.iterdir())


def test_no_name_from_python():
    with pytest.raises(NetError, match="the name of the folder is empty"):
        Trainer(network(), "", plan())


@pytest.mark.parametrize(
    "name", ["last.safetensors", "best.safetensors", "metrics.jsonl", "snapshot-2.safetensors"]
)
def test_a_folder_in_the_place_of_a_file_is_named_and_stays(tmp_path, name):
    (tmp_path / name / "mine").mkdir(parents=True)
    (tmp_path / "snapshot-1.safetensors").write_text("old")
    if name not in ("last.safetensors", "metrics.jsonl"):
        (tmp_path / "last.safetensors").write_text("old")
    with pytest.raises(NetError, match=rf"cannot write into .*/{name} is a folder"):
        Trainer(network(), tmp_path, plan()).fit()
    assert (tmp_path / name / "mine").is_dir() and (tmp_path / "snapshot-1.safetensors").read_text() == "old"
