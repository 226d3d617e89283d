"""Devices by name, their options, and what is said of those that are not there."""

import numpy as np
import pytest

import netdsl
from netdsl.backend.registry import find_target
from netdsl.elaborate import elaborate
from netdsl.source import Source

TEXT = "net N {\n  input x: [6]\n  output y = x -> dense(4) -> relu\n}\n"


def network():
    return elaborate(Source("n.net", TEXT), 2)


REFUSED = {
    "a near name": (("cpuu", {}), "no device is called cpuu(.|\n)*did you mean cpu"),
    "a GPU by another name": (("gpu", {}), "no device is called gpu(.|\n)*did you mean cuda"),
    "a GPU with a number": (("GPU:1", {}), "no device is called GPU:1(.|\n)*did you mean cuda:1"),
    "another name": (("abacus", {}), "no device is called abacus(.|\n)*the devices are cpu, cuda, reference"),
    "an option of another device": (
        ("reference", {"threads": 2}),
        "reference has no option threads: .* poison",
    ),
    "a near name with a number": (("cud:1", {}), "no device is called cud:1(.|\n)*did you mean cuda:1"),
    "a number of the only one": (("cpu:0", {}), "there is one device cpu, which has no number"),
    "no number": (("cuda:", {}), "'' in cuda: is no number of a device(.|\n)*cuda:1 the second"),
    "a negative number": (("cuda:-1", {}), "'-1' in cuda:-1 is no number"),
    "a digit of another script": (("cuda:\u0663", {}), "is no number of a device"),
    "two numbers": (("cuda:1", {"index": 0}), "cuda:1 has the number 1, and index = 0 is given too"),
    "an unknown option": (
        ("cpu", {"poison": True}),
        "cpu has no option poison: its options are precision, threads",
    ),
    "a precision it lacks": (("cpu", {"precision": "bf16"}), "the device cpu multiplies in f32, not in bf16"),
    "no precision": (("reference", {"precision": "fp16"}), "not fp16(.|\n)*write bf16: its range"),
    "a wrong value": (("cpu", {"threads": 0}), "0 threads are asked for"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    (device, options), message = REFUSED[name]
    with pytest.raises(netdsl.NetError, match=message):
        netdsl.device(device, **options)


@pytest.mark.parametrize("device", [None, 3, True, b"cpu", ["cpu"], type(netdsl.device())])
def test_what_is_no_device(device):
    for call in (netdsl.device, lambda name: netdsl.compile(network(), device=name)):
        with pytest.raises(netdsl.NetError, match="a device is a name"):
            call(device)


def test_numbers_of_threads(monkeypatch):
    assert netdsl.device("cpu", threads=np.int64(2)) == netdsl.device("cpu", threads=2)
    for wrong in (True, 2.0, "2"):
        with pytest.raises(netdsl.NetError, match="threads are asked for"):
            netdsl.device("cpu", threads=wrong)
    for wrong in ("9" * 5000, "\u0663", "0"):
        monkeypatch.setenv("NETDSL_THREADS", wrong)
        with pytest.raises(netdsl.NetError, match="must be a whole number from 1 to 1024"):
            netdsl.device("cpu")


def test_gradients_share_no_memory_across_devices(tmp_path):
    (tmp_path / "n.net").write_text(TEXT)
    net = netdsl.load(tmp_path / "n.net")
    program = netdsl.compile(net)
    with pytest.raises(netdsl.NetError, match="a gradient on reference cannot share weights on cpu"):
        net.gradient("y", share=program, device="reference")


def test_options_that_are_left_out_stay():
    two = netdsl.device("cpu", threads=2)
    assert find_target(two, threads=None) == two and find_target(two, threads=3).threads == 3
    assert netdsl.compile(network(), device=two).device == two
    assert netdsl.compile(network(), threads=2).device == two


def test_devices_agree_and_share_no_memory():
    x = np.random.default_rng(0).standard_normal((2, 6)).astype(np.float32)
    cpu, reference = (netdsl.compile(network(), device=name) for name in ("cpu", "reference"))
    np.testing.assert_allclose(cpu.run({"x": x})["y"], reference.run({"x": x})["y"], rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="reference cannot share memory on cpu"):
        netdsl.Program(reference.graph, "reference", cpu)


def test_steps_are_timed_on_every_device():
    x = np.zeros((2, 6), np.float32)
    for name in ("cpu", "reference"):
        program = netdsl.compile(network(), device=name)
        times = program.profile({"x": x}, 3)
        assert [t.title for t in times] == [step.title for step in program.steps] and times
        assert all(t.seconds >= 0 for t in times)
