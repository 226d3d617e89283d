"""Settings of Python for a while: the last one who is inside restores them, in a forked child too."""

import gc
import os
import sys
import threading
from contextlib import ExitStack

import pytest

import netdsl.passes.pipeline as pipeline
import netdsl.runtime.program as program
from netdsl.ir import Graph
from netdsl.process import DEEP, deep_recursion, no_collection


@pytest.fixture(params=[True, False], ids=["on", "off"])
def collects(request):
    (gc.enable if request.param else gc.disable)()
    yield request.param
    gc.enable()


def test_collection_is_off_inside_and_as_before_behind(collects):
    with no_collection():
        assert not gc.isenabled()
        with no_collection(), pytest.raises(ZeroDivisionError), no_collection():
            _ = 1 / 0
        assert not gc.isenabled()
    assert gc.isenabled() == collects


def test_the_last_of_several_threads_restores(collects):
    entered, leave = threading.Event(), threading.Event()

    def first():
        with no_collection(), deep_recursion():
            entered.set()
            leave.wait(10)

    before, thread = sys.getrecursionlimit(), threading.Thread(target=first)
    thread.start()
    entered.wait(10)
    with no_collection(), deep_recursion():
        leave.set()
        thread.join()
        assert not gc.isenabled() and sys.getrecursionlimit() == max(before, DEEP)
    assert gc.isenabled() == collects and sys.getrecursionlimit() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("inside", [True, False])
def test_a_forked_child_goes_on_with_its_own_thread_alone(inside):
    entered, leave = threading.Event(), threading.Event()

    def other():
        with no_collection():
            entered.set()
            leave.wait(10)

    thread, own = threading.Thread(target=other), ExitStack()
    thread.start()
    entered.wait(10)
    if inside:
        own.enter_context(no_collection())
    child = os.fork()
    found = gc.isenabled()
    own.close()
    if not child:
        os._exit(0 if found != inside and gc.isenabled() else 1)
    leave.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 and gc.isenabled()


def test_compiling_does_not_wait_for_the_collector(monkeypatch):
    seen = []

    def noted(real):
        return lambda *args, **kwargs: (seen.append(gc.isenabled()), real(*args, **kwargs))[1]

    monkeypatch.setattr(pipeline, "verify", noted(pipeline.verify))
    monkeypatch.setattr(program, "lay_out", noted(program.lay_out))
    program.Program(pipeline.inference().run(Graph([], {})), "reference")
    assert seen == [False, False] and gc.isenabled()
