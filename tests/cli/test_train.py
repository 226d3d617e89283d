"""Where `netdsl train` puts what it learns, what it says of it, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from netdsl.train import Trainer
from tests.calls import call

DIGITS = Path(__file__).parents[2] / "examples" / "digits.net"
SMALL = ("--set", "train.epochs=1", "--set", "width=4")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_gets_a_folder_of_its_own_and_its_commands_work(capsys, folder):
    for number in (1, 2):
        code, out, _ = call(capsys, "train", DIGITS, *SMALL)
        first, *_, saved, evaluate, use = out.splitlines()
        run = f"runs/digits-{number}"
        assert code == 0 and first == f"training for 1 epoch of 40 batches into {run}"
        assert saved == f"saved in {run}: best.safetensors, last.safetensors, metrics.jsonl"
        assert sorted(p.name for p in Path(run).iterdir()) == saved.split(": ")[1].split(", ")
    command = evaluate.removeprefix("to evaluate it: netdsl ").split()
    assert call(capsys, *command)[0] == 0
    assert use == f"to use it: netdsl run {run}/best.safetensors INPUT"


def test_resume_takes_the_newest_run_of_the_file(capsys, folder):
    other = folder / "digits-2.net"
    other.write_text(DIGITS.read_text())
    for file in (DIGITS, DIGITS, other):
        call(capsys, "train", file, *SMALL)
    assert sorted(p.name for p in Path("runs").iterdir()) == ["digits-1", "digits-2", "digits-2-1"]
    (folder / "runs" / "digits-3").mkdir()
    code, out, _ = call(capsys, "train", DIGITS, *SMALL, "--set", "train.epochs=2", "--resume")
    assert code == 0 and out.startswith("going on in runs/digits-2 from epoch 2/2\nepoch 2/2")
    code, _, err = call(capsys, "train", DIGITS, "--resume", "--net", "Digits")
    assert code == 1 and "there is no run of Digits in runs to go on with" in err


def test_nothing_is_kept_if_asked_for(capsys, folder):
    code, out, _ = call(capsys, "train", DIGITS, *SMALL, "--no-save")
    assert code == 0 and "; nothing is kept (--no-save)\n" in out and "saved" not in out
    assert list(folder.iterdir()) == []
    for words in (("--out", "x"), ("--resume",)):
        code, _, err = call(capsys, "train", DIGITS, "--no-save", *words)
        assert code == 2 and f"argument --no-save: not allowed with {words[0]}" in err


@pytest.mark.parametrize(
    "setting", ["data.train=mnist.test", "train.loss=banana", "width=-1", "data.train=npz('none.npz')"]
)
def test_a_training_that_cannot_start_leaves_no_folder(capsys, folder, setting):
    assert call(capsys, "train", DIGITS, "--set", setting)[0] == 1
    assert list(folder.iterdir()) == []


def test_runs_that_cannot_be_made_are_a_message(capsys, folder):
    (folder / "runs").write_text("")
    code, _, err = call(capsys, "train", DIGITS, *SMALL)
    assert code == 1 and "cannot make a folder for the run in runs: " in err


@pytest.mark.parametrize("command", ["train", "eval", "run", "compile"])
def test_a_device_that_is_not_there_is_answered_in_words(monkeypatch, capsys, folder, command):
    monkeypatch.setenv("NETDSL_CUDA", "imagined")
    more = ["x"] if command in ("eval", "run") else []
    code, _, err = call(capsys, command, DIGITS, *more, "--device", "cuda")
    assert code == 1 and "NETDSL_CUDA is 'imagined'" in err
    code, _, err = call(capsys, command, DIGITS, *more, "--device", "tpu")
    assert code == 2 and "no device is called tpu; did you mean cpu?" in err
    code, _, err = call(capsys, command, DIGITS, *more, "--device", "cuda:x")
    assert code == 2 and "'x' in cuda:x is no number of a device" in err
    code, _, err = call(capsys, command, DIGITS, *more, "--device", "cpu:1")
    assert code == 1 and "there is one device cpu, which has no number" in err


def test_an_end_behind_the_last_epoch_names_no_epoch_more(monkeypatch, capsys, folder):
    """As when the test set is read."""
    fit = Trainer.fit
    monkeypatch.setattr(Trainer, "fit", lambda self, resume: replace(fit(self, resume), interrupted=True))
    code, _, err = call(capsys, "train", DIGITS, *SMALL)
    assert code == 130 and "interrupted after the last epoch\nsaved in " in err


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_signals_end_a_training_with_a_checkpoint(folder, number, status):
    command = [
        sys.executable,
        "-m",
        "netdsl",
        "train",
        DIGITS,
        "--set",
        "train.epochs=1000",
        "--set",
        "width=4",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "into runs/digits-1" in process.stdout.readline() and "epoch 1/1000" in process.stdout.readline()
    evaluate = [*command[:3], "eval", DIGITS, "runs/digits-1/last.safetensors", "--set", "width=4"]
    if number == signal.SIGTERM:  # reading from a run that goes on is free
        assert subprocess.run(evaluate, capture_output=True, text=True).stdout.startswith("test: loss ")
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == status
    assert "saved in runs/digits-1; to go on:\nnetdsl train " in err and "--out runs/digits-1 --resume" in err
    log = (folder / "runs" / "digits-1" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(log[-1])["event"] == "interrupted"
    assert not (folder / "runs" / "digits-1" / ".lock").exists()


def test_the_commands_to_type_keep_the_device(capsys, folder):
    """Else a training on a GPU would go on, unnoticed, on the processor."""
    few = (
        "--set",
        "data.subset=64",
        "--set",
        "train.batch=8",
        "--device",
        "reference",
        "--precision",
        "bf16",
    )
    _, out, _ = call(capsys, "train", DIGITS, *SMALL, *few)
    evaluate, use = (line.split(": ", 1)[1].split() for line in out.splitlines()[-2:])
    computing = ["--device", "reference", "--precision", "bf16"]
    assert evaluate[-4:] == use[-4:] == computing and "train.precision=bf16" not in evaluate
    start = json.loads((folder / "runs" / "digits-1" / "metrics.jsonl").read_text().splitlines()[0])
    assert (start["device"], start["precision"]) == ("reference", "bf16")
    assert call(capsys, *evaluate[1:])[0] == 0
    picture = str(DIGITS.parent / "digit.png")
    assert call(capsys, *(picture if word == "INPUT" else word for word in use[1:]))[0] == 0


def test_the_command_to_go_on_keeps_what_was_asked(monkeypatch, capsys, folder):
    fit = Trainer.fit
    monkeypatch.setattr(Trainer, "fit", lambda self, resume: replace(fit(self, resume), interrupted=True))
    _, _, err = call(capsys, "train", DIGITS, *SMALL, "--threads", "1", "--watch", "gradients,weights")
    command = err.splitlines()[-1].split()
    assert "--resume" in command and command[-2:] == ["--threads", "1"]
    assert command[command.index("--watch") + 1] == "gradients,weights"
