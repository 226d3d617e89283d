"""What the assembler says of kernels, for cards of six generations: no GPU is needed to compile for one.

Instructions are counted in the machine code itself where NVIDIA's nvdisasm is installed, else in the PTX.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import pytest

import netdsl
from netdsl.backend.layout import lay_out
from netdsl.train.memory_prediction import program_graph

pytest.importorskip("numba_cuda", reason="compiling for a GPU needs numba-cuda, which is not installed")
from netdsl.cuda.compiler import compile_ptx
from netdsl.cuda.cubin import compile_cubin
from netdsl.cuda.machine_code import machine_code
from netdsl.cuda.occupancy import resident_blocks
from netdsl.cuda.step import Launch
from tests.cuda.card import emulated

EXAMPLES = Path(__file__).parents[2] / "examples"
CARDS = [(7, 5), (8, 0), (8, 6), (9, 0), (10, 0), (12, 0)]
#: 64-bit floats are slow, the memory of a thread lies in DRAM, a call spills registers
UNWANTED = re.compile(r"\.f64|\.local|\bcall\b")
#: four elements from an address that is a parameter, which are read by one instruction
READ = re.compile(r"\b(?:fetch4\(\w+, [^,]+|take4\(\w+, [^,]+), (\w+),")
STORED = re.compile(r"\bput4\((\w+),")

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
#: else the small network is looked at for all cards, the others for one: all of them take hours to compile
EVERY = bool(os.environ.get("NETDSL_EVERY_CARD"))
QUICK = ("lenet5", "inference", (9, 0))
CASES = [
    pytest.param(
        name,
        mode,
        card,
        id=f"{name}-{mode}-sm_{card[0]}{card[1]}",
        marks=() if (name, mode, card) == QUICK else pytest.mark.emulated,
    )
    for card in sorted(CARDS, key=lambda c: c != (9, 0))
    for name in NETWORKS
    for mode in ("inference", "training")
    if EVERY or name == "lenet5" or card == (9, 0)
]


@cache
def launches(name: str, mode: str, device: object) -> list[Launch]:
    """A launch of each source of a network."""
    text = EXAMPLES / f"{name}.net"
    network = netdsl.load(text, **({"net": NETWORKS[name]} if NETWORKS[name] else {}))
    lowered = lay_out(program_graph(network, 8, mode, device), device).lowered
    return list({step.source.key: step for call in lowered.calls for step in call.steps}.values())


@cache
def faults(launch_of: tuple[str, str], key: str, card: tuple[int, int], device: object) -> list[str]:
    """What is wrong with a kernel; those that networks share are looked at once."""
    launch = next(s for s in launches(*launch_of, device) if s.source.key == key)
    return list(_faults(launch, card))


def _faults(launch: Launch, card: tuple[int, int]):
    source, code, ptx = launch.source, machine_code(launch.source, card), compile_ptx(launch.source, card)
    yield from (f"{found} in the PTX" for found in UNWANTED.findall(ptx))
    # One register that is put away once and taken back once costs less than a block that has no room.
    if code.stack > 8 or code.stores > 4 or code.loads > 4:
        yield f"a stack of {code.stack} bytes, of which {code.stores} are stored and {code.loads} loaded by spills"
    threads, blocks = source.bounds or (launch.threads, 2)
    held = code.resident(launch, card)
    # Cards with fewer warps or less shared memory hold fewer, however few registers there are.
    if held < min(blocks, resident_blocks(card, threads, 1, code.shared + launch.shared)):
        yield f"{code.registers} registers leave room for {held} blocks of {threads} threads, not {blocks}"
    written = source.text.count("syncthreads()")
    if ptx.count("bar.sync") < written or code.barriers != bool(written):
        yield f"{ptx.count('bar.sync')} barriers in the PTX, {code.barriers} kinds, {written} written"
    if code.instructions is not None:
        yield from _instruction_faults(source, code, ptx)


def _instruction_faults(source, code, ptx):
    # Calls are looked for in the PTX: the assembler also leaves loops by an instruction of that name.
    for kind, most in {"f64": 0, "local": 2}.items():
        if code.count(kind) > most:
            yield f"{code.count(kind)} instructions of kind {kind}"
    if code.count("barriers") < ptx.count("bar.sync"):
        yield f"{code.count('barriers')} barriers, {ptx.count('bar.sync')} in the PTX"
    if ptx.count("mma.sync") > code.count("matrix"):
        yield f"{code.count('matrix')} products of tensor cores, {ptx.count('mma.sync')} in the PTX"
    pointers = {p.name for p in source.parameters if p.to}
    for found, kind in ((READ, "wide loads"), (STORED, "wide stores")):
        wanted = pointers.intersection(found.findall(source.text))
        if code.count(kind) < len(wanted):
            yield f"{code.count(kind)} {kind} for {sorted(wanted)}"


@pytest.mark.parametrize(("name", "mode", "card"), CASES)
def test_machine_code_is_as_meant(name, mode, card, monkeypatch):
    """Registers in budget, nothing spilled, 128 bits at once, barriers as written, nothing in 64-bit floats."""
    device = emulated(monkeypatch)
    found = [
        (s.title, faults((name, mode), s.source.key, card, device)) for s in launches(name, mode, device)
    ]
    assert not [(title, what) for title, what in found if what]


def test_machine_code_is_an_elf_file(monkeypatch):
    launch = launches("lenet5", "inference", emulated(monkeypatch))[0]
    assert compile_cubin(launch.source, (9, 0))[:4] == b"\x7fELF"


def test_channels_by_fours_are_read_at_once(monkeypatch):
    """A convolution of 64 channels reads and stores 128 bits at once."""
    found = [s for s in launches("resnet", "inference", emulated(monkeypatch)) if "3x3 64->64" in s.title]
    assert found
    ptx = compile_ptx(found[0].source, (9, 0))
    assert "ld.global.v4.f32" in ptx and "st.global.v4.f32" in ptx


@pytest.mark.parametrize(
    ("card", "threads", "registers", "shared", "blocks"),
    [
        # From NVIDIA's occupancy calculator.
        ((9, 0), 256, 32, 0, 8),
        ((9, 0), 256, 128, 17 << 10, 2),
        ((9, 0), 128, 128, 17 << 10, 4),
        ((9, 0), 64, 95, 4608, 10),
        ((9, 0), 32, 16, 0, 32),
        ((9, 0), 256, 255, 0, 1),
        ((9, 0), 1024, 65, 0, 0),
        ((9, 0), 128, 32, 64 << 10, 3),
        ((8, 0), 128, 32, 32 << 10, 4),
        ((8, 6), 256, 32, 0, 6),
        ((8, 6), 64, 32, 0, 16),
        ((7, 5), 256, 32, 0, 4),
        ((7, 5), 256, 32, 32 << 10, 2),
        ((12, 0), 256, 40, 0, 6),
    ],
)
def test_blocks_of_a_multiprocessor(card, threads, registers, shared, blocks):
    assert resident_blocks(card, threads, registers, shared) == blocks


def test_an_unknown_generation_is_refused():
    with pytest.raises(LookupError, match=r"compute capability 6\.1 holds is not known"):
        resident_blocks((6, 1), 256, 32, 0)
