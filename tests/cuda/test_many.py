"""One launch for many: the same bits as one by one, and only where nothing depends on the order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import netdsl
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.runtime import Program
from netdsl.train.memory_prediction import program_graph

pytest.importorskip("numba_cuda", reason="the device cuda needs numba-cuda, which is not installed")
from netdsl.cuda import cards, link
from netdsl.cuda.many import LaunchWork, grouped, one_launch, together
from netdsl.cuda.step import Parameter, Source

SOURCE = Source(
    "def kernel(p, n):\n    p[cuda.blockIdx.x] = n\n", (Parameter("p", to="i64"), Parameter("n", "i64"))
)
OTHER = Source("def kernel(p, n):\n    pass\n", SOURCE.parameters)


def work(reads, writes, source=SOURCE, dead=()):
    ranges = [tuple((10 * k, 10 * k + 10) for k in names) for names in (reads, writes, dead)]
    return LaunchWork("w", source, 2, 32, 0, (0, 0), *ranges)


def groups(*works):
    numbers = {id(w): k for k, w in enumerate(works)}
    found = grouped(works)
    return [[numbers[id(w)] for w in g.members] for g in found], [g.dead for g in found]


CASES = {
    "independent": ([work([9], [k]) for k in range(5)], [[0, 1, 2, 3, 4]]),
    "few": ([work([9], [k]) for k in range(3)], [[0], [1], [2]]),
    "a chain": ([work([k], [k + 1]) for k in range(5)], [[k] for k in range(5)]),
    "read after write": ([*(work([9], [k]) for k in range(3)), work([2], [5])], [[0, 1, 2], [3]]),
    "write after read": ([*(work([k], [k + 4]) for k in range(3)), work([9], [1])], [[0, 1, 2], [3]]),
    "write after write": ([*(work([9], [k]) for k in range(3)), work([9], [1])], [[0, 1, 2], [3]]),
    "others between": (
        [work([9], [0]), work([8], [7], OTHER), *(work([9], [k]) for k in (1, 2)), work([7], [3])],
        [[0, 2, 3], [1], [4]],
    ),
    "in place": ([work([k, 9], [k]) for k in range(4)], [[0, 1, 2, 3]]),
    "two chains": (
        [work([k], [k + 1]) for k in range(3)] + [work([k], [k + 1]) for k in range(10, 13)],
        [[0, 3], [1, 4], [2, 5]],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_runs_together(name):
    works, wanted = CASES[name]
    assert groups(*works)[0] == wanted


def test_dead_memory_stays_dead_where_it_was():
    """What a launch would write into memory that others are done with only now cannot come before them."""
    works = [work([8], [0]), work([0], [7], OTHER), work([9], [1], dead=[0]), work([9], [0]), work([9], [2])]
    found, dead = groups(*works)
    assert found == [[0, 2, 4], [1], [3]]
    assert dead == [(), (), ((0, 10),)]


def test_numbers_that_a_table_cannot_hold():
    source = Source(OTHER.text, (Parameter("p", to="i64"), Parameter("n", "f32")))
    assert groups(*(work([9], [k], source) for k in range(5)))[0] == [[k] for k in range(5)]


def test_launches_that_fill_a_card_stay_alone():
    large = [replace(work([9], [k]), blocks=1025) for k in range(5)]
    assert groups(*large)[0] == [[k] for k in range(5)]


def test_the_table():
    works = [LaunchWork("w", SOURCE, blocks, 32, 0, (k, -k), (), ()) for k, blocks in enumerate((2, 1, 5, 3))]
    tables = []
    found = one_launch(works, lambda table: tables.append(table) or 77)
    assert found.title == "w and 3 more" and found.blocks == 11 and found.values == (77, 4)
    assert tables[0].tolist() == [0, 2, 3, 8, 0, 0, 1, -1, 2, -2, 3, -3]
    assert "p[many_block] = n" in together(SOURCE).text


TEXT = """\
net N {
  input x: [6]
  output y = x -> dense(5) -> relu -> dense(6) -> relu -> dense(7) -> relu -> dense(5) -> relu -> dense(3)
}
train { loss = cross_entropy(y, label); optimizer = adamw(lr = 0.1, weight_decay = 0.01); average = ema(0.9) }
"""


@pytest.mark.parametrize("seed", [0, 1])
def test_a_training_step_has_the_same_bits(monkeypatch, tmp_path, seed):
    """On the emulated card, which refuses blocks of a launch that touch the same memory, in two orders of blocks."""
    (tmp_path / "n.net").write_text(TEXT)
    monkeypatch.setenv("NETDSL_CUDA", "emulated")
    network = netdsl.load(tmp_path / "n.net")

    def trained():
        cards._card.cache_clear()
        cards.find_card(0).seed = seed
        program = Program(program_graph(network, 4, "training", "cuda"), "cuda")
        rng = np.random.default_rng(1)
        for name, t in program.weights.items():
            program.set(name, rng.random(t.shape, np.float32))
        for _ in range(2):
            feeds = {n: rng.random(t.shape).astype(NUMPY_DTYPE[t.dtype]) for n, t in program.inputs.items()}
            program.run(feeds)
        assert [t.title for t in program.profile(feeds, 1)] == [step.title for step in program.steps]
        return program.state_dict(), program.executable

    found, executable = trained()
    assert executable.launches <= executable.count - 2 * 9 + 2
    monkeypatch.setattr(link, "FEWEST", 1000)
    plain, executable = trained()
    assert executable.launches == executable.count
    for name, array in plain.items():
        np.testing.assert_array_equal(array, found[name], err_msg=name)
    cards._card.cache_clear()
