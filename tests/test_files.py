"""Atomic writing and private folders."""

import os
import stat
from pathlib import Path

import pytest

from netdsl.files import atomic_write, private_directory, user_cache

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX modes")


def names(folder):
    return [entry.name for entry in folder.iterdir()]


def test_writes_bytes_and_replaces(tmp_path):
    path = tmp_path / "a.bin"
    atomic_write(path, b"old")
    atomic_write(str(path), b"new content")
    assert path.read_bytes() == b"new content"
    assert names(tmp_path) == ["a.bin"]


def test_writer_function_gets_a_binary_file(tmp_path):
    path = tmp_path / "a.bin"
    atomic_write(path, lambda file: file.write(b"12") + file.write(b"34"))
    assert path.read_bytes() == b"1234"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.bin"
    atomic_write(path, b"old")

    def broken(file):
        file.write(b"half")
        raise error("stop")

    with pytest.raises(error):
        atomic_write(path, broken)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_failing_rename_cleans_up(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        atomic_write(tmp_path / "folder", b"x")
    assert names(tmp_path) == ["folder"]


def test_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        atomic_write(tmp_path / "none" / "a", b"")


def test_content_is_on_disk_before_the_rename_and_the_rename_after(tmp_path, monkeypatch):
    calls = []
    real_sync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: (calls.append(stat.S_ISDIR(os.fstat(fd).st_mode)), real_sync(fd))
    )
    monkeypatch.setattr(
        Path, "replace", lambda self, target: (calls.append("replace"), real_replace(self, target))
    )
    atomic_write(tmp_path / "a", b"x")
    assert calls == [False, "replace", True]


@posix
@pytest.mark.parametrize(("private", "mode"), [(False, 0o640), (True, 0o600)])
def test_mode_follows_umask(tmp_path, private, mode):
    old = os.umask(0o027)
    try:
        atomic_write(tmp_path / "a", b"x", private=private)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


@posix
def test_private_directory(tmp_path):
    folder = private_directory(tmp_path / "x" / "y")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert private_directory(folder) == folder
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="nobody else"):
        private_directory(folder)


def test_user_cache_follows_xdg(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "netdsl"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert user_cache() == Path.home() / ".cache" / "netdsl"
