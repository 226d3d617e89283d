"""A real GPU: the same numbers as the processor, and the same bits as the emulator; `benchmarks/gpu.py` runs them.

NETDSL_CUDA=emulated runs them on an emulated card, which shows that the tests themselves work.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl import passes
from netdsl.backend.layout import lay_out
from netdsl.ir import TensorType
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.ops.initializers import initialize
from netdsl.primitives import Input, Param, PrimitiveBuilder
from netdsl.runtime import Program
from netdsl.schedule import View
from netdsl.train.memory_prediction import program_graph
from tests.calls import call
from tests.cuda.card import real

pytest.importorskip("numba_cuda", reason="the device cuda needs numba-cuda, which is not installed")
from netdsl.backend.step import SCRATCH
from netdsl.cuda.card import BoundLaunch
from netdsl.cuda.compiler import compile_ptx
from netdsl.cuda.step import Launch
from tests.cuda.emulated import run_emulated

pytestmark = pytest.mark.gpu
EXAMPLES = Path(__file__).parents[2] / "examples"
ZOO = [("lenet5", None), ("resnet", "resnet18"), ("mobilenet_v2", None), ("googlenet", None), ("unet", None)]
TRAININGS = {"digits": 5, "digits_softmax": 8, "two_heads": 3}
TOLERANCES = {"f32": 1e-5, "tf32": 1e-3, "bf16": 1e-2}


@pytest.fixture
def gpu():
    return real()


def program_of(network, mode, device, batch=2):
    """A program with first weights, and what it is fed."""
    graph = program_graph(network, batch, mode, device)
    program = Program(graph, device)
    for leaf in (*graph.leaves("param"), *graph.leaves("state")):
        program.set(leaf.id, initialize(leaf, 0))
    return program, {name: drawn(t) for name, t in program.inputs.items()}


def drawn(t, seed=0):
    """Random elements; integers are 0 or 1, which every index may be."""
    rng = np.random.default_rng(seed)
    if t.dtype == "f32":
        return rng.random(t.shape, np.float32)
    return rng.integers(0, 2, t.shape).astype(NUMPY_DTYPE[t.dtype])


@pytest.mark.parametrize(("name", "net"), ZOO)
def test_the_zoo_predicts_what_the_processor_does(name, net, gpu):
    network = netdsl.load(EXAMPLES / f"{name}.net", **({"net": net} if net else {}))
    mine, feeds = program_of(network, "inference", gpu, 1)
    theirs, _ = program_of(network, "inference", netdsl.device("cpu"), 1)
    wanted = theirs.run(feeds)
    for output, found in mine.run(feeds).items():
        scale = float(np.abs(wanted[output]).max(initial=0)) or 1.0
        np.testing.assert_allclose(found, wanted[output], rtol=1e-3, atol=1e-4 * scale, err_msg=output)


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_is_as_good_as_on_the_processor(name, gpu, capsys, tmp_path):
    """The first losses are those of the processor, the last accuracies differ by chance alone."""
    curves = {}
    for device in ("cpu", "cuda"):
        words = (
            "--device",
            device,
            "--set",
            f"train.epochs={TRAININGS[name]}",
            "--out",
            str(tmp_path / device),
        )
        assert call(capsys, "train", EXAMPLES / f"{name}.net", *words)[0] == 0
        lines = map(json.loads, (tmp_path / device / "metrics.jsonl").read_text().splitlines())
        curves[device] = [line["train"]["loss"] for line in lines if line["event"] == "epoch"]
    np.testing.assert_allclose(curves["cuda"][:1], curves["cpu"][:1], rtol=2e-3)
    np.testing.assert_allclose(curves["cuda"][-1], curves["cpu"][-1], rtol=0.15, atol=0.02)


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("name", ["lenet5", "digits"])
def test_a_replay_is_its_launches_one_by_one(name, mode, gpu):
    """Bit for bit: three runs of a graph, and three of its launches."""
    network = netdsl.load(EXAMPLES / f"{name}.net")
    found = []
    for alone in (False, True):
        program, feeds = program_of(network, mode, gpu)
        if alone:
            executable = program.executable
            executable.run = lambda e=executable: [e.run_step(k) for k in range(e.count)]
        outputs = [program.run(feeds) for _ in range(3)]
        found.append([*outputs, program.state_dict()])
    for a, b in zip(*found, strict=True):
        assert {k: v.tobytes() for k, v in a.items()} == {k: v.tobytes() for k, v in b.items()}


@cache
def launches(name: str, device: object) -> list[tuple[Launch, dict]]:
    """A launch of each source of a training, with the types of the buffers."""
    graph = program_graph(netdsl.load(EXAMPLES / f"{name}.net"), 2, "training", device)
    lowered = lay_out(graph, device).lowered
    types = {b: buffer.type for b, buffer in enumerate(lowered.buffers)}
    found = {s.source.key: s for c in lowered.calls for s in c.steps if not s.scratch and _whole(s)}
    return [(step, types) for step in found.values()]


def _whole(step: Launch) -> bool:
    """Whether it reads and writes nothing but buffers."""
    return all(slot.view.buffer >= 0 and slot.view.buffer != SCRATCH for slot in step.slots.values())


@pytest.mark.parametrize("name", ["lenet5", "digits"])
def test_kernels_have_the_bits_of_the_emulator(name, gpu):
    """A few dozen of them; those with approximations, of exp and others, within a millionth."""
    differing = {}
    for launch, types in launches(name, gpu):
        buffers = sorted({slot.view.buffer for slot in launch.slots.values()})
        arrays = {b: drawn(types[b], b).reshape(-1) for b in buffers}
        emulated = {b: a.copy() for b, a in arrays.items()}
        run_emulated([launch], emulated)
        run_on(gpu.card, launch, arrays)
        ptx = compile_ptx(launch.source, gpu.card.capability)
        rough = ".approx" in ptx or "mma.sync" in ptx
        for b in buffers:
            same = np.allclose(arrays[b], emulated[b], 1e-6, 1e-6) if rough else _same(arrays[b], emulated[b])
            if not same:
                differing[launch.title] = float(np.abs(arrays[b] - emulated[b]).max())
    assert not differing


def _same(a, b) -> bool:
    return a.tobytes() == b.tobytes()


def run_on(card, launch, arrays) -> None:
    """Run a launch over flat arrays by buffer."""
    places = {b: card.allocate(max(256, a.nbytes)) for b, a in arrays.items()}
    try:
        for b, a in arrays.items():
            card.write(places[b], a)
        views = {name: slot.view for name, slot in launch.slots.items()}
        at = {name: places[v.buffer] + v.offset for name, v in views.items()}
        arguments = launch.source.pack({**launch.values, **at})
        function = card.load(launch.source, launch.shared)
        bound = BoundLaunch(
            launch.title, card, function, launch.blocks, launch.threads, launch.shared, arguments
        )
        card.bind([bound]).run_one(0)
        for b, a in arrays.items():
            t = netdsl.ir.TensorType(
                a.shape, {"float32": "f32", "int64": "i64", "bool": "bool"}[a.dtype.name]
            )
            host = np.empty(a.nbytes, np.uint8)
            card.fetch(host, places[b], View.dense(0, t))
            card.wait(launch.title)
            a[:] = host.view(a.dtype)
    finally:
        for place in places.values():
            card.free(place)


def test_allocations_take_no_more_than_is_said(gpu):
    card, sizes = gpu.card, [1, 512, 1000, 300_000, 700_000, 1 << 20, 3 << 20, 5_000_000, *[4000] * 50]
    before = card.available()
    places = [card.allocate(size) for size in sizes]
    taken = before - card.available()
    for place in places:
        card.free(place)
    assert 0 <= taken <= card.taken(sizes)


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("size", [(256, 512, 256), (100, 300, 36)])
def test_products_against_float64(precision, size, gpu):
    """The largest error over the largest value."""
    if (reason := gpu.lacks(precision)) is not None:
        pytest.skip(reason)
    device = netdsl.device("cuda", precision=precision)
    rows, terms, columns = size
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((rows, terms))), name="x")
    w = b.add1(Param(TensorType((terms, columns))), name="w")
    graph = passes.inference(device).run(b.finish({"y": b.matmul(x, w)}))
    rng = np.random.default_rng(0)
    a, c = (rng.standard_normal(shape).astype(np.float32) for shape in ((rows, terms), (terms, columns)))
    program = Program(graph, device)
    program.set("w", c)
    wanted = a.astype(np.float64) @ c.astype(np.float64)
    error = np.abs(program.run({"x": a})["y"] - wanted).max() / np.abs(wanted).max()
    assert error < TOLERANCES[precision]
