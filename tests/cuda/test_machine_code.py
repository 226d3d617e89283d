"""What the assembler says of kernels, for cards of six generations: no GPU is needed to compile for one."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

import netdsl
from netdsl.backend.layout import lay_out
from netdsl.train.memory_prediction import program_graph

pytest.importorskip("numba_cuda", reason="compiling for a GPU needs numba-cuda, which is not installed")
from netdsl.cuda.compiler import compile_ptx
from netdsl.cuda.cubin import assemble
from netdsl.cuda.step import Launch
from tests.cuda.card import emulated

EXAMPLES = Path(__file__).parents[2] / "examples"
CARDS = [(7, 5), (8, 0), (8, 6), (9, 0), (10, 0), (12, 0)]
#: 64-bit floats are slow, the memory of a thread lies in DRAM, a call spills registers
UNWANTED = re.compile(r"\.f64|\.local|\bcall\b")
REGISTERS = 65536
"""Of a multiprocessor."""

NETWORKS = {
    "lenet5": None,
    "digits": None,
    "mlp": None,
    "resnet": "resnet50",
    "densenet": "densenet121",
    "googlenet": None,
    "mobilenet_v2": None,
    "unet": None,
    "yolo_v3": None,
    "shufflenet_v2": None,
}
QUICK = ("lenet5", "inference", (9, 0))
CASES = [
    pytest.param(name, mode, card, marks=() if (name, mode, card) == QUICK else pytest.mark.emulated)
    for name in NETWORKS
    for mode in ("inference", "training")
    for card in (CARDS if name == "lenet5" else [(9, 0)])
]


@cache
def launches(name: str, mode: str, device: object) -> list[Launch]:
    """A launch of each source of a network."""
    text = EXAMPLES / f"{name}.net"
    network = netdsl.load(text, net=NETWORKS[name]) if NETWORKS[name] else netdsl.load(text)
    lowered = lay_out(program_graph(network, 8, mode, device), device).lowered
    return list({step.source.key: step for call in lowered.calls for step in call.steps}.values())


@pytest.mark.parametrize(("name", "mode", "card"), CASES)
def test_kernels_stay_in_registers(name, mode, card, monkeypatch):
    """And in as many as the intended number of blocks of a multiprocessor leaves them."""
    for launch in launches(name, mode, emulated(monkeypatch)):
        ptx = compile_ptx(launch.source, card)
        assert not UNWANTED.findall(ptx), launch.title
        code, said = assemble(ptx, card)
        assert code[:4] == b"\x7fELF"
        stack, stores, loads = map(
            int, re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+)", said).groups()
        )
        assert not stack and not stores and not loads, (launch.title, said)
        used = int(re.search(r"Used (\d+) registers", said)[1])
        threads, blocks = launch.source.bounds or (launch.threads, 2)
        assert -(-used // 8) * 8 * threads * blocks <= REGISTERS, (launch.title, used)


def test_channels_by_fours_are_read_at_once(monkeypatch):
    """A convolution of 64 channels reads and stores 128 bits at once."""
    found = [s for s in launches("resnet", "inference", emulated(monkeypatch)) if "3x3 64->64" in s.title]
    assert found
    ptx = compile_ptx(found[0].source, (9, 0))
    assert "ld.global.v4.f32" in ptx and "st.global.v4.f32" in ptx
