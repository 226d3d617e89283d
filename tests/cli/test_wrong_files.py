"""Every command against every kind of wrong file: a message names the file, what it is and what belongs there."""

import json
import os
import pickle
import re
import signal
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from netdsl.cli.main import main
from netdsl.files import atomic_write
from netdsl.runtime.artifact import Artifact, save_artifact
from netdsl.train.checkpoint import save_checkpoint
from tests.rights import without_rights
from tests.train.test_checkpoint import example

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")

NET = """net N {
  input x: [4]
  output y = x -> dense(3)
}
train { loss = cross_entropy(y, label); batch = 4 }
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
    "eval": ("eval FILE checkpoint", "a .net file"),
    "eval checkpoint": ("eval n.net FILE", "a checkpoint or an artifact"),
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
    "dangling": (lambda p: p.symlink_to("nowhere"), "is a link that points to nothing"),
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
SWAPPED = {
    "a .net file": {"checkpoint": "is a netdsl checkpoint", "artifact": "is a netdsl artifact"},
    "a checkpoint": {
        "net": r"is a network's text \(.net\)",
        "artifact": "is a netdsl artifact",
        "notes": "is a text",
    },
    "a checkpoint or an artifact": {"net": r"is a network's text \(.net\)", "notes": "is a text"},
    "an artifact or a checkpoint": {"net": r"is a network's text \(.net\)", "notes": "is a text"},
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
    save_checkpoint(tmp_path / "checkpoint", example())
    save_artifact(tmp_path / "artifact", Artifact(example().model, {}))
    (tmp_path / "net").write_text(NET)
    (tmp_path / "notes").write_text("To buy: bread, milk.\n")
    return tmp_path


def message(words, capsys, status=1):
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
    assert end.value.code == status, (words, found)
    assert not UGLY.search(found.err), found.err
    return found.err


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_files(command, folder, capsys):
    line, wanted = COMMANDS[command]
    for kind, (make, what) in KINDS.items():
        path = folder / f"wrong {kind}"
        make(path)
        if (
            kind == "empty"
            and wanted == "a .net file"
            and command in ("fmt", "fmt --check", "compare", "emit")
        ):
            continue  # an empty text is a text
        said = message([str(path) if w == "FILE" else w for w in line.split()], capsys)
        assert str(path) in said, said
        if kind == "empty" and wanted == "a .net file":
            assert "there is no net" in said, said
            continue
        assert re.search(what, said), (kind, said)
        if kind not in ("missing", "dangling", "loop"):
            assert f"{path} " in said and f"; {wanted} belongs here" in said, (kind, said)
    for name, what in SWAPPED[wanted].items():
        said = message([name if w == "FILE" else w for w in line.split()], capsys)
        assert re.search(f"{name} {what}; {wanted} belongs here", said), said


#: where a file of data stands in a text, and what belongs there
DATA = {'npz("FILE")': "an archive of arrays (.npz)", 'npy("FILE", "y.npy")': "an array in .npy format"}
DATA |= {'npy("x.npy", "FILE")': "an array in .npy format"}


@pytest.mark.parametrize("source", DATA)
def test_wrong_data(source, folder, capsys):
    np.save("x.npy", np.zeros((8, 4), np.float32))
    np.save("y.npy", np.arange(8) % 3)
    for kind, (make, what) in KINDS.items():
        path = folder / f"wrong {kind}"
        make(path)
        (folder / "n.net").write_text(NET.replace('npz("d.npz")', source.replace("FILE", path.name)))
        said = message(["check", "n.net"], capsys)
        if (kind, source[:3]) not in (("npy", "npy"), ("gzip", "npy")):
            assert re.search(what, said) and path.name in said, said
            assert kind in ("missing", "dangling", "loop") or f"; {DATA[source]} belongs here" in said, said


def test_going_on_from_something_else(folder, capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", "n.net", "--out", "run"])
    assert not end.value.code
    for make, what in KINDS.values():
        path = folder / "run" / "last.safetensors"
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        make(path)
        assert re.search(what, message(["train", "n.net", "--out", "run", "--resume"], capsys))


@pytest.mark.parametrize("end", [".png", ".npy", ".npz"])
def test_wrong_inputs(end, folder, capsys):
    (folder / "p.net").write_text("net N {\n  input x: [8, 8, 3]\n  output y = x -> flatten -> dense(3)\n}\n")
    with pytest.raises(SystemExit):
        main(["compile", "p.net", "-o", "p.netdsl"])
    capsys.readouterr()
    for kind, (make, what) in KINDS.items():
        path = folder / f"wrong {kind}{end}"
        make(path)
        said = message(["run", "p.netdsl", str(path)], capsys)
        known = {".png": ("folder", "png"), ".npy": ("npy", "gzip", "folder"), ".npz": ("folder",)}[end]
        assert path.name in said, said
        if kind in known:
            continue  # broken, not something else; or a folder of pictures without any
        assert re.search(what.replace("is ", "(is|it is) ", 1), said) or "is no picture" in said, said


@pytest.mark.skipif(sys.platform != "linux", reason="drops rights as Linux does")
def test_files_that_may_not_be_read(folder):
    """All commands in one process whom permissions bind."""
    (folder / "mine").write_text(NET)
    (folder / "mine").chmod(0o000)
    lines = {
        name: ["mine" if w == "FILE" else w for w in line.split()] for name, (line, _) in COMMANDS.items()
    }
    done = without_rights(EACH, folder, HOME=str(folder), LINES=json.dumps(lines))
    assert done.returncode == 0, done.stderr
    for name, (code, said) in json.loads(done.stdout).items():
        assert code == 1 and "cannot read mine: Permission denied" in said and not UGLY.search(said), (
            name,
            said,
        )


EACH = """
import contextlib, io, json, os
from netdsl.cli.main import main
from netdsl.files import atomic_write
from netdsl.runtime.artifact import Artifact, save_artifact
from netdsl.train.checkpoint import save_checkpoint
found = {}
for name, words in json.loads(os.environ["LINES"]).items():
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            main(words)
        except SystemExit as end:
            found[name] = end.code, said.getvalue()
print(json.dumps(found))
"""

OUTPUTS = {"draw": "draw n.net -o OUT", "compile": "compile n.net -o OUT", "train": "train n.net --out OUT"}
OUTPUTS |= {"chart": "compare n.net --chart OUT", "run": "run trained x.npy --out OUT"}

# Those that ask whether the file can be written before they begin.
LOOK_FIRST = ("draw", "compile", "chart", "run")


@pytest.mark.parametrize("name", OUTPUTS)
def test_places_that_cannot_be_written(name, folder, capsys):
    with pytest.raises(SystemExit):
        main(["compile", "n.net", "-o", "trained.netdsl"])
    (folder / "trained.netdsl").rename("trained")
    capsys.readouterr()
    end = {"draw": ".svg", "chart": ".svg", "run": ".npz", "compile": ".netdsl"}.get(name, "")
    (folder / f"full{end}").mkdir()
    (folder / f"full{end}" / "x").write_text("")
    (folder / "file").write_text("")
    places = [f"file/out{end}"] if name == "train" else [f"full{end}", f"nowhere/out{end}", f"file/out{end}"]
    for place in places:
        words = [place if w == "OUT" else w for w in OUTPUTS[name].split()]
        if name in LOOK_FIRST:
            said = message(words, capsys, status=2)
            folder_of, slash, _ = place.partition("/")
            reason = f"there is no folder {folder_of} for out{end}" if slash else f"{place} is a folder"
            assert reason in said, said
        else:
            assert "file is a file, not a folder" in message(words, capsys)
    assert not [p for p in folder.rglob(".*") if p.name.endswith(".tmp")]


def test_devices_are_written_to_not_replaced(folder):
    os.mkfifo(folder / "pipe")
    reader = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    atomic_write(folder / "pipe", b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    atomic_write("/dev/null", b"x")
    assert not Path("/dev/null").is_file()


def test_a_text_from_a_pipe(folder, capsys):
    """What `netdsl check <(command)` gives the command to read."""
    out, into = os.pipe()
    threading.Thread(
        target=lambda: (time.sleep(0.05), os.write(into, NET.split("train")[0].encode()), os.close(into))
    ).start()
    with pytest.raises(SystemExit) as end:
        main(["check", f"/dev/fd/{out}"])
    assert not end.value.code and "N is well-formed" in capsys.readouterr().out
