import threading
import time
import warnings

import numpy as np
import pytest

from netdsl import machine
from netdsl.cpu.link import link
from netdsl.cpu.threads import team as team_module
from netdsl.cpu.threads.phases import EVERYTHING, Phases, Task
from netdsl.cpu.threads.team import Team, shared_team
from netdsl.primitives import Contract
from netdsl.source import NetWarning
from tests.cpu.running import aligned, contraction


def program(a, b, result, threads):
    """A chain of steps: c = a @ b, many times over."""
    op = Contract("forward")
    plan, places, _ = contraction(op, (a, b), result.shape)
    places[2] = result
    steps = [*plan.pack, *plan.steps]
    for step in steps:
        step.args.bind(lambda buffer: places[buffer].ctypes.data)
    tasks = [Task(ns, units, [EVERYTHING]) for ns, units in ((1e3, 1), (1e5, 7), (1e5, None))]
    linked = link(steps)
    rows = np.tile(linked.table, (20, 1))
    tasks = [tasks[k % 3] for k in range(len(rows))]
    return Phases(rows, tasks, threads), (plan, places, linked)


@pytest.fixture
def matrices():
    rng = np.random.default_rng(0)
    a, b = (aligned(rng.standard_normal(s).astype(np.float32)) for s in ((40, 64), (64, 48)))
    return a, b, aligned(np.zeros((40, 48), np.float32))


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_runs_every_step_on_any_number_of_threads(threads, matrices):
    a, b, result = matrices
    table, keep = program(a, b, result, threads)
    team = Team(threads)
    try:
        for _ in range(50):
            result[...] = np.nan
            team.run(table)
            np.testing.assert_allclose(result, a @ b, rtol=1e-4, atol=1e-4)
        time.sleep(0.05)  # long enough for the others to park
        result[...] = np.nan
        team.run(table)
        np.testing.assert_allclose(result, a @ b, rtol=1e-4, atol=1e-4)
    finally:
        team.close()
    assert keep


def test_runs_from_several_threads_take_turns(matrices):
    a, b, result = matrices
    table, keep = program(a, b, result, 2)
    team = shared_team(2)
    threads = [threading.Thread(target=lambda: [team.run(table) for _ in range(20)]) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(20)
        assert not t.is_alive()
    np.testing.assert_allclose(result, a @ b, rtol=1e-4, atol=1e-4)
    assert keep and shared_team(2) is team


def test_no_threads_is_refused():
    with pytest.raises(ValueError, match="from 1 to 1024"):
        shared_team(0)


def test_more_threads_than_processors_are_warned_of_once(monkeypatch):
    monkeypatch.setattr(team_module, "_teams", {})
    monkeypatch.setattr(machine, "processors", lambda: 2)
    monkeypatch.setattr(team_module, "Team", lambda threads: threads)
    with pytest.warns(NetWarning, match="99 threads share 2 processors and wait for each other"):
        assert shared_team(99) == 99
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [shared_team(threads) for threads in (99, 2, 1)] == [99, 2, 1]
    monkeypatch.setattr(machine, "processors", lambda: 1)
    with pytest.warns(NetWarning, match="3 threads share 1 processor and wait"):
        shared_team(3)
