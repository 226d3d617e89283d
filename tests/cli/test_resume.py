"""`netdsl train --resume` and `--start` where they do not fit: what is said of it."""

from pathlib import Path

import pytest

from netdsl.cli.main import main
from tests.calls import call

TEXT = """net Small { input image: [8, 8, 1]; output logits = image -> flatten -> dense(8) -> relu -> dense(10) }
data { train = digits.train; subset = 100; validation = 0.2 }
train { loss = cross_entropy(logits, label); epochs = 2; batch = 16; start = "w.safetensors" }
"""
FOLDS = ["--set", "data.validation=none", "--set", "data.folds=2"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("small.net").write_text(TEXT.replace('; start = "w.safetensors"', ""))
        Path("tanh.net").write_text(Path("small.net").read_text().replace("relu", "tanh"))
        Path("wide.net").write_text(
            Path("small.net").read_text().replace("dense(8)", "dense(9)").replace("batch = 16", "batch = 8")
        )
        Path("loss.net").write_text(
            Path("small.net").read_text().replace("label)", "label, label_smoothing = 0.1)")
        )
        Path("other.net").write_text(
            Path("tanh.net").read_text().replace("net Small", "net Other").replace("batch = 16", "batch = 8")
        )
        Path("start.net").write_text(TEXT)
        for words in (["--out", "run"], ["--out", "folds", *FOLDS]):
            with pytest.raises(SystemExit) as ended:
                main(["train", "small.net", *words])
            assert ended.value.code == 0
    return folder


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tanh.net", "--out", "run"], "is of another Small: it has relu1 (relu) and lacks tanh1 (tanh)"),
        (["other.net", "--out", "run"], "is of another network, Small: it has relu1 (relu)"),
        (["wide.net", "--out", "run"], "dense1 (dense{units=8}), which here is dense{units=9}"),
        (["loss.net", "--out", "run"], "was trained with another loss"),
        (["small.net", "--out", "run", "--set", "train.batch=8"], "was trained with batch = 16, not 8"),
        (
            ["small.net", "--out", "run", "--set", "train.epochs=1"],
            "has 2 epochs behind it, and there are to be 1",
        ),
        (
            ["small.net", "--out", "run", "--set", "data.subset=90"],
            "was trained with data.subset = 100, not 90",
        ),
        (["small.net", "--out", "run", *FOLDS], "run holds a run without folds"),
        (
            ["small.net", "--out", "folds"],
            "folds holds the folds of a cross-validation, and the data has no folds",
        ),
        (["small.net", "--out", "nothing", *FOLDS], "there is no cross-validation in nothing"),
        (["small.net", "--out", "folds", *FOLDS[:2], "--set", "data.folds=3"], "with data.folds = 2, not 3"),
    ],
)
def test_what_is_not_gone_on_with(capsys, trained, monkeypatch, words, message):
    monkeypatch.chdir(trained)
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    code, _, err = call(capsys, "train", *words, "--resume")
    assert code == 1 and message in " ".join(err.split()), err
    assert {
        path: path.read_bytes() for path in Path().rglob("*") if path.is_file() and path.name != ".lock"
    } == {path: data for path, data in before.items() if path.name != ".lock"}


def test_folds_that_are_done_stay(capsys, trained, monkeypatch):
    monkeypatch.chdir(trained)
    before = Path("folds/folds.json").read_bytes()
    assert call(capsys, "train", "small.net", "--out", "folds", *FOLDS, "--resume")[0] == 0
    assert Path("folds/folds.json").read_bytes() == before


@pytest.mark.parametrize("more", [[], FOLDS])
def test_errors_of_start_point_at_the_command_line(capsys, trained, monkeypatch, more):
    monkeypatch.chdir(trained)
    code, _, err = call(capsys, "train", "start.net", "--no-save", "--start", "no.safetensors", *more)
    assert code == 1 and "--> the command line:1:9" in err and "start.net" not in err
    assert (
        "start.net:3" in call(capsys, "train", "start.net", "--no-save", *more)[2]
    )  # that of the file points there
