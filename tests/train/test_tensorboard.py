"""Event files are what TensorBoard reads; where its library is missing, that is told."""

import importlib.util
import sys

import pytest

import netdsl
from netdsl.cli.main import main
from netdsl.train import Callback, Trainer

TEXT = """net Small { input image: [8, 8, 1]; output logits = image -> flatten -> dense(10) }
data { train = digits.train; test = digits.test; validation = 0.1; subset = 200 }
train { loss = cross_entropy(logits, label); metrics = [accuracy(logits, label)]; epochs = 3 }
"""
INSTALLED = importlib.util.find_spec("tensorboard") is not None
needed = pytest.mark.skipif(not INSTALLED, reason="TensorBoard is not installed")


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.net").write_text(TEXT)
    return "small.net"


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


class Stop(Callback):
    def on_epoch_begin(self, loop):
        if loop.progress.epoch == 2:
            loop.stop()


@needed
def test_scalars_of_every_epoch_also_after_a_resume(file, tmp_path):
    from netdsl.train.tensorboard import TensorBoard

    network = netdsl.load(file, batch=32)
    out = tmp_path / "run"
    Trainer(network, out, callbacks=[TensorBoard(out), Stop()]).fit()
    result = Trainer(network, out, callbacks=[TensorBoard(out)]).fit(resume=True)
    found = scalars(out / "tensorboard")
    for part in ("train", "validation"):
        for name in ("loss", "accuracy"):
            wanted = [(e.epoch, getattr(e, part)[name]) for e in result.history]
            assert found[f"{name}/{part}"] == [(k, pytest.approx(v, rel=1e-6)) for k, v in wanted]
    assert found["loss/test"] == [(3, pytest.approx(result.test["loss"], rel=1e-6))]
    assert [step for step, _ in found["lr"]] == [1, 2, 3]


@needed
def test_from_the_command_line(file, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["train", file, "--out", "run", "--tensorboard"])
    assert not ended.value.code and len(scalars(tmp_path / "run" / "tensorboard")["loss/train"]) == 3


def test_without_the_library_nothing_begins(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    with pytest.raises(SystemExit) as ended:
        main(["train", file, "--out", "run", "--tensorboard"])
    err = capsys.readouterr().err
    assert ended.value.code == 1 and "--tensorboard needs tensorboard, which is not installed" in err
    assert "pip install" in err and not (tmp_path / "run").exists()


def test_a_run_that_keeps_nothing_has_no_place_for_it(file, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", file, "--no-save", "--tensorboard"])
    assert ended.value.code == 2 and "--no-save: not allowed with --tensorboard" in capsys.readouterr().err
