"""Which steps share a phase, how it is cut, and that a team does each piece once and in order, whatever its size."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netdsl.cpu.codegen.library import Kernel, KernelLibrary
from netdsl.cpu.threads.phases import EACH, SHARE, WORTH, Phases, Task, Touch
from netdsl.cpu.threads.team import Team
from netdsl.ir import TensorType
from netdsl.native.emit import I64
from netdsl.schedule import View

LONG, SHORT = 100 * SHARE, WORTH / 10


def touch(start, end, written=False, view=None):
    return Touch(start, end, written, view or View.dense(start, TensorType(())))


def phases(tasks, threads=2):
    rows = np.zeros((len(tasks), 4), np.int64)
    return Phases(rows, tasks, threads)


def pieces(program):
    """For each phase, for each of its shares: the (row, part, parts) that it has."""
    for first, last, shares in program.table:
        yield [
            [
                (row, share - start, parts)
                for row, (_, _, start, parts) in enumerate(program.rows[first:last], first)
                if 0 <= share - start < parts
            ]
            for share in range(shares)
        ]


READS, WRITES = touch(0, 64), touch(0, 64, written=True)
COLUMNS = [View(7, TensorType((4, 8)), (64, 4), offset) for offset in (0, 32)]


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (READS, READS, True),
        (READS, WRITES, False),
        (WRITES, READS, False),
        (WRITES, WRITES, False),
        (WRITES, touch(64, 128, written=True), True),
        (WRITES, touch(60, 128), False),
        # Two halves of each row of a buffer: their bytes are apart although they lie between each other.
        (touch(0, 224, True, COLUMNS[0]), touch(32, 256, True, COLUMNS[1]), True),
        (touch(0, 224, True, COLUMNS[0]), touch(0, 224, False, COLUMNS[0]), False),
        # The same bytes, used for another buffer.
        (touch(0, 224, True, COLUMNS[0]), touch(32, 256, True, View.dense(8, TensorType((56,)))), False),
    ],
)
def test_steps_share_a_phase_where_their_order_does_not_matter(first, second, together):
    made = phases([Task(LONG, None, [first]), Task(LONG, None, [second])])
    assert len(made.table) == (1 if together else 2)


def test_a_phase_is_cut_by_its_work():
    assert phases([Task(WORTH - 1, None, [])]).table.tolist() == [[0, 1, 1]]
    assert phases([Task(WORTH, None, [])]).table.tolist() == [[0, 1, 2]]
    assert phases([Task(10 * SHARE, None, [])]).table.tolist() == [[0, 1, 10]]
    assert phases([Task(1e9, None, [])]).table.tolist() == [[0, 1, 2 * EACH]]
    assert phases([Task(1e9, 5, [])]).table.tolist() == [[0, 1, 5]]
    assert phases([Task(1e9, 5, [])], threads=1).table.tolist() == [[0, 1, 1]]


def test_small_steps_have_a_share_together():
    (shares,) = pieces(phases([Task(SHARE / 3, None, [])] * 7))
    assert [[row for row, *_ in share] for share in shares] == [[0, 1, 2], [3, 4, 5], [6]]


tasks = st.builds(
    lambda ns, units, at, size, written: Task(ns, units, [touch(at, at + size, written)]),
    st.floats(1, 1e6),
    st.none() | st.integers(1, 9),
    st.integers(0, 20),
    st.integers(1, 8),
    st.booleans(),
)


@given(st.lists(tasks, max_size=60), st.sampled_from([1, 2, 3, 64]))
def test_each_part_of_each_step_is_in_one_share(program, threads):
    made = phases(program, threads)
    found = [piece for shares in pieces(made) for share in shares for piece in share]
    assert sorted(found) == [(row, k, n) for row, (*_, n) in enumerate(made.rows.tolist()) for k in range(n)]
    for first, last, _ in made.table:
        members = program[first:last]
        assert not any(b.waits_for(a) for k, b in enumerate(members) for a in members[:k])


def _count(e):
    """Count a part in the second word of the block; note in the third when the step before is not done."""
    block, _, parts, _ = e.args
    before = e.load(I64, block)
    late = e.b.load_atomic(e.pointer(I64, before, 8), "seq_cst", 8)
    with e.when(e.b.icmp_signed("!=", late, e.load(I64, before, 24))):
        e.store(e.i64(1), block, 16)
    e.store(parts, block, 24)
    e.b.atomic_rmw("add", e.pointer(I64, block, 8), e.i64(1), "seq_cst")


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_a_team_does_each_part_once_and_in_order(threads):
    library = KernelLibrary("counting", {"count": Kernel(_count)})
    rng = np.random.default_rng(threads)
    words = np.zeros((41, 4), np.int64)  # of the step before; parts that are done; too early; parts
    words[1:, 0] = words.ctypes.data + 32 * np.arange(40)
    words[0, 0] = words.ctypes.data
    chain = [touch(0, 1, written=True)]
    cut = [Task(float(rng.choice([SHORT, SHARE, LONG])), int(rng.integers(1, 20)), chain) for _ in range(40)]
    rows = np.zeros((40, 4), np.int64)
    rows[:, 0], rows[:, 1] = library.address("count"), words.ctypes.data + 32 * np.arange(1, 41)
    program, team = Phases(rows, cut, threads), Team(threads)

    def repeat():
        for _ in range(500):
            words[:, 1:3] = 0
            team.run(program)
            assert (words[1:, 1] == rows[:, 3]).all() and not words[:, 2].any()

    caller = threading.Thread(target=repeat)
    try:
        caller.start()
        caller.join(60)
        assert not caller.is_alive()
        repeat()
    finally:
        team.close()
