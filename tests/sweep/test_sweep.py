"""A sweep from its command line: table, chart, failures, and how it ends and goes on."""

import csv
import json
import re
import statistics
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from netdsl.source import NetError
from netdsl.sweep.jobs import Jobs
from netdsl.sweep.manifest import load_manifest
from tests.calls import call
from tests.terminal.room import CTRL_C, Terminal

NET = """net Small(hidden = 4) {
  input image: [8, 8, 1]
  output logits = image -> flatten -> dense(hidden) -> relu -> dense(10)
}
data { train = digits.train; test = digits.test; subset = 100; validation = 0.2 }
train { loss = cross_entropy(logits, label); metrics = [accuracy(logits, label)]; epochs = 1; batch = 16 }
"""


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("small.net").write_text(NET)
    return "small.net"


def table(folder):
    return list(csv.DictReader((Path(folder) / "table.csv").open()))


def test_failures_are_told_and_the_rest_goes_on_with_any_number_of_jobs(capsys):
    words = ["--set", "train.optimizer=sgd(lr = 1e25),adam(lr = 0.01)", "--folds", "2"]
    code, out, _ = call(capsys, "sweep", "small.net", *words, "--jobs", "1", "--out", "one")
    assert code == 0 and out.startswith(
        "2 folds take the place of data.validation\n2 trials, 1 at a time, in one\n[1/2]"
    )
    assert re.search(r"^ 2 \*    adam", out, re.M) and "trial 2 is the best" in out
    assert re.search(r"^trial 1: .*not finite", out, re.M)
    failed, good = table("one")
    assert "not finite" in failed["failure"] and good["trainings"] == "2"
    folds = json.loads(Path("one/run-2/folds.json").read_text())
    found = [f["validation"]["accuracy"] for f in folds["folds"]]
    assert float(good["validation accuracy"]) == pytest.approx(statistics.fmean(found))
    assert float(good["validation accuracy spread"]) == pytest.approx(statistics.stdev(found))
    best = next(line for line in out.splitlines() if "the best; to train it: " in line)
    assert best.endswith("netdsl train small.net --set 'train.optimizer=adam(lr = 0.01)'")
    ET.fromstring(Path("one/chart.svg").read_text())
    # What is done is not repeated, and the table is the same; two at a time too.
    before = Path("one/run-2/fold-1/last.safetensors").stat().st_mtime_ns
    code, again, _ = call(capsys, "sweep", "small.net", *words, "--jobs", "2", "--out", "one", "--resume")
    assert code == 0 and "2 trials, 1 done, 1 at a time" in again
    assert Path("one/run-2/fold-1/last.safetensors").stat().st_mtime_ns == before
    assert again[again.index(" trial ") :] == out[out.index(" trial ") :]
    call(capsys, "sweep", "small.net", *words, "--jobs", "2", "--out", "two")
    assert Path("two/table.csv").read_bytes() == Path("one/table.csv").read_bytes()


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--set", "hidden=16"], 2, "there is nothing to choose from"),
        (["--set", "hidden=8..30"], 2, "8..16 would"),
        (["--set", "hiden=1,2"], 1, "there is no setting hiden"),
        (["--set", "hidden=16,-1"], 1, "-1"),
        (["--set", "train.batch=16,ten"], 1, "ten"),
        (
            ["--set", "hidden=1,2", "--set", "data.validation=none"],
            1,
            "compares values of the validation set",
        ),
        (["--set", "train.seed=1,2", "--seeds", "2"], 2, "--seeds: not allowed with --set train.seed"),
        (["--set", "hidden=1,2", "--folds", "1"], 2, "--folds"),
        (["--set", "hidden=1,2", "--random", "3"], 2, "2 combinations can be drawn, not 3"),
        (["--set", "hidden=1,2", "--resume"], 1, "there is no run of small-sweep"),
    ],
)
def test_all_values_are_checked_before_the_first_training(capsys, words, status, message):
    code, out, err = call(capsys, "sweep", "small.net", *words)
    assert (code, out) == (status, "") and message in err
    assert [p.name for p in Path().iterdir()] == ["small.net"]


@pytest.mark.slow
def test_a_combination_that_does_not_fit_keeps_no_other(capsys, tmp_path):
    """Each value fits somewhere; one combination does not."""
    text = NET.replace("hidden = 4)", "hidden = 4, deep = 1)")
    Path("small.net").write_text(text.replace("  output", "  assert hidden * deep < 9\n  output"))
    code, out, _ = call(capsys, "sweep", "small.net", "--set", "hidden=3,6", "--set", "deep=1,2")
    assert (
        code == 0 and "trial 4: this does not hold: hidden * deep < 9" in out and out.count(": done\n") == 3
    )


def test_ctrl_c_ends_a_sweep_cleanly_and_it_goes_on(tmp_path):
    words = [
        "sweep",
        "small.net",
        "--set",
        "hidden=4,8",
        "--set",
        "train.epochs=4000",
        "--jobs",
        "1",
        "--out",
        "s",
    ]
    with Terminal(words, 80, folder=tmp_path) as terminal:
        terminal.until(r"at work: 1")
        log = tmp_path / "s/run-1/metrics.jsonl"
        while not (log.exists() and '"epoch": 3' in log.read_text()):
            assert terminal.process.poll() is None
        terminal.press(CTRL_C)
        assert terminal.wait() == 130
    assert (
        "interrupted; 0 of 2 trainings done; to go on:" in terminal.text and "Traceback" not in terminal.text
    )
    typed = "netdsl sweep small.net --set hidden=4,8 --set train.epochs=4000 --jobs 1 --out s --resume"
    assert typed in " ".join(terminal.text.split())
    assert not (tmp_path / "s/run-2").exists() and not (tmp_path / "s/table.csv").exists()
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events[-1] == "interrupted"
    words[5] = f"train.epochs={events.count('epoch') + 1}"
    with Terminal([*words, "--resume"], 80, folder=tmp_path) as terminal:
        assert terminal.wait() == 1  # the settings of all are not those that it began with
    assert "the sweep began with train.epochs = 4000" in terminal.text


def test_a_manifest_leads_nowhere_else(tmp_path):
    runs = [{"folder": "../x", "settings": {}}]
    text = json.dumps({"digest": "", "net": None, "fixed": {}, "criterion": "loss", "sign": -1, "runs": runs})
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(NetError, match="which is no folder beside it"):
        load_manifest(tmp_path)
    (tmp_path / "sweep.json").write_text("[" * 100_000)
    with pytest.raises(NetError, match="is no manifest"):
        load_manifest(tmp_path)


def test_a_killed_training_is_told(tmp_path):
    jobs = Jobs([["train", "small.net", "--set", "train.epochs=100000", "--no-save"]], 1)
    for told in jobs.run():
        if told.line.startswith("epoch 1/"):
            next(iter(jobs._at_work)).kill()
    assert told.failure == "ended by SIGKILL" and not told.stopped


def test_one_trial_with_several_seeds(capsys):
    code, out, _ = call(capsys, "sweep", "small.net", "--set", "hidden=8", "--seeds", "2", "--out", "s")
    assert code == 0 and "1 trial, 2 trainings" in out and "± " in out and not Path("s/chart.svg").exists()


def test_the_best_trial_is_trained_on_the_device_of_the_sweep(capsys):
    words = ["--set", "train.epochs=1", "--set", "train.batch=8,16", "--jobs", "1", "--device", "reference"]
    _, out, _ = call(capsys, "sweep", "small.net", *words, "--out", "one")
    (best,) = (line for line in out.splitlines() if "to train it: netdsl train small.net" in line)
    assert best.endswith("--device reference")
