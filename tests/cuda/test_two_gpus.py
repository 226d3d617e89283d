"""Networks on two emulated cards: the same bits as on one, whatever the order in which the streams run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl import passes
from netdsl.elaborate import elaborate
from netdsl.ops.expand import expand
from netdsl.ops.rebatch import with_batch
from netdsl.primitives import Transfer
from netdsl.runtime import Program
from netdsl.runtime.fresh import draw_weights
from netdsl.source import Source
from netdsl.train.sections import training_sections
from netdsl.train.whole_step import step_graph
from tests.calls import call
from tests.cuda.card import emulated

pytest.importorskip("numba_cuda", reason="the device cuda needs numba-cuda, which is not installed")
from netdsl.cuda import cards
from netdsl.cuda.card import BoundCopy, BoundLaunch
from netdsl.cuda.waits import Waits

TOWERS = Path(__file__).parents[2] / "examples" / "digits_towers.net"
TEXT = re.sub(r"width = \d+", "width = 2", TOWERS.read_text(), count=1)
PLAIN = TEXT.replace(" @gpu(1)", "")
CLIPPED = TEXT.replace("adam(lr = 0.003)", "sgd(lr = 0.1, momentum = 0.9)").replace(
    "  schedule  = cosine", "  clip_norm = 1.0\n  accumulate = 2\n  schedule = none"
)


@pytest.fixture
def device(monkeypatch):
    cards._card.cache_clear()
    yield emulated(monkeypatch)
    cards._card.cache_clear()


def inference(text, device, batch=3):
    graph = elaborate(Source("net.net", text)).graph
    program = Program(passes.inference(device).run(expand(with_batch(graph, batch))), device)
    draw_weights((graph[name] for name in program.weights), 5, program.set)
    return program


def training(text, device, batch=4):
    sections = training_sections(elaborate(Source("net.net", text), batch))
    objective = with_batch(sections.network.objective, batch)
    graph = passes.training(device).run(step_graph(objective, sections.settings))
    program = Program(graph, device)
    draw_weights((graph[name] for name in program.weights), 5, program.set)
    return program


def feeds_of(program, seed=0):
    rng = np.random.default_rng(seed)
    found = {}
    for name, t in program.inputs.items():
        whole = t.dtype != "f32"
        found[name] = rng.integers(0, 9, t.shape) if whole else rng.random(t.shape, np.float32) * 0.1 + 0.01
    return found


def results_of(program, runs=1):
    """All that a program gives and leaves."""
    found = {}
    for k in range(runs):
        found |= {f"{k}/{name}": array for name, array in program.run(feeds_of(program, k)).items()}
    return found | {name: program.get(name) for name in program.graph.updates}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.tobytes() == other[name].tobytes(), name


def copies(program):
    return [step for step in steps_of(program) if isinstance(step, BoundCopy)]


def steps_of(program):
    return program.executable._run.steps


def test_inference_has_the_bits_of_one_card(device):
    two, one = inference(TEXT, device), inference(PLAIN, device)
    assert_same(results_of(two, 2), results_of(one, 2))
    # The image, what the stems give, both ways, and what the second tower gives.
    assert [step.to._memory.device for step in copies(two)] == [1, 1, 0, 0]
    assert not copies(one) and list(one.layout.arenas) == [None]
    assert cards.find_card(1).launched > 4


@pytest.mark.parametrize(
    ("tagged", "steps"),
    [
        pytest.param(TEXT, 2, id="adam"),
        pytest.param(CLIPPED, 1, id="clipped", marks=pytest.mark.emulated),
    ],
)
def test_training_has_the_bits_of_one_card(device, tagged, steps):
    two, one = training(tagged, device), training(tagged.replace(" @gpu(1)", ""), device)
    assert_same(results_of(two, steps), results_of(one, steps))
    crossing = [n for n in two.graph if isinstance(n.op, Transfer)]
    assert len({(n.inputs, n.gpu) for n in crossing}) == len(crossing) == len(copies(two))
    held = [two.layout.footprint_on(gpu).weights for gpu in (None, 1)]
    assert sum(held) == one.footprint.weights
    # Adam has two slots, the other one a slot and the gradient so far.
    params = sum(n.types[0].size for n in two.graph.leaves("param") if n.gpu == 1)
    assert held[1] == 4 * (3 * params + 8)  # and running statistics of both batch norms


def test_the_device_may_be_the_second_card(device):
    """What has no tag is on card 1, and `@gpu(0)` is another one."""
    text = TEXT.replace("@gpu(1)", "@gpu(0)")
    other = inference(text, device.on(1))
    assert_same(results_of(other), results_of(inference(PLAIN, device)))
    assert [step.to._memory.device for step in copies(other)] == [0, 0, 1, 1]
    assert not copies(inference(TEXT, device.on(1)))


@dataclass
class Streams:
    """The steps of a program in orders that its streams allow: a step follows those of its stream, and its waits."""

    steps: list

    def run(self, favoured, heed=True):
        """Run them, those of a favoured card whenever one of these can."""
        left, done = {}, set()
        for number, step in enumerate(self.steps):
            left.setdefault(step.card, []).append((number, step))
        while any(left.values()):
            first = [queue[0] for queue in left.values() if queue]
            ready = [(n, s) for n, s in first if not heed or done.issuperset(s.after)]
            number, step = min(ready, key=lambda found: found[1].card._memory.device != favoured)
            del left[step.card][0]
            step.card.execute(step)
            done.add(number)


@pytest.mark.parametrize("make", [inference, pytest.param(training, marks=pytest.mark.emulated)])
def test_any_order_of_the_streams_gives_the_same_bits(device, make):
    expected = results_of(make(TEXT, device))
    for favoured in (0, 1):
        other = make(TEXT, device)
        streams = Streams(steps_of(other))
        other.executable._run.run = lambda s=streams, f=favoured: s.run(f)
        assert_same(results_of(other), expected)


def test_without_its_waits_the_order_shows(device):
    """That the test above would find a wait that is missing."""
    program, expected = inference(TEXT, device), results_of(inference(TEXT, device))
    streams = Streams(steps_of(program))
    program.executable._run.run = lambda: streams.run(1, heed=False)
    with pytest.raises((AssertionError, netdsl.NetError), match=r"y|logits|not written|uninit"):
        assert_same(results_of(program), expected)


def test_memory_goes_back_on_both_cards(device):
    import gc

    def live():
        gc.collect()
        return [len(cards.find_card(k)._memory._live) for k in (0, 1)]

    inference(TEXT, device)  # kernels have variables, and stay
    before = live()
    program = inference(TEXT, device)
    assert all(now > then for now, then in zip(live(), before, strict=True))
    del program
    assert live() == before


def test_a_kernel_that_touches_the_other_card_is_found(device):
    program = inference(TEXT, device)
    launch = next(s for s in steps_of(program) if isinstance(s, BoundLaunch) and s.card is device.card)
    stray = next(
        s
        for s in steps_of(program)
        if isinstance(s, BoundLaunch) and s.card is not device.card and s.title == launch.title
    )
    stray.arguments = launch.arguments
    with pytest.raises(netdsl.NetError, match=r"the kernel of .*memory of device 0, and not of device 1"):
        program.run(feeds_of(program))


def test_a_card_without_room_is_named(device, monkeypatch):
    card = cards.find_card(1)
    monkeypatch.setattr(card, "available", lambda: 1000)
    with pytest.raises(netdsl.NetError, match=r"the network needs .* of memory .*cuda:1"):
        inference(TEXT, device)


def test_programs_share_what_is_on_both_cards(device):
    one = inference(TEXT, device)
    graph = passes.inference(device).run(expand(with_batch(elaborate(Source("n", TEXT)).graph, 2)))
    small = Program(graph, device, share=one)
    assert small._workspace is one._workspace
    x = feeds_of(one)["image"]
    whole = one.run({"image": x})["logits"]
    assert small.run({"image": x[:2]})["logits"].tobytes() == whole[:2].tobytes()


def test_weights_are_the_same_file(device, monkeypatch, capsys, tmp_path):
    """A training on two cards goes on on the processor, which says that the tag is left out."""
    net = tmp_path / "towers.net"
    net.write_text(TEXT)
    few = ["data.subset=16", "train.batch=8", "data.test=none", "data.validation=none"]
    few = [word for setting in few for word in ("--set", setting)]
    run = ("train", str(net), *few, "--out", str(tmp_path / "run"))
    status, _, err = call(capsys, *run, "--device", "cuda", "--set", "train.epochs=1")
    assert status == 0 and "left out" not in err
    status, _, err = call(capsys, *run, "--device", "cpu", "--set", "train.epochs=2", "--resume")
    assert status == 0
    assert err.count("@gpu(1) is left out: the device is no GPU") == 1
    status, out, _ = call(capsys, "compile", str(net), "--device", "cuda", "--emit", "schedule")
    assert status == 0 and out.count("between GPUs") == 4


WAITS = {
    "a stream follows itself": ([("a", ["a", 0, 8]), ("a", ["a", 0, 8])], [(), ()]),
    "a copy waits for who used its target": (
        [("b", ["b", 0, 8]), ("a", ["a", 0, 8], ["b", 4, 8])],
        [(), (0,)],
    ),
    "its reader waits for it": ([("a", ["a", 0, 8], ["b", 0, 8]), ("b", ["b", 4, 8])], [(), (0,)]),
    "but once": (
        [("a", ["a", 0, 8], ["b", 0, 8]), ("b", ["b", 0, 4]), ("b", ["b", 4, 4])],
        [(), (0,), ()],
    ),
    "neighbours are apart": ([("a", ["a", 0, 8], ["b", 8, 8]), ("b", ["b", 0, 8])], [(), ()]),
    "who writes over the source of a copy is in its stream": (
        [("a", ["a", 0, 8], ["b", 0, 8]), ("a", ["a", 0, 8])],
        [(), ()],
    ),
    "the newest counts": (
        [("a", ["b", 0, 8]), ("a", ["b", 8, 8]), ("b", ["b", 0, 16])],
        [(), (), (1,)],
    ),
    "three cards": (
        [("a", ["c", 0, 8]), ("b", ["c", 4, 8]), ("c", ["c", 0, 16])],
        [(), (0,), (0, 1)],
    ),
}


@pytest.mark.parametrize("name", WAITS)
def test_what_a_step_waits_for(name):
    steps, wanted = WAITS[name]
    waits = Waits()
    found = [
        waits.add(number, stream, [tuple(r) for r in ranges])
        for number, (stream, *ranges) in enumerate(steps)
    ]
    assert found == wanted
