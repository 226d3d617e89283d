"""The device cuda: programs on an emulated card, what it finds, and what is said where there is no card."""

from __future__ import annotations

import contextlib
import gc
import sys
import types
from dataclasses import replace

import numpy as np
import pytest

import netdsl
from netdsl.backend.target import Spot
from netdsl.cuda import cards
from netdsl.ir import TensorType
from netdsl.primitives import Input, PrimitiveBuilder
from netdsl.runtime import Program
from netdsl.scalar import exp
from netdsl.schedule import View
from netdsl.source import NetError

pytest.importorskip("numba_cuda", reason="the device cuda needs numba-cuda, which is not installed")
from netdsl.cuda.emulated import EmulatedCard
from netdsl.cuda.emulator import HostAccessError
from netdsl.cuda.memory import CudaMemory


@pytest.fixture
def emulated(monkeypatch):
    """The emulated card number 0."""
    monkeypatch.setenv("NETDSL_CUDA", "emulated")
    cards._card.cache_clear()
    yield cards.find_card(0)
    cards._card.cache_clear()


def chain(n=5):
    """e^x * 2 + 1, in three steps."""
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((n,))), name="x")
    y = b.map(exp, x)
    z = b.map(lambda a: a * 2.0, y)
    return b.finish({"y": y, "z": b.map(lambda a: a + 1.0, z)})


def test_a_program_runs_again_and_again(emulated):
    program = Program(chain(), "cuda")
    for k in range(3):
        x = np.linspace(-1, k, 5).astype(np.float32)
        got = program.run({"x": x})
        np.testing.assert_allclose(got["y"], np.exp(x), rtol=1e-6)
        np.testing.assert_allclose(got["z"], np.exp(x) * 2 + 1, rtol=1e-6)
    assert emulated.launched == 3 * len(program.steps)
    assert [t.title for t in program.profile({"x": x}, 2)] == [step.title for step in program.steps]


def test_memory_goes_back(emulated):
    def live():
        gc.collect()
        return len(emulated._memory._live)

    Program(chain(), "cuda")  # kernels have variables, and stay
    before = live()
    program = Program(chain(), "cuda")
    assert live() > before
    del program
    assert live() == before


def test_what_nobody_reads_any_more_is_poisoned(emulated):
    """A plan that forgets who reads a value is found."""
    program = Program(chain(), "cuda")
    feeds = {"x": np.zeros(5, np.float32)}
    arena, layout = program._workspace.memory, program.layout
    where = {b: Spot(arena, offset) for b, offset in layout.offsets.items()}
    where |= {b: Spot(program._leaves[name].memory) for name, b in layout.schedule.leaves.items()}
    lowered = replace(layout.lowered, outputs=())
    program.executable = program.device.link(lowered, where, [Spot(arena)] * len(layout.scratch))
    with pytest.raises(HostAccessError, match="were not written"):
        program.run(feeds)


def test_a_wrong_kernel_is_named_with_its_step(emulated):
    program = Program(chain(), "cuda")
    emulated._memory.protect(program._workspace.memory.address, program.layout.arenas[None].size)
    with pytest.raises(netdsl.NetError, match=r"the kernel of map 5: write to read-only memory"):
        program.run({"x": np.zeros(5, np.float32)})


def test_tensors_convert_what_is_safe_and_read_between_gaps():
    card = EmulatedCard(0, 1 << 20)
    memory = CudaMemory(card, 48)
    dense = memory.tensor(View.dense(0, TensorType((3, 4))))
    dense.copy_in(np.arange(12.0).reshape(3, 4))
    assert (dense.copy_out() == np.arange(12).reshape(3, 4)).all()
    part = memory.tensor(View.dense(0, TensorType((3, 4))).sliced((0, 1), (1, 2), (3, 2)))
    assert (part.copy_out() == [[1, 3], [5, 7], [9, 11]]).all()
    with pytest.raises(ValueError, match="with gaps"):
        part.copy_in(np.zeros((3, 2)))
    with pytest.raises(TypeError, match="does not convert"):
        dense.copy_in(np.zeros((3, 4), np.complex64))
    empty = memory.tensor(View.dense(0, TensorType((0, 4))))
    empty.copy_in(np.zeros((0, 4)))
    assert empty.copy_out().shape == (0, 4)


def test_cards_have_numbers(emulated):
    second = netdsl.device("cuda:1")
    assert second == netdsl.device("cuda", index=1) and second.place == "cuda:1"
    assert netdsl.device("cuda") == netdsl.device("cuda:0") != second
    assert (second.place, second.label) == ("cuda:1", "cuda:1 (emulated)")
    assert second.card is not emulated
    program = Program(chain(), "cuda")
    with pytest.raises(ValueError, match="a program on cuda:1 cannot share memory on cuda:0"):
        Program(chain(), second, program)
    x = np.zeros(5, np.float32)
    np.testing.assert_allclose(Program(chain(), second).run({"x": x})["z"], 3 + 0 * x)
    with pytest.raises(
        netdsl.NetError, match="there are 8 emulated cards, cuda:0 to cuda:7, and none of number 8"
    ):
        netdsl.device("cuda:8")


@pytest.mark.parametrize("index", [-1, True, 1.0, "0"])
def test_a_card_is_chosen_by_a_number(index):
    with pytest.raises(netdsl.NetError, match="a whole number from 0"):
        netdsl.device("cuda", index=index)


def test_the_variable_of_the_environment(monkeypatch):
    monkeypatch.setenv("NETDSL_CUDA", "simulated")
    with pytest.raises(netdsl.NetError, match="'simulated', which is no kind of card"):
        netdsl.device("cuda")


def test_an_emulated_card_has_no_endless_memory():
    card = EmulatedCard(0, 1 << 20)
    with pytest.raises(netdsl.NetError, match="the emulated card has no room"):
        card.allocate(1 << 21)


def test_kernels_that_are_compiled_are_told_from_those_that_are_kept(emulated, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    emulated._kernels.clear()
    first = Program(chain(), "cuda").executable.kernels
    assert not first.cached
    emulated._kernels.clear()
    assert Program(chain(), "cuda").executable.kernels == replace(first, cached=True)


def test_kernels_are_shown(emulated):
    executable = Program(chain(), "cuda").executable
    assert "def kernel(" in executable.listing("ir")
    assert ".visible .entry" in executable.listing("asm")


class Profiler(types.ModuleType):
    """What is asked of the package nvtx: ranges, with how deep each lies in others."""

    def __init__(self):
        super().__init__("nvtx")
        self.ranges, self.depth = [], 0

    @contextlib.contextmanager
    def annotate(self, message, domain):
        self.ranges.append((self.depth, message))
        self.depth += 1
        yield
        self.depth -= 1


def test_launches_lie_in_ranges_of_their_names(emulated, monkeypatch):
    """All of a run in one range, and the same bits."""
    profiler = Profiler()
    monkeypatch.setitem(sys.modules, "nvtx", profiler)
    x = np.linspace(-1, 1, 5).astype(np.float32)
    plain, named = (Program(chain(), netdsl.device("cuda", nvtx=n)) for n in (False, True))
    assert named.run({"x": x})["z"].tobytes() == plain.run({"x": x})["z"].tobytes()
    titles = [(1, step.title) for step in named.steps]
    assert profiler.ranges == [(0, "prepare"), (0, "run"), *titles] and profiler.depth == 0
    profiler.ranges.clear()
    named.profile({"x": x}, 1)
    assert [title for _, title in profiler.ranges if title == titles[0][1]]


def test_ranges_need_a_package(emulated, monkeypatch):
    monkeypatch.setitem(sys.modules, "nvtx", None)
    with pytest.raises(NetError, match="naming launches for a profiler needs nvtx"):
        netdsl.device("cuda", nvtx=True)
    with pytest.raises(NetError, match="nvtx is True or False, not 2"):
        netdsl.device("cuda", nvtx=2)


def test_a_batch_too_large_for_a_kernel_is_a_message(emulated, tmp_path):
    """Planned where the memory would be there: no traceback, and the layer in the file."""
    (tmp_path / "n.net").write_text("net N {\n  input x: [1024]\n  output y = x -> dense(16384)\n}\n")
    with pytest.raises(NetError, match="too large for cuda: contract over 4_294_967_296 elements") as error:
        netdsl.compile(netdsl.load(tmp_path / "n.net", batch=2**18), device="cuda")
    (problem,) = error.value.diagnostics
    assert problem.code == "limit" and problem.span.text == "dense" and "smaller batch" in problem.fix
