"""The GPUs of this machine: what is asked of the driver, and what is said where it refuses; no GPU is needed."""

from __future__ import annotations

import gc
import os
import types
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl import passes
from netdsl.backend.layout import lay_out
from netdsl.elaborate import elaborate
from netdsl.ops.expand import expand
from netdsl.runtime import Program
from netdsl.runtime.fresh import draw_weights
from netdsl.runtime.room import NoRoom, advising
from netdsl.source import NetWarning, Source
from netdsl.train.memory_prediction import program_graph

pytest.importorskip("numba_cuda", reason="the device cuda needs numba-cuda, which is not installed")
from netdsl.cuda import cards, driver
from netdsl.cuda.compiler import compile_ptx
from netdsl.cuda.cubin import compile_cubin
from netdsl.cuda.kernels.map import plan_elementwise
from netdsl.ir import TensorType
from netdsl.primitives import Map
from netdsl.scalar import Arg
from netdsl.schedule import View
from tests.cuda.fake_driver import PAGE, FakeDriver, Result
from tests.cuda.test_cuda_target import chain

LENET = Path(__file__).parents[2] / "examples" / "lenet5.net"


@pytest.fixture
def fake(monkeypatch):
    """A machine with one card, whose driver takes PTX."""
    found = FakeDriver()
    install(monkeypatch, found)
    yield found
    cards._card.cache_clear()


def install(monkeypatch, found):
    monkeypatch.delenv("NETDSL_CUDA", raising=False)
    monkeypatch.setattr(driver, "_driver", lambda: found)
    monkeypatch.setattr(driver, "compile_cubin", lambda source, cc: compile_ptx(source, cc).encode())
    cards._card.cache_clear()


def test_a_run_is_one_call_for_all_launches(fake):
    program = Program(chain(), "cuda")
    x = np.linspace(-1, 1, 5).astype(np.float32)
    np.testing.assert_allclose(program.run({"x": x})["z"], np.exp(x) * 2 + 1, rtol=1e-6)
    fake.calls.clear()
    np.testing.assert_allclose(program.run({"x": -x})["z"], np.exp(-x) * 2 + 1, rtol=1e-6)
    assert fake.calls["cuGraphLaunch"] == 1 and not fake.calls["cuLaunchKernel"]
    assert fake.calls["cuMemcpyHtoDAsync"] == 1 and fake.calls["cuMemcpyDtoHAsync"] == 2
    program.profile({"x": x}, 3)
    assert fake.calls["cuLaunchKernel"] == 3 * len(program.steps)


def test_all_is_given_back(fake):
    program = Program(chain(), "cuda")
    program.run({"x": np.zeros(5, np.float32)})
    assert fake.live
    del program
    gc.collect()
    assert not fake.live


def test_much_shared_memory_is_asked_for(fake):
    card = cards.find_card(0)
    views = [View.dense(k, TensorType((5,))) for k in range(2)]
    (launch,) = plan_elementwise(Map((Arg(0),)), views[:1], views[1:])
    card.load(launch.source, 48 * 1024)
    assert not fake.attributes
    card.load(launch.source, 100_000)
    assert [value for _, value in fake.attributes] == [100_000]


MACHINES = {
    "no card": (FakeDriver(cards=0), 0, "this machine has no GPU"),
    "no second card": (FakeDriver(), 1, r"no GPU of number 1; there is cuda:0 \(Fake H200\)"),
    "an old card": (FakeDriver(capability=(6, 1)), 0, "Fake H200 has compute capability 6.1"),
}


@pytest.mark.parametrize("name", MACHINES)
def test_cards_that_are_not_there(monkeypatch, name):
    found, index, message = MACHINES[name]
    install(monkeypatch, found)
    with pytest.raises(netdsl.NetError, match=message) as caught:
        netdsl.device(f"cuda:{index}")
    assert "--device cpu computes on the processor" in str(caught.value)


def test_memory_that_is_not_there(monkeypatch):
    """Nothing is asked for where the plan knows better; what others use counts, and is said."""
    found = FakeDriver(capacity=8 << 20)
    install(monkeypatch, found)
    asked = found.calls["cuMemAlloc"]
    message = r"the network needs 12 MiB of memory \(3\.81 MiB .*\), cuda:0 \(Fake H200\) has 8 MiB"
    with pytest.raises(NoRoom, match=message):
        Program(chain(1_000_000), "cuda")
    assert found.calls["cuMemAlloc"] == asked
    others = cards.find_card(0).allocate(4_500_000)
    with pytest.raises(NoRoom, match=r"needs 4 MiB of memory .* has 8 MiB, 2 MiB of it free"):
        Program(chain(150_000), "cuda")
    cards.find_card(0).free(others)
    assert Program(chain(150_000), "cuda")
    cards._card.cache_clear()


WIDE = """\
net N {
  input image: [{SIZE}]
  output logits = image -> dense(300) -> relu -> dense(400) -> relu -> dense(10)
}
"""


@pytest.mark.parametrize("size", [700, 1100])
def test_the_batch_that_fits_does(size, monkeypatch):
    """A driver rounds what is asked for, which a sum of bytes does not tell."""
    network = elaborate(Source("n.net", WIDE.replace("{SIZE}", str(size))))
    for pages in (5, 8, 13):
        install(monkeypatch, FakeDriver(capacity=pages * PAGE))
        target = netdsl.device("cuda")

        def make(samples, target=target):
            return program_graph(network, samples, "inference", target)

        with pytest.raises(NoRoom) as caught, advising(100_000, make, target, "{} fit"):
            Program(make(100_000), target)
        fix = caught.value.diagnostics[0].fix
        if fix.endswith(" fit"):
            layout = lay_out(make(int(fix.split()[0])), target)
            assert all(target.card.allocate(size) for size in layout.allocations(None))
    cards._card.cache_clear()


def test_memory_that_the_driver_refuses(fake):
    before = set(fake.live)
    fake.fails["cuMemAlloc"] = Result.CUDA_ERROR_OUT_OF_MEMORY
    with pytest.raises(NoRoom, match=r"has 16 MiB: Fake H200 has no memory left \(cuMemAlloc: cuda_err"):
        Program(chain(), "cuda")
    with pytest.raises(
        NoRoom, match=r"1 sample at a time .*: Fake H200 has(.|\n)*help: a smaller batch needs less"
    ):
        netdsl.compile(netdsl.load(LENET), device="cuda")
    fake.fails = {"cuGraphInstantiate": Result.CUDA_ERROR_OUT_OF_MEMORY}
    with pytest.raises(NoRoom, match="cuGraphInstantiate"):
        Program(chain(), "cuda")
    fake.fails = {}
    gc.collect()
    assert fake.live == before


def test_what_the_driver_says_is_told(fake):
    program = Program(chain(), "cuda")
    fake.fails["cuStreamSynchronize"] = Result.CUDA_ERROR_ILLEGAL_ADDRESS
    with pytest.raises(netdsl.NetError, match=r"the GPU failed in a run: .*illegal_address") as caught:
        program.run({"x": np.zeros(5, np.float32)})
    assert "NETDSL_CUDA=emulated" in str(caught.value)
    fake.fails = {"cuMemcpyDtoHAsync": Result.CUDA_ERROR_MISALIGNED_ADDRESS}
    with pytest.raises(
        netdsl.NetError, match=r"the GPU failed in what it ran before cuMemcpyDtoH(.|\n)*emulated"
    ):
        program.run({"x": np.zeros(5, np.float32)})
    fake.fails = {"cuGraphLaunch": Result.CUDA_ERROR_INVALID_VALUE}
    with pytest.raises(netdsl.NetError, match="the CUDA driver refuses cuGraphLaunch"):
        program.run({"x": np.zeros(5, np.float32)})
    fake.fails = {}


def test_a_forked_process_has_no_card(fake, monkeypatch):
    program = Program(chain(), "cuda")
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    with pytest.raises(netdsl.NetError, match="a process that is forked cannot use the GPU"):
        program.run({"x": np.zeros(5, np.float32)})
    before = set(fake.live)
    del program
    gc.collect()
    assert fake.live == before  # it is the parent's


DRIVERS = {
    "no device": ({"cuInit": Result.CUDA_ERROR_NO_DEVICE}, "the NVIDIA driver finds no GPU"),
    "broken": ({"cuInit": Result.CUDA_ERROR_UNKNOWN}, "the NVIDIA driver does not start: cuda_error_unknown"),
    "old": ({}, r"the NVIDIA driver knows CUDA 12\.8, kernels are made by CUDA 13"),
}


@pytest.mark.parametrize("name", DRIVERS)
def test_drivers_that_do_not_serve(monkeypatch, name):
    found = FakeDriver()
    found.fails, message = DRIVERS[name]
    modules = {
        "cuda.bindings.driver": found,
        "cuda.bindings.nvjitlink": types.SimpleNamespace(version=lambda: (13, 5)),
    }
    if name == "old":
        monkeypatch.setattr(found, "cuDriverGetVersion", lambda: (12080,))
    real = driver.importlib.import_module
    monkeypatch.setattr(driver.importlib, "import_module", lambda n: modules.get(n) or real(n))
    driver._driver.cache_clear()
    with pytest.raises(netdsl.NetError, match=message):
        driver._driver()
    driver._driver.cache_clear()


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a driver")
def test_no_driver_at_all(monkeypatch):
    monkeypatch.delenv("NETDSL_CUDA", raising=False)
    driver._driver.cache_clear()
    with pytest.raises(netdsl.NetError, match="no NVIDIA driver is found"):
        netdsl.device("cuda")


def test_code_for_every_generation():
    views = [View.dense(k, TensorType((5,))) for k in range(2)]
    (launch,) = plan_elementwise(Map((Arg(0) * 2.0,)), views[:1], views[1:])
    made = {cc: compile_cubin(launch.source, cc) for cc in [(7, 5), (8, 0), (8, 6), (9, 0), (10, 0), (12, 0)]}
    assert all(code[:4] == b"\x7fELF" for code in made.values()) and len(set(made.values())) == 6


@pytest.fixture
def two(monkeypatch):
    """A machine with two cards."""
    found = FakeDriver(cards=2)
    install(monkeypatch, found)
    yield found
    cards._card.cache_clear()


def towers(device="cuda"):
    text = """net N { input x: [4]
  a, b = (x -> dense(3) -> tanh, (x -> dense(3) -> tanh) @gpu(1))
  c = b -> dense(3) @gpu(1)
  output y = (a, b, c) -> concat -> dense(2)
}"""
    graph = elaborate(Source("net.net", text)).graph
    target = netdsl.device(device)
    program = Program(passes.inference(target).run(expand(graph)), target)
    draw_weights((graph[name] for name in program.weights), 1, program.set)
    return program


@pytest.mark.filterwarnings("ignore:(?s).*is left out")
def test_two_cards_are_one_graph(two):
    program, x = towers(), np.linspace(-1, 1, 4).astype(np.float32)[None]
    y = program.run({"x": x})["y"]
    np.testing.assert_allclose(y, towers("cpu").run({"x": x})["y"], rtol=1e-5)
    assert two.reached == {(0, 1), (1, 0)}
    two.calls.clear()
    assert program.run({"x": x})["y"].tobytes() == y.tobytes()
    assert two.calls["cuGraphLaunch"] == 1
    assert not two.calls["cuLaunchKernel"] and not two.calls["cuMemcpyAsync"]
    program.profile({"x": x}, 1)
    assert two.calls["cuMemcpyAsync"] == 3
    assert two.calls["cuLaunchKernel"] + two.calls["cuMemcpyAsync"] == len(program.steps)
    del program
    gc.collect()
    assert not two.live


@pytest.mark.filterwarnings("ignore:(?s).*is left out")
def test_cards_that_do_not_reach_each_other_go_without_a_graph(two):
    two.reach = False
    program, x = towers(), np.linspace(-1, 1, 4).astype(np.float32)[None]
    two.calls.clear()
    y = program.run({"x": x})["y"]
    np.testing.assert_allclose(y, towers("cpu").run({"x": x})["y"], rtol=1e-5)
    assert not two.calls["cuGraphLaunch"] and two.calls["cuMemcpyAsync"] == 3
    assert not two.calls["cuCtxEnablePeerAccess"]


def test_access_that_is_there_already_is_no_mistake(two):
    two.fails["cuCtxEnablePeerAccess"] = Result.CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED
    towers()
    cards._card.cache_clear()
    two.fails["cuCtxEnablePeerAccess"] = Result.CUDA_ERROR_TOO_MANY_PEERS
    with pytest.raises(netdsl.NetError, match="the CUDA driver refuses cuCtxEnablePeerAccess"):
        towers()
    two.fails = {}


def test_one_card_leaves_the_tag_out(fake):
    with pytest.warns(NetWarning, match=r"@gpu\(1\) is left out: this machine has 1 GPU"):
        program = towers()
    assert list(program.layout.arenas) == [None] and not fake.calls["cuEventCreate"]
