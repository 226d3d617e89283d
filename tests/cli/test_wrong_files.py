"""Every command against every kind of wrong file: a message names the file, what it is and what belongs there."""

import os
import pickle
import re
import signal
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from netdsl.cli.main import main

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")

NET = """net N {
  input x: [4]
  output y = x -> dense(3)
}
train { loss = cross_entropy(y, label) }
data { train = npz("d.npz") }
"""
#: commands with FILE where the wrong one stands, and what belongs there
COMMANDS = {
    **{
        name: (f"{name} FILE", "a .net file")
        for name in ("check", "shapes", "params", "report", "compile", "train")
    },
    "fmt": ("fmt FILE", "a .net file"),
    "fmt --check": ("fmt --check FILE", "a .net file"),
    "draw": ("draw FILE -o out.svg", "a .net file"),
    "compare": ("compare n.net FILE", "a .net file"),
    "diff before": ("diff FILE n.net", "a .net file"),
    "diff after": ("diff n.net FILE", "a .net file"),
    "explain-shape": ("explain-shape FILE y", "a .net file"),
    "eval": ("eval FILE n.safetensors", "a .net file"),
    "eval checkpoint": ("eval n.net FILE", "a checkpoint"),
    "run": ("run FILE x.npy", "an artifact or a checkpoint"),
    "emit": ("compile --emit tree FILE", "a .net file"),
}


def pictures(path):
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0\x90wS\xde")


def pth(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))


def sparse(path):
    with path.open("wb") as file:
        file.truncate(2**40)


def checkpoint_of_another(path):
    save_file({"w": np.zeros(3, np.float32)}, path)


#: how each kind is made, and what messages call it
KINDS = {
    "missing": (lambda p: None, "there is no file"),
    "folder": (lambda p: p.mkdir(), "is a folder"),
    "pipe": (os.mkfifo, "is a pipe"),
    "null": (lambda p: p.symlink_to("/dev/null"), "is a device"),
    "zero": (lambda p: p.symlink_to("/dev/zero"), "is a device"),
    "loop": (lambda p: p.symlink_to(p.name), "cannot read .*: Too many levels"),
    "dangling": (lambda p: p.symlink_to("nowhere"), "there is no file"),
    "png": (pictures, "is a PNG image"),
    "pth": (pth, r"is a PyTorch file \(\.pth\)"),
    "old pth": (lambda p: p.write_bytes(pickle.dumps([1], 2)), "is a Python pickle"),
    "npy": (lambda p: p.write_bytes(b"\x93NUMPY\1\0v\0{'descr'"), r"is a NumPy array \(\.npy\)"),
    "hdf5": (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64)), "is an HDF5 file"),
    "gzip": (lambda p: p.write_bytes(b"\x1f\x8b\x08\0" + bytes(64)), "is a file packed by gzip"),
    "binary": (lambda p: p.write_bytes(bytes(range(256))), "is a binary file"),
    "other safetensors": (checkpoint_of_another, "is a safetensors file that netdsl did not write"),
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "sparse": (sparse, "is a binary file"),
}
UGLY = re.compile(
    r"Traceback|os error|header too|deserializ|Errno|codec|NoneType|object at 0x", re.IGNORECASE
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "n.net").write_text(NET)
    np.savez("d.npz", x=np.zeros((8, 4), np.float32), y=np.arange(8) % 3)
    np.save("x.npy", np.zeros((2, 4), np.float32))
    return tmp_path


def message(words, capsys):
    """What a command that is refused says, within ten seconds."""

    def late(*_):
        raise TimeoutError(words)

    signal.signal(signal.SIGALRM, late)
    signal.alarm(10)
    try:
        with pytest.raises(SystemExit) as end:
            main(words)
    finally:
        signal.alarm(0)
    found = capsys.readouterr()
    assert end.value.code == 1, (words, found)
    assert not UGLY.search(found.err), found.err
    return found.err


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_files(command, folder, capsys):
    line, wanted = COMMANDS[command]
    for kind, (make, what) in KINDS.items():
        path = folder / f"wrong {kind}"
        make(path)
        if kind == "empty" and wanted == "a .net file" and command in ("fmt", "fmt --check", "compare", "emit"):
            continue  # an empty text is a text
        said = message([str(path) if w == "FILE" else w for w in line.split()], capsys)
        assert str(path) in said, said
        if kind == "empty" and wanted == "a .net file":
            assert "there is no net" in said, said
            continue
        assert re.search(f"{re.escape(str(path))} {what}|{what}.*{re.escape(str(path))}|{what}", said), (
            kind,
            said,
        )
        if kind not in ("missing", "dangling", "loop"):
            assert f"; {wanted} belongs here" in said, (kind, said)
