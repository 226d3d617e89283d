"""Programs across fork, spawn and pickling, in threads with little stack, and where threads are refused."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import netdsl
from netdsl.backend.memory import HostMemory
from netdsl.cpu.codegen.library import Kernel, KernelLibrary
from netdsl.elaborate import elaborate
from netdsl.runtime.workspace import Workspace
from netdsl.source import Source

TEXT = """net P {
  input x: [16, 16, 8]
  output y = x -> conv(16, 3, pad = 1) -> relu -> conv(16, 3, pad = 1) -> global_avg_pool -> dense(10)
}
"""
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


def program(threads):
    return netdsl.compile(elaborate(Source("p.net", TEXT)), threads=threads)


def image():
    return {"x": np.random.default_rng(0).standard_normal((1, 16, 16, 8)).astype(np.float32)}


def in_child(work, seconds=60):
    """The exit status of a forked child that does the work; a child that hangs is ended."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "the child hangs"


@needs_fork
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_program_runs_in_a_forked_child(threads):
    made, feeds = program(threads), image()
    expected = made.run(feeds)["y"].tobytes()
    assert in_child(lambda: made.run(feeds)["y"].tobytes() == expected) == 0
    # A program that never ran, a child of the child, and the parent after all.
    fresh = program(threads)
    assert in_child(lambda: in_child(lambda: fresh.run(feeds)["y"].tobytes() == expected) == 0) == 0
    assert made.run(feeds)["y"].tobytes() == expected


@needs_fork
def test_a_fork_waits_for_the_runs_of_other_threads():
    made, feeds = program(2), image()
    expected = made.run(feeds)["y"].tobytes()
    stop = threading.Event()

    def runs():
        while not stop.is_set():
            made.run(feeds)

    busy = threading.Thread(target=runs)
    busy.start()
    try:
        found = [in_child(lambda: made.run(feeds)["y"].tobytes() == expected) for _ in range(5)]
    finally:
        stop.set()
        busy.join()
    assert found == [0] * 5


@needs_fork
def test_a_fork_waits_for_what_other_threads_make():
    """The child can compile, whatever other threads were making when it was forked; so can it make programs."""
    begun, stop = threading.Event(), threading.Event()

    def slow(emitter):
        begun.set()
        time.sleep(0.2)

    library = KernelLibrary("slow", {"slow": Kernel(slow)}, f"{time.time_ns()}")

    def workspaces():
        while not stop.is_set():
            Workspace({None: HostMemory(64)})

    makers = [threading.Thread(target=library.load), threading.Thread(target=workspaces)]
    for maker in makers:
        maker.start()
    try:
        begun.wait()
        assert in_child(lambda: library.address("slow") and program(2).run(image())) == 0
        assert [in_child(lambda: Workspace({None: HostMemory(64)})) for _ in range(20)] == [0] * 20
    finally:
        stop.set()
        for maker in makers:
            maker.join()


def _answer(queue):
    queue.put(program(2).run(image())["y"].tobytes())


@pytest.mark.parametrize("method", [pytest.param("fork", marks=needs_fork), "spawn"])
def test_multiprocessing(method):
    expected = program(2).run(image())["y"].tobytes()
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=_answer, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=120) == expected
    finally:
        child.join(10)
        child.kill()


def test_pickling_a_program_says_what_to_send():
    with pytest.raises(TypeError, match=r"cannot be pickled.*graph and state_dict"):
        pickle.dumps(program(1))


def test_what_it_says_to_send_makes_the_program_again():
    first = program(1)
    graph, weights = pickle.loads(pickle.dumps((first.graph, first.state_dict())))
    assert str(graph) == str(first.graph)
    second = netdsl.Program(graph, threads=1)
    second.load_state_dict(weights)
    assert second.run(image())["y"].tobytes() == first.run(image())["y"].tobytes()


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_with_little_stack(threads):
    """The kernels work in memory of the team: neither its threads nor a caller need more stack than Python does."""
    text = f"""
import threading
threading.stack_size(128 * 1024)
import numpy as np
from netdsl.elaborate import elaborate
from netdsl.source import Source
import netdsl
made = netdsl.compile(elaborate(Source("p.net", {TEXT!r})), threads={threads})
found = []
def run():
    found.append(made.run({{"x": np.ones((1, 16, 16, 8), np.float32)}})["y"])
callers = [threading.Thread(target=run) for _ in range(3)]
for caller in callers: caller.start()
for caller in callers: caller.join()
run()
assert all((y == found[0]).all() for y in found) and len(found) == 4
print("right")
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "right\n"), done.stderr


def test_plans_are_made_for_the_threads_of_the_program(monkeypatch):
    """Not for those of the machine."""

    def cuts(threads):
        fields = {
            "correlate": ("row_blocks", "column_blocks", "splits"),
            "winograd": ("block_tiles", "splits"),
        }
        return [[s.args[name] for name in fields.get(s.driver, ())] for s in program(threads).steps]

    monkeypatch.setenv("NETDSL_THREADS", "16")
    many = [cuts(n) for n in (1, 16)]
    monkeypatch.setenv("NETDSL_THREADS", "1")
    assert many == [cuts(n) for n in (1, 16)]
    assert many[0] != many[1]


def test_the_same_bits_for_any_number_of_threads():
    results = {program(threads).run(image())["y"].tobytes() for threads in (1, 2, 3, 8)}
    assert len(results) == 1


@pytest.mark.parametrize("threads", [0, -1, 1025])
def test_too_many_threads_are_refused(threads):
    with pytest.raises(netdsl.NetError, match=rf"{threads} threads are asked for; .* from 1 to 1024"):
        program(threads)


@needs_fork
def test_threads_that_the_system_refuses(monkeypatch):
    """The team that could not be made leaves no thread behind, and others still work."""
    before, start, allowed = threading.active_count(), threading.Thread.start, [2]

    def refuses(self):
        if self.name.startswith("netdsl-"):
            if not allowed[0]:
                raise RuntimeError("can't start new thread")
            allowed[0] -= 1
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refuses)
    with pytest.raises(netdsl.NetError, match="gives this process 3 of 7 threads"):
        program(7)
    assert threading.active_count() == before
