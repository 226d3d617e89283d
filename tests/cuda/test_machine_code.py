"""What the assembler says of kernels, for cards of six generations: no GPU is needed to compile for one.

Instructions are counted in the machine code itself where NVIDIA's nvdisasm is installed, else in the PTX.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import netdsl
from netdsl.backend.layout import lay_out
from netdsl.train.memory_prediction import program_graph

pytest.importorskip("numba_cuda", reason="compiling for a GPU needs numba-cuda, which is not installed")
from netdsl.cuda import many
from netdsl.cuda.compiler import compile_ptx
from netdsl.cuda.cubin import compile_cubin
from netdsl.cuda.machine_code import machine_code
from netdsl.cuda.occupancy import resident_blocks
from netdsl.cuda.step import Launch
from netdsl.cuda.target import TENSOR_CORES
from tests.cuda.card import emulated

EXAMPLES = Path(__file__).parents[2] / "examples"
CARDS = [(9, 0), (7, 5), (8, 0), (8, 6), (10, 0), (12, 0)]
#: 64-bit floats are slow, the memory of a thread lies in DRAM, a call spills registers
UNWANTED = re.compile(r"\.f64|\.local|\bcall\b")
#: four elements from an address that is a parameter, which are read by one instruction
READ = re.compile(r"\b(?:fetch4\(\w+, [^,]+|take4\(\w+, [^,]+), (\w+),")
STORED = re.compile(r"\bput4\((\w+),")
TENSOR = re.compile(r"\b(?:tf32|bf16)_product")

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
#: else the small network is looked at for all cards, the others for one, two of them in less than float32
EVERY = bool(os.environ.get("NETDSL_EVERY_CARD"))
QUICK = ("lenet5", "inference", "f32")
CASES = [
    pytest.param(*case, id="-".join(case), marks=() if case == QUICK else pytest.mark.emulated)
    for precision in ("f32", "tf32", "bf16")
    for name in NETWORKS
    for mode in ("inference", "training")
    if EVERY or precision == "f32" or name in ("lenet5", "resnet")
    for case in [(name, mode, precision)]
]


def cards_for(name: str, mode: str, precision: str) -> list[tuple[int, int]]:
    """The cards that the kernels of a network are looked at for; only newer ones have tensor cores."""
    quick = (name, mode, precision) == QUICK
    cards = CARDS if EVERY or (name == "lenet5" and not quick) else CARDS[:1]
    return [card for card in cards if precision == "f32" or card >= TENSOR_CORES]


def launches(name: str, mode: str, device: object) -> list[Launch]:
    """A launch of each kernel of a network, those that stand for many among them."""
    text = EXAMPLES / f"{name}.net"
    network = netdsl.load(text, **({"net": NETWORKS[name]} if NETWORKS[name] else {}))
    lowered = lay_out(program_graph(network, 8, mode, device), device).lowered
    steps = [step for call in lowered.calls for step in call.steps]
    often = Counter(step.source.key for step in steps if many._small(step))
    found = {step.source.key: step for step in steps}
    grouped = [found[key] for key, count in often.items() if count >= many.FEWEST]
    for step in grouped:
        one = replace(step, title=f"{step.title} and more", source=many.together(step.source))
        found[one.source.key] = one
    return list(found.values())


#: what was found of kernels, which networks share; nothing else is kept, since launches are large
FOUND: dict[tuple[str, tuple[int, int]], list[str]] = {}


def faults(launch: Launch, card: tuple[int, int]) -> list[str]:
    """What is wrong with a kernel."""
    key = launch.source.key, card
    if key not in FOUND:
        FOUND[key] = list(_faults(launch, card))
    return FOUND[key]


def _faults(launch: Launch, card: tuple[int, int]) -> Iterator[str]:
    source, code, ptx = launch.source, machine_code(launch.source, card), compile_ptx(launch.source, card)
    yield from (f"{found} in the PTX" for found in UNWANTED.findall(ptx))
    if code.stack or code.stores or code.loads:
        yield f"a stack of {code.stack} bytes, of which {code.stores} are stored and {code.loads} loaded by spills"
    threads, wanted = source.bounds or (launch.threads, 2)
    blocks = code.blocks or wanted
    if blocks < wanted - 1:
        yield f"its registers do for {blocks} blocks, not {wanted}"
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
    for kind in ("f64", "local"):
        if code.count(kind):
            yield f"{code.count(kind)} instructions of kind {kind}"
    if code.count("barriers") < ptx.count("bar.sync"):
        yield f"{code.count('barriers')} barriers, {ptx.count('bar.sync')} in the PTX"
    if TENSOR.search(source.text) and not ptx.count("mma.sync"):
        yield "no products of tensor cores"
    if ptx.count("mma.sync") > code.count("matrix"):
        yield f"{code.count('matrix')} products of tensor cores, {ptx.count('mma.sync')} in the PTX"
    pointers = {p.name for p in source.parameters if p.to}
    for found, kind in ((READ, "wide loads"), (STORED, "wide stores")):
        wanted = pointers.intersection(found.findall(source.text))
        if code.count(kind) < len(wanted):
            yield f"{code.count(kind)} {kind} for {sorted(wanted)}"


@pytest.mark.parametrize(("name", "mode", "precision"), CASES)
def test_machine_code_is_as_meant(name, mode, precision, monkeypatch):
    """Registers in budget, nothing spilled, 128 bits at once, barriers as written, nothing in 64-bit floats."""
    device = netdsl.device(emulated(monkeypatch), precision=precision)
    found = [
        (launch.title, card, what)
        for launch in launches(name, mode, device)
        for card in cards_for(name, mode, precision)
        for what in faults(launch, card)
    ]
    assert not found


def test_machine_code_is_an_elf_file(monkeypatch):
    launch = launches("lenet5", "inference", emulated(monkeypatch))[0]
    assert compile_cubin(launch.source, (9, 0))[:4] == b"\x7fELF"


def test_a_kernel_that_would_spill_is_for_fewer_blocks(monkeypatch):
    """A product of 64 sums for each thread that shall have 64 registers, of which the tile knows better."""
    found = [s for s in launches("resnet", "inference", emulated(monkeypatch)) if "1x1 256->512" in s.title]
    threads, blocks = found[0].source.bounds
    narrow = replace(found[0], source=replace(found[0].source, bounds=(threads, 2 * blocks)))
    code = machine_code(narrow.source, (9, 0))
    assert blocks - 1 <= code.blocks < 2 * blocks and not code.stack
    assert len(compile_cubin(narrow.source, (9, 0))) > 0


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
