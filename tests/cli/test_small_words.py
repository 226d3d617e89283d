"""What commands say of single things, of folders and links, and of standard input."""

import io
import sys

import pytest

from netdsl.cli.progress import start_text
from netdsl.source import counted
from netdsl.train.checkpoint import Progress
from tests.calls import call

NET = "net N { input x: [4]\n output y = x -> dense(3) }\n"


@pytest.mark.parametrize(
    ("number", "what", "text"),
    [
        (0, "epoch", "0 epochs"),
        (1, "epoch", "1 epoch"),
        (2, "epoch", "2 epochs"),
        (1, "class", "1 class"),
        (3, "class", "3 classes"),
        (2, "batch", "2 batches"),
        (1797, "sample", "1,797 samples"),
    ],
)
def test_counts(number, what, text):
    assert counted(number, what) == text


def test_single_things_are_told_in_the_singular(tmp_path, capsys):
    one, block = tmp_path / "one.net", tmp_path / "block.net"
    one.write_text(NET + "expect { params == 15 }\n")
    block.write_text("block B { relu }\n")
    assert ", 1 claim holds" in call(capsys, "check", one)[1]
    assert "1 block and no net" in call(capsys, "check", block)[1]
    assert start_text(1, 1, Progress(), "") == "training for 1 epoch of 1 batch"


def test_epochs_that_are_done_are_counted():
    assert start_text(3, 9, Progress(epoch=4, step=36), " in r") == "4 epochs are done already in r"
    assert start_text(1, 9, Progress(epoch=1, step=9), "") == "1 epoch is done already"


def test_the_folder_of_a_run_is_no_checkpoint_but_holds_one(tmp_path, capsys):
    net, run = tmp_path / "x.net", tmp_path / "run"
    net.write_text(NET)
    run.mkdir()
    for name in ("last.safetensors", "best.safetensors"):
        (run / name).touch()
        code, _, err = call(capsys, "compile", net, "-o", tmp_path / "x.netdsl", "--weights", run)
        assert code == 1 and "is a folder" in err and f"did you mean {run / name}?" in err
        for words in (("eval", net, run), ("run", run, tmp_path / "x.npy")):
            code, _, err = call(capsys, *words)
            assert code == 1 and f"{run / name} is empty" in err


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_to_nowhere(tmp_path, capsys):
    link = tmp_path / "x.net"
    link.symlink_to("gone.net")
    code, _, err = call(capsys, "check", link)
    assert code == 1 and "is a link that points to nothing" in err and "did you mean" not in err


@pytest.mark.parametrize("command", ["check", "shapes", "fmt", "params"])
def test_standard_input(command, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(NET.encode())))
    code, out, err = call(capsys, command, "-")
    assert (code, err) == (0, "") and ("dense" in out or "well-formed" in out)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"net {")))
    code, _, err = call(capsys, command, "-")
    assert code == 1 and "<stdin>:1" in err


@pytest.mark.parametrize("ending", [".netdsl", ".onnx"])
def test_a_missing_folder_is_told_before_anything_is_compiled(ending, tmp_path, capsys, monkeypatch):
    net = tmp_path / "x.net"
    net.write_text(NET)
    monkeypatch.setattr("netdsl.cli.compile.load_network", lambda *_: pytest.fail("it compiles"))
    code, out, err = call(capsys, "compile", net, "-o", tmp_path / "no" / f"x{ending}")
    assert code == 2 and not out and f"there is no folder {tmp_path / 'no'}" in err
