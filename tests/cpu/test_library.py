import ctypes
import platform
import re
import subprocess
import sys

import numpy as np
import pytest

from netdsl.cpu.codegen.library import Kernel, KernelLibrary, NumbaKernel
from netdsl.cpu.contract.step import depthwise_library, gradient_library
from netdsl.cpu.contract.step import library as library_of_contractions
from netdsl.native import host
from netdsl.source import NetWarning


def double(e):
    x, y, *_ = e.args
    v = e.load(e.f32s, x)
    e.store(e.b.fadd(v, v), y)


def driver():
    from netdsl.cpu.codegen.numba_ir import call6, load

    def each_row(args, part, parts, workspace):
        for row in range(load(args, 3) * part // parts, load(args, 3) * (part + 1) // parts):
            call6(load(args, 0), load(args, 1) + 64 * row, load(args, 2) + 64 * row, 0, 0, 0, 0)

    return each_row


def library(description=""):
    kernels = {"double": Kernel(double, 6), "rows": NumbaKernel(driver)}
    return KernelLibrary("test", kernels, description)


def run(made):
    x, y = np.arange(80, dtype=np.float32).reshape(5, 16), np.zeros((5, 16), np.float32)
    block = np.array([made.address("double"), x.ctypes.data, y.ctypes.data, 5])
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(made.address("rows"))
    for part in range(2):
        function(block.ctypes.data, part, 2, 0)
    lanes = host.lanes()
    assert (y[:, :lanes] == 2 * x[:, :lanes]).all()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NETDSL_CACHE_DIR", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


def test_second_use_comes_from_the_cache(folder):
    first, second = library(), library()
    run(first)
    run(second)
    assert (first.cached, second.cached) == (False, True)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_stamp_sees_the_description_and_the_lanes(folder, monkeypatch):
    run(library())
    other = library("another text")
    run(other)
    monkeypatch.setenv("NETDSL_LANES", "4")
    narrow = library()
    run(narrow)
    assert not other.cached and not narrow.cached


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_entry_is_built_again(folder, damage):
    run(library())
    (entry,) = folder.iterdir()
    data = bytearray(entry.read_bytes())
    data[-100] ^= 1
    entry.write_bytes({"truncated": bytes(data[:1000]), "flipped": bytes(data), "empty": b""}[damage])
    again = library()
    run(again)
    assert not again.cached
    third = library()
    run(third)
    assert third.cached


def test_a_copy_under_another_name_is_not_run(folder):
    """Whole, but other code than the name says: it would be jumped into."""
    run(library())
    (entry,) = folder.iterdir()
    other = library("another text")
    (folder / other._entry).write_bytes(entry.read_bytes())
    run(other)
    assert not other.cached


def test_without_a_folder_kernels_are_made_each_time(folder):
    folder.mkdir()
    folder.chmod(0o777)
    for _ in range(2):
        made = library()
        with pytest.warns(NetWarning, match="writable by nobody else(.|\n)*NETDSL_CACHE_DIR"):
            run(made)
        assert not made.cached
    assert not list(folder.iterdir())


def test_text_can_be_read(folder):
    made = library()
    assert "fadd <" in made.llvm_ir()
    assert "test_0_double" in made.assembly()


def test_unknown_kernel(folder):
    with pytest.raises(KeyError):
        library().address("triple")


def test_a_driver_may_not_call_python(folder):
    def bad():
        def raises(args, part, parts, workspace):
            if args > 3:
                raise ValueError("no")

        return raises

    with pytest.raises(RuntimeError, match="calls"):
        KernelLibrary("test", {"bad": NumbaKernel(bad)}).address("bad")


def test_loading_does_not_import_numba(folder):
    text = "import sys; from tests.cpu.test_library import library, run; run(library())"
    text += "; print('numba' in sys.modules)"
    outputs = [
        subprocess.run(
            [sys.executable, "-c", text], capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert outputs == ["True", "False"]


@pytest.mark.parametrize(
    "name, value", [("NETDSL_LANES", "7"), ("NETDSL_THREADS", "0"), ("NETDSL_THREADS", "x")]
)
def test_bad_environment(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(host.HostError, match=name):
        host.lanes()
        host.threads()


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="reads the assembly of x86")
@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_kernels_and_drivers_need_little_stack(lanes, monkeypatch):
    """Threads of Python may have 32 KB; what Python itself needs comes on top."""
    monkeypatch.setenv("NETDSL_LANES", str(lanes))
    for made in (library_of_contractions(), gradient_library(), depthwise_library()):
        frames = [int(size) for size in re.findall(r"subq\s+\$(\d+), %rsp", made.assembly())]
        assert frames and max(frames) < 4096
