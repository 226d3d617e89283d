"""One training at a time in a folder."""

import errno
import json
import os
import subprocess
import sys

import pytest

from netdsl.source import NetError, NetWarning
from netdsl.train import Callback, Trainer, lock
from netdsl.train.lock import LOCK, locked

from .nets import network, plan

HOLD = """
import pathlib, sys
from netdsl.train.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_folder_in_use_is_refused_and_says_by_whom(tmp_path, holder):
    for resume in (False, True):
        with pytest.raises(
            NetError, match=f"another training is writing into .*: process {holder.pid}, since 2"
        ):
            Trainer(network(), tmp_path, plan()).fit(resume)
    assert [p.name for p in tmp_path.iterdir()] == [LOCK]


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == holder.pid
    assert Trainer(network(), tmp_path, plan()).fit().epochs == 3
    assert not (tmp_path / LOCK).exists()


def test_it_is_held_while_a_training_runs_and_given_back_whatever_happens(tmp_path):
    class Second(Callback):
        def on_batch_end(self, loop, values):
            assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
            Trainer(network(), tmp_path, plan()).fit()

    with pytest.raises(NetError, match=f"process {os.getpid()}"):
        Trainer(network(), tmp_path, plan(), callbacks=[Second()]).fit()
    assert not (tmp_path / LOCK).exists()
    assert Trainer(network(), tmp_path, plan()).fit(resume=True).epochs == 3


@pytest.mark.parametrize("text", [b"", b"\xff", b"[]", b'{"pid": []}'])
def test_a_holder_that_says_nothing_is_refused_as_well(tmp_path, holder, text):
    (tmp_path / LOCK).write_bytes(text)
    with pytest.raises(NetError, match=r"writing into \S+\nhelp"), locked(tmp_path):
        pass


def test_one_who_opened_the_file_before_it_was_removed_holds_nothing(tmp_path, monkeypatch):
    """A opens and locks; B opens; A removes and lets go; B locks what has no name any more, and tries again."""
    real, calls = lock._lock, []

    def slow(descriptor):
        if not calls:
            (tmp_path / LOCK).unlink()
        calls.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(lock, "_lock", slow)
    with locked(tmp_path):
        assert len(calls) == 2 and (tmp_path / LOCK).exists()


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    def unsupported(descriptor):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "_lock", unsupported)
    with pytest.warns(NetWarning, match="cannot be locked: No locks available"), locked(tmp_path):
        pass
