"""Confusion matrices and the worst mistakes, against what NumPy makes of the outputs."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import netdsl
from netdsl.cli.confusion import matrix_csv, matrix_lines, mistake_lines
from netdsl.data import load_split
from netdsl.train.examine import Judged
from tests.calls import call

TEXT = """net Small {{ input image: [8, 8, 1]; output logits = image -> flatten -> dense({outputs}) }}
data {{ train = digits.train; test = digits.test; validation = 0.1; subset = 300 }}
train {{ loss = {loss}; epochs = 1; batch = 32 }}
eval {{ batch = 50 }}
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def train(outputs=10, loss="cross_entropy(logits, label)", **settings):
        (tmp_path / "small.net").write_text(TEXT.format(outputs=outputs, loss=loss))
        words = [
            w for name, value in settings.items() for w in ("--set", f"{name.replace('_', '.')}={value}")
        ]
        assert call(capsys, "train", "small.net", "--out", "run", *words)[0] == 0
        return "run/best.safetensors"

    return train


def softmax(path):
    (scores,) = netdsl.restore(path).run({"image": load_split("digits", "test")["image"]}).values()
    e = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True), load_split("digits", "test")["label"]


def test_the_matrix_and_the_mistakes(run, capsys, tmp_path):
    path = run()
    p, true = softmax(path)
    wanted = np.zeros((10, 10), int)
    for t, row in zip(true, p, strict=True):
        wanted[t, row.argmax()] += 1
    code, out, _ = call(capsys, "eval", "small.net", path, "--confusion", "--errors", "25")
    assert code == 0
    with Path("run/confusion.csv").open() as file:
        head, *rows = csv.reader(file)
    assert head == ["true", *map(str, range(10))]
    assert [[int(n) for n in row[1:]] for row in rows] == wanted.tolist()
    wrong = [
        int(k) for k in np.argsort(p[np.arange(len(p)), true], kind="stable") if p[k].argmax() != true[k]
    ]
    assert f"{len(wrong)} mistakes in {len(p)} samples" in out
    k = wrong[0]
    said = p[k].argmax()
    assert f"sample {k}: {said} ({100 * p[k, said]:.0f} %), is {true[k]} ({100 * p[k, true[k]]:.0f} %)" in out
    assert f" {100 * wanted[3, 3] / wanted[3].sum():.1f} %" in out.split("\n 3 ")[1].split("\n")[0]
    image = np.asarray(Image.open(tmp_path / "run" / "errors.png").convert("L")).astype(int)
    sample = load_split("digits", "test")["image"][k].reshape(8, 8) / 16
    first = image[8 : 8 + 120, 8 : 8 + 120].reshape(8, 15, 8, 15).mean(axis=(1, 3)) / 255
    assert np.abs(first - sample).max() < 0.01
    words = "--confusion", "--errors", "3", "--format", "json", "--out", "x"
    code, out, _ = call(capsys, "eval", "small.net", path, *words)
    found = json.loads(out)
    assert code == 0
    assert found["confusion"]["logits"]["matrix"] == wanted.tolist()
    assert [m["sample"] for m in found["errors"]["logits"]] == wrong[:3]
    assert found["errors"]["logits"][0]["probability_of_true"] == pytest.approx(p[k, true[k]])
    assert sorted(f.name for f in (tmp_path / "x").iterdir()) == ["confusion.csv", "errors.png"]


def test_rows_of_shares_and_ensembles(run, capsys):
    path = run(loss="mse(softmax(logits), one_hot(label, 10)) + 0 * cross_entropy(logits, label)")
    code, out, _ = call(capsys, "eval", "small.net", path, path, "--confusion")
    p, true = softmax(path)
    assert code == 0 and "mean of 2 models" in out
    with Path("run/confusion.csv").open() as file:
        matrix = [[int(n) for n in row[1:]] for row in list(csv.reader(file))[1:]]
    assert np.trace(matrix) == (p.argmax(axis=1) == true).sum()


def test_what_is_about_no_classes_is_told(run, capsys):
    path = run(outputs=1, loss="mse(logits, label)")
    code, _, err = call(capsys, "eval", "small.net", path, "--confusion")
    assert code == 1 and "no output of the network is about classes" in err
    assert call(capsys, "eval", "small.net", path, "--out", "x")[0] == 2


def test_mistakes_in_files_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for kind in ("one", "other"):  # alike, so that half of the answers are wrong
        (tmp_path / "pics" / kind).mkdir(parents=True)
        for k in range(4):
            Image.fromarray(np.full((4, 4), 99, np.uint8)).save(tmp_path / "pics" / kind / f"{k}.png")
    (tmp_path / "p.net").write_text("""
net P {
  input image: [4, 4, 1]
  output logits = image -> flatten -> dense(2)
}
data { train = folder("pics"); validation = 0.5; preprocess = [resize(4)] }
train { loss = cross_entropy(logits, label); epochs = 1; batch = 4 }
""")
    assert call(capsys, "train", "p.net", "--out", "r")[0] == 0
    words = ["eval", "p.net", "r", "--errors", "9", "--on", "validation"]
    code, out, _ = call(capsys, *words, "--format", "json")
    found = json.loads(out)["errors"]["logits"]
    assert code == 0 and found
    for mistake in found:
        file = Path(mistake["name"])
        assert file.is_file() and file.parent.name == mistake["true"]
    code, out, _ = call(capsys, *words)
    assert code == 0 and f"  {found[0]['name']}: " in out


def judged(true, probabilities, ignored=None, classes=("cat", "dog")):
    true = np.asarray(true)
    return Judged("y", classes, true, np.asarray(probabilities, float), ignored, np.arange(len(true)))


def test_ignored_labels_count_nowhere():
    one = judged([0, 1, 255, 1], [[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.7, 0.3]], ignored=255)
    assert one.confusion.tolist() == [[1, 0], [2, 0]] and one.mistakes() == [1, 3]
    assert matrix_csv(one) == "true,cat,dog\ncat,1,0\ndog,2,0\n"


def test_cells_of_a_map():
    one = judged([[0, 1], [1, 1]], [[[1, 0], [1, 0]], [[0, 1], [0, 1]]])
    assert one.confusion.tolist() == [[1, 0], [1, 2]]
    assert "is a map of classes" in mistake_lines(one, 3, 80)[0]


@pytest.mark.parametrize("width", [40, 80])
def test_a_matrix_that_is_too_wide_tells_what_is_confused_most(width):
    names = tuple(f"a class with a long name {k}" for k in range(30))
    true, p = np.arange(30).repeat(3), np.eye(30)[np.arange(30).repeat(3)]
    p[3:5] = np.eye(30)[7]
    lines = matrix_lines(judged(true, p, classes=names), width)
    assert max(map(len, lines)) <= width and "what is confused most often" in " ".join(
        " ".join(lines).split()
    )
    assert lines[2].split()[-1] == "2"
    assert mistake_lines(judged([0], [[1.0, 0.0]]), 3, width) == ["y: no mistake"]
