"""The key of compiled kernels follows every source that shapes them, in subfolders too."""

import pytest

from netdsl.backend.kernel_cache import Sources
from netdsl.cpu.codegen import library as of_cpu
from netdsl.cpu.codegen.library import CACHE, KernelLibrary

CHANGES = {
    "a file": lambda root: (root / "a.py").write_text("x = 2\n"),
    "a file in a subfolder": lambda root: (root / "deep" / "deeper" / "b.py").write_text("y = 2\n"),
    "a new file": lambda root: (root / "deep" / "c.py").write_text(""),
    "a name": lambda root: (root / "a.py").rename(root / "z.py"),
    "a place": lambda root: (root / "a.py").rename(root / "deep" / "a.py"),
    "a file that is gone": lambda root: (root / "a.py").unlink(),
    "text that moves to the next file": lambda root: (
        (root / "a.py").write_text(""),
        (root / "deep" / "deeper" / "b.py").write_text("x = 1\ny = 1\n"),
    ),
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "room" / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "room" / "a.py").write_text("x = 1\n")
    (tmp_path / "room" / "deep" / "deeper" / "b.py").write_text("y = 1\n")
    return tmp_path / "room"


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_changes_the_key(root, change):
    before = Sources([root])
    assert before.unchanged() and Sources([root]).digest == before.digest
    CHANGES[change](root)
    assert not before.unchanged() and Sources([root]).digest != before.digest


def test_what_is_no_source_does_not_count(root):
    before = Sources([root])
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "a.pyc").write_bytes(b"1")
    (root / "notes.txt").write_text("x")
    assert before.unchanged()


def stamp():
    return KernelLibrary("key", {})._entry


def test_the_key_of_a_library_has_all_of_cpu():
    """The files of its subfolders are among the sources."""
    roots = {path.name: path for path in of_cpu.SOURCES._roots}
    assert roots.keys() >= {"cpu", "scalar"} and (roots["cpu"] / "kernels" / "map.py").is_file()


def test_other_sources_are_another_key(root, monkeypatch):
    monkeypatch.setattr(of_cpu, "SOURCES", Sources([root]))
    before = stamp()
    (root / "deep" / "deeper" / "b.py").write_text("y = 2\n")
    monkeypatch.setattr(of_cpu, "SOURCES", Sources([root]))
    assert stamp() != before


def test_a_process_whose_sources_change_keeps_no_code(root, tmp_path, monkeypatch):
    """It runs what it loaded, which need not be what lies there now."""
    monkeypatch.setenv("NETDSL_CACHE_DIR", str(tmp_path / "kernels"))
    monkeypatch.setattr(of_cpu, "SOURCES", Sources([root]))
    (root / "a.py").write_text("x = 2\n")
    made = KernelLibrary("changed", {})
    made.load()
    assert not made.cached and CACHE.load(made._entry) is None
    (root / "a.py").write_text("x = 1\n")
    made = KernelLibrary("changed", {})
    made.load()
    assert CACHE.load(made._entry) is not None
