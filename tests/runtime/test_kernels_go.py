"""Generated kernels live as long as a program that uses them."""

import gc
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.cpu.codegen.library import Kernel, KernelLibrary
from netdsl.cpu.link import _KNOWN
from netdsl.elaborate import elaborate
from netdsl.source import Source


def program(k):
    """One whose expressions no other has."""
    text = f"net K {{\n  input x: [7]\n  output y = x -> leaky_relu({k}.125) -> elu({k + 1}.5)\n}}\n"
    return netdsl.compile(elaborate(Source("k.net", text)), threads=1)


def run(made):
    return made.run({"x": np.full((1, 7), -1, np.float32)})["y"]


def homes():
    return set(_KNOWN.values())


def test_code_is_shared_and_then_given_back():
    others = homes()
    one = program(71)
    (library,) = map(weakref.ref, homes() - others)
    two, other = program(71), program(72)
    expected = run(one)
    assert len(homes() - others) == 2
    del one
    gc.collect()
    assert library() is not None and (run(two) == expected).all()
    del two
    gc.collect()
    assert library() is None and len(homes() - others) == 1
    assert (run(program(71)) == expected).all() and run(other).shape == (1, 7)


def test_code_goes_with_the_last_part_of_its_table():
    others = homes()
    made = program(73)
    (library,) = map(weakref.ref, homes() - others)
    part = made.executable.phases.rows[:1]
    del made
    gc.collect()
    assert library() is not None
    del part
    assert library() is None


def test_freeing_waits_for_nobody():
    """What ends while another thread makes code goes with the next that loads."""
    others = homes()
    made = program(74)
    (library,) = map(weakref.ref, homes() - others)
    inside, leave = threading.Event(), threading.Event()

    def slow(emitter):
        inside.set()
        leave.wait(60)

    other = KernelLibrary("slow", {"slow": Kernel(slow)}, f"{time.time_ns()}")
    maker = threading.Thread(target=other.load)
    maker.start()
    inside.wait(60)
    try:
        del made
        gc.collect()
        assert library() is not None
    finally:
        leave.set()
        maker.join()
    run(program(75))
    assert library() is None


def ending(script):
    """What a process of its own prints: a memory fault is then the end of that one only."""
    command = [sys.executable, "-X", "faulthandler", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


CYCLES = """
import gc
from tests.runtime.test_kernels_go import program, run

class Last:
    def __init__(self, made):
        self.made, self.me, made.last = made, self, self
        self.expected = run(made)

    def __del__(self):
        print((run(self.made) == self.expected).all())

for k in range(100, 104):
    made = program(k)
    made.me = made
    if k % 2:
        Last(made)
    del made
    gc.collect()
print("end")
"""


def test_the_garbage_collector_may_end_programs_in_any_order():
    """In cycles, and while something that ends with them runs them once more."""
    assert ending(CYCLES) == ["True", "True", "end"]


THREADS = """
import sys, threading, time
import numpy as np
import netdsl
from netdsl.cpu.codegen.library import KernelLibrary
from netdsl.elaborate import elaborate
from netdsl.source import Source

def slowly(method):
    def wrapper(*args):
        time.sleep(0.05)
        return method(*args)
    return wrapper

KernelLibrary._stamp = slowly(KernelLibrary._stamp)
text = "net K { input x: [9]\\n output y = x -> dense(33) }"
networks = [elaborate(Source("k.net", text)) for _ in range(4)]
start, programs = threading.Barrier(4), [None] * 4

def make(k):
    start.wait()
    programs[k] = netdsl.compile(networks[k], threads=1 + k % 2)

threads = [threading.Thread(target=make, args=(k,)) for k in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
x = np.arange(9, dtype=np.float32)[None]
for made in programs:
    weight, bias = sorted(made.state_dict().values(), key=np.ndim, reverse=True)
    print(np.allclose(made.run({"x": x})["y"], x @ weight + bias, atol=1e-4))
"""


def test_the_first_programs_of_a_process_may_be_made_by_several_threads():
    """All of them use one copy of what every program needs; each made its own, and lost it to the last one's."""
    assert ending(THREADS) == ["True"] * 4


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
    assert float(ending(GROWTH)[0]) < 2.5
