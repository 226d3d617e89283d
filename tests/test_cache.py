"""Caches are optional: whatever is in the way of one, the command does its work and one line says so."""

import os
import sys
from pathlib import Path

import pytest

from netdsl import cache
from netdsl.cache import Cache
from netdsl.data.locate import data_folders
from netdsl.data.obtain import _target
from netdsl.data.registry import known
from netdsl.source import NetError, NetWarning
from netdsl.syntax.grammar import CACHE
from tests.rights import without_rights

pytestmark = pytest.mark.skipif(os.name != "posix", reason="folders and pipes of POSIX")
COMPILE = "from netdsl.cli.main import main; main(['compile', 'n.net'])"
NET = "net N {\n  input x: [4]\n  output y = x -> dense(3) -> tanh\n}\n"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("KEPT", str(tmp_path / "kept"))
    return Cache("test", "KEPT")


def test_what_is_stored_is_loaded(kept):
    assert kept.load("a") is None
    kept.store("a", b"one")
    kept.store("a", b"two")
    assert kept.load("a") == b"two" and kept.directory().stat().st_mode & 0o777 == 0o700


def test_every_bit_and_the_name_count(kept):
    kept.store("a", b"text")
    whole = (kept.directory() / "a").read_bytes()
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        (kept.directory() / "a").write_bytes(data)
        assert kept.load("a") is None and not (kept.directory() / "a").exists()
    (kept.directory() / "b").write_bytes(whole)
    assert kept.load("b") is None


def test_old_entries_are_forgotten(kept, monkeypatch):
    monkeypatch.setattr(cache, "MAX_BYTES", 1000)
    for k in range(5):
        kept.store(f"e{k}", bytes(300))
        os.utime(kept.directory() / f"e{k}", (k, k))
    (kept.directory() / "folder").mkdir()
    kept.store("last", bytes(300))
    assert sorted(p.name for p in kept.directory().iterdir()) == ["e4", "folder", "last"]


def test_files_of_others_stay(kept, monkeypatch):
    monkeypatch.setattr(cache, "MAX_BYTES", 1000)
    kept.store("old", bytes(300))
    (kept.directory() / "theirs").write_bytes(bytes(5000))
    os.utime(kept.directory() / "theirs", (1, 1))
    for k in range(4):
        kept.store(f"e{k}", bytes(300))
    assert (kept.directory() / "theirs").stat().st_size == 5000
    assert len(list(kept.directory().iterdir())) == 3


def test_a_cache_has_a_folder_of_its_own(monkeypatch, tmp_path):
    for base in (tmp_path, tmp_path / "nested"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(base))
        assert Cache("kind").directory() == base / "netdsl" / "kind"
        assert CACHE.directory() == base / "netdsl" / "syntax"


@pytest.mark.parametrize(
    "make", [os.mkfifo, Path.mkdir, lambda p: p.symlink_to("elsewhere")], ids=["pipe", "folder", "link"]
)
def test_something_else_in_the_place_of_an_entry(kept, make):
    """A pipe is not waited for, and nothing is deleted that is not ours."""
    path = kept.directory() / "a"
    make(path)
    assert kept.load("a") is None
    if path.is_dir():
        with pytest.warns(NetWarning, match="nothing is kept"):
            kept.store("a", b"x")
    else:
        kept.store("a", b"x")
        assert kept.load("a") == b"x"


def test_a_full_disk(kept, monkeypatch):
    kept.store("a", b"old")

    def full(*args):
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(NetWarning, match="No space left on device"):
        kept.store("a", b"new")
    assert kept.load("a") == b"old" and len(list(kept.directory().iterdir())) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="drops rights as Linux does")
@pytest.mark.parametrize("case", ["read-only", "another's", "no home", "a file"])
def test_a_command_does_without_a_cache(tmp_path, case):
    (tmp_path / "n.net").write_text(NET)
    cached = tmp_path / ".cache"
    if case == "read-only":
        tmp_path.chmod(0o555)
    if case == "another's":
        if os.getuid() != 0:
            pytest.skip("only root can give a folder away")
        (cached / "netdsl").mkdir(parents=True)
        os.chown(cached / "netdsl", 65534, 65534)
    if case == "a file":
        cached.write_text("")
    where = {"XDG_CACHE_HOME": "/dev/null/x"} if case == "no home" else {"HOME": str(tmp_path)}
    done = without_rights(COMPILE, tmp_path, **where)
    tmp_path.chmod(0o755)
    assert done.returncode == 0 and "program" in done.stdout, done.stderr
    assert done.stderr.count("nothing is kept for the next start") == 1, done.stderr


def test_a_user_who_has_no_home(monkeypatch, tmp_path):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("NETDSL_DATA_DIR", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.warns(NetWarning, match="this user has no home"):
        Cache("test", "KEPT").store("a", b"x")
    assert Cache("test", "KEPT").load("a") is None
    assert data_folders() == [Path("data")]
    with pytest.raises(
        NetError, match=r"there is no place to put mnist: this user has no home(.|\n)*NETDSL_DATA_DIR"
    ):
        _target(known("mnist"), None)
