"""Generated kernels live as long as a program that uses them."""

import gc
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.cpu.link import _KNOWN
from netdsl.elaborate import elaborate
from netdsl.source import Source


def program(k):
    """One whose expressions no other has."""
    text = f"net K {{\n  input x: [7]\n  output y = x -> leaky_relu({k}.125) -> elu({k + 1}.5)\n}}\n"
    return netdsl.compile(elaborate(Source("k.net", text)), threads=1)


def run(made):
    return made.run({"x": np.full((1, 7), -1, np.float32)})["y"]


def test_code_is_shared_and_then_given_back():
    one, two, other = program(71), program(71), program(72)
    expected = run(one)
    assert one._linked.libraries == two._linked.libraries != other._linked.libraries
    (library,) = map(weakref.ref, one._linked.libraries)
    before = len(_KNOWN)
    del one
    gc.collect()
    assert library() is not None and (run(two) == expected).all()
    del two
    gc.collect()
    assert library() is None and len(_KNOWN) < before
    assert (run(program(71)) == expected).all() and run(other).shape == (1, 7)


GROWTH = """
import gc
from pathlib import Path
from tests.runtime.test_kernels_go import program, run

def megabytes():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

for k in range(5):
    run(program(k))
before = megabytes()
for k in range(5, 35):
    run(program(k))
print(megabytes() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_many_programs_do_not_grow_the_process(tmp_path, monkeypatch):
    """30 programs whose kernels are compiled, not loaded; each took 0.2 MB, or 6 MB in all."""
    monkeypatch.setenv("NETDSL_CACHE_DIR", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", GROWTH], capture_output=True, text=True, timeout=300, check=True
    )
    assert float(done.stdout) < 2.5
