"""Profiles: the clock between the steps, the ceilings of this machine, sums, the page and the command."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import netdsl
from netdsl.backend.arguments import Arguments
from netdsl.backend.ceilings import Ceilings, Level
from netdsl.backend.registry import find_target
from netdsl.cli.main import main
from netdsl.cpu import ceilings
from netdsl.cpu.link import link
from netdsl.cpu.step import Code, Step
from netdsl.cpu.threads.phases import EVERYTHING, Phases, Task
from netdsl.cpu.threads.team import shared_team
from netdsl.measure.profile import Profile, Spent, profile
from netdsl.measure.subject import prediction, training_step
from netdsl.measure.table import page, time_text
from netdsl.source import Source, Span

LENET = str(Path(__file__).parents[2] / "examples" / "lenet5.net")
SCREENS = Path(__file__).parent / "screens"


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("threads", [1, 2])
def test_steps_follow_each_other_and_fill_the_time(device, threads):
    options = {"threads": threads} if device == "cpu" else {}
    program = netdsl.compile(netdsl.load(LENET), device=netdsl.device(device, **options))
    image = np.random.default_rng(0).standard_normal((1, 28, 28, 1)).astype(np.float32)
    before = program.run({"image": image})
    began = time.perf_counter()
    runs = program.timeline({"image": image}, 7)
    took = time.perf_counter() - began
    assert len(runs) == 7 and all(len(steps) == len(program.steps) for steps in runs)
    for steps in runs:
        points = [point for step in steps for point in step]
        assert points == sorted(points)
    assert 0 < sum(b - a for steps in runs for a, b in steps) < took
    np.testing.assert_array_equal(program.run({"image": image})["logits"], before["logits"])


def test_the_clock_tells_long_steps_from_short_ones():
    """A contraction of a hundred times the operations takes longer, whatever the load."""
    text = "net N { input x: [512]\n output y = x -> dense(2048) -> dense(4) }"
    from netdsl.elaborate import elaborate

    program = netdsl.compile(elaborate(Source("n.net", text), batch=64), threads=1)
    long, short = program.profile({"x": np.zeros((64, 512), np.float32)}, 9)
    assert long.origin == ("dense1",) and long.seconds > 5 * short.seconds


@pytest.mark.parametrize("threads", [1, 2])
def test_every_byte_is_copied(threads):
    """The bandwidth is that of all of the data: sizes that leave no rest, as those that are measured."""
    source = np.arange(1 << 13, dtype=np.float32)
    to = np.zeros_like(source)
    block = Arguments(ceilings.Stream, source=source, to=to, count=source.size, passes=2)
    rows = link([Step("copy", Code(ceilings._library, "copy"), block)]).table
    shared_team(threads).run(Phases(rows, [Task(1e6, threads, [EVERYTHING])], threads))
    np.testing.assert_array_equal(to, source)


def test_the_ceilings_of_this_machine_are_kept():
    began = time.perf_counter()
    found = ceilings.ceilings(1)
    assert time.perf_counter() - began < 20
    assert ceilings.ceilings(1) is found
    assert 1e8 < found.peak < 1e13
    for sort in ("read", "written"):
        rates = [getattr(level, sort) for level in found.levels]
        assert rates == sorted(rates, reverse=True) and 1e7 < rates[-1] <= rates[0] < 1e13
    assert find_target("cpu", threads=1).ceilings() is found and find_target("reference").ceilings() is None


def test_every_sum_is_that_of_the_steps():
    network, target = netdsl.load(LENET, batch=2), find_target("cpu", threads=1)
    for subject in (prediction(network, target), training_step(network, 2, target)):
        found = profile(subject)
        for by in ("step", "layer", "kind"):
            parts = found.parts(by)
            assert [p.seconds for p in parts] == sorted((p.seconds for p in parts), reverse=True)
            assert sum(p.steps for p in parts) == len(found.subject.program.steps)
            for what in ("seconds", "flops", "bytes", "limit"):
                assert sum(getattr(p, what) for p in parts) == pytest.approx(getattr(found.total, what))
        assert {p.name for p in found.parts("layer")} >= {"conv1", "conv2", "dense1", "dense2", "dense3"}


def part(name, seconds, limit, bound="compute", **more):
    source = Source("nets/photos.net", "\n" * 40)
    given = {
        "layer": name,
        "along": ("batch_norm", "relu"),
        "kind": "contract forward",
        "node": name,
        "gpu": None,
    }
    given |= {"span": Span(source, 11, 12), "steps": 1, "seconds_all": seconds, "bytes": 1 << 20}
    values = {"flops": 10**8, "best": None if limit is None else {bound: limit}, **given, **more}
    return Spent(f"contract forward 3x3 64->64 @ {len(name)}x56", seconds=seconds, **values)


def made_up():
    """A profile as one of ResNet may be, which is the same on every machine."""
    steps = [part(f"stage{k}.basic{k % 2}.conv_bn1.conv1", 3e-3 / k, 2e-3 / k) for k in range(1, 30)]
    steps += [part("stem1.max_pool1", 1.5e-4, 3e-5, "memory", along=(), flops=0)]
    steps += [part("stage1.basic1.conv_bn1.conv1", 2e-5, 0.0, seconds_all=0.0, flops=0, bytes=0)]
    device = SimpleNamespace(place="cpu", threads=2)
    subject = SimpleNamespace(
        name="ResNet18", batch=1, mode="inference", program=SimpleNamespace(device=device)
    )
    levels = (Level(1 << 15, 3.2e11, 2e11), Level(1 << 21, 1.1e11, 9e10), Level(1 << 27, 2.5e10, 1.2e10))
    return Profile(subject, 1.25e-2, tuple(steps), (), Ceilings(2.05e11, levels))


@pytest.mark.parametrize("columns", [40, 80, 120, 160])
@pytest.mark.parametrize("by", ["step", "layer", "kind"])
def test_the_page(golden, by, columns):
    text = page(made_up(), by, 6 if by == "step" else None, columns)
    assert all(len(line) <= columns for line in text.split("\n"))
    golden(SCREENS / f"profile_{by}_{columns}.txt", text + "\n")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (123.4, "123 s"),
        (2.5, "2.50 s"),
        (0.9999, "1.00 s"),
        (0.0456, "45.6 ms"),
        (1e-3, "1.00 ms"),
        (9.996e-4, "1.00 ms"),
        (1.234e-5, "12.3 us"),
        (2e-8, "0.02 us"),
        (0.0, "0.00 us"),
    ],
)
def test_times_have_three_digits(seconds, text):
    assert time_text(seconds) == text


def test_a_busy_machine_is_named(monkeypatch):
    monkeypatch.setattr("netdsl.machine.processors", lambda: 2)
    for load, said in ((None, False), (1.0, False), (3.21, True)):
        text = page(replace(made_up(), load=load), "kind", None, 200)
        assert ("the machine was busy (load 3.2, 2 processors)" in text) == said
    text = page(replace(made_up(), load=3.0, ceilings=None), "kind", None, 200)
    assert text.endswith("times are too long")


def test_what_is_faster_than_the_roofline_is_explained():
    fast = part("conv1", 1e-3, 1.7e-3)
    for name, said in ((fast.name, False), (f"{fast.name} winograd 4x4", True)):
        text = page(replace(made_up(), steps=(replace(fast, name=name),)), "layer", None, 200)
        assert ("above 100 %: Winograd needs fewer operations" in text.replace("\n  ", " ")) == said


def run(capsys, *words):
    with pytest.raises(SystemExit) as left:
        main(["profile", *words])
    return left.value.code or 0, *capsys.readouterr()


def test_the_command_as_json(capsys):
    status, out, err = run(capsys, LENET, "--threads", "1", "--format", "json", "--batch", "3")
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert (found["network"], found["batch"], found["mode"], found["threads"]) == (
        "LeNet5",
        3,
        "inference",
        1,
    )
    assert found["steps_seconds"] == pytest.approx(sum(p["seconds"] for p in found["parts"]))
    conv1 = next(p for p in found["parts"] if p["layer"] == "conv1" and p["flops"])
    assert conv1["flops"] == 3 * 28 * 28 * 6 * (2 * 25 + 2)  # the bias and tanh
    assert conv1["span"]["line"] == 6 and conv1["bound"] == "compute" and conv1["with"] == ["tanh"]
    assert conv1["reached"] > 0 and found["ceilings"]["flops"] > 0


def test_the_command_in_words(capsys):
    status, out, _ = run(capsys, LENET, "--training", "--by", "layer", "--top", "2", "--threads", "1")
    assert status == 0 and out.startswith("LeNet5, batch 128, training step on 1 thread: ")
    assert re.search(r"^and \d+ more layers, [\d.]+ \w+: --top \d+ shows all$", out, re.M)
    status, out, _ = run(capsys, LENET, "--device", "reference")
    assert status == 0 and "inference on reference" in out and "roofline" not in out


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["none.net"], 1, "error[file]: there is no file none.net"),
        ([LENET, "--batch", "0"], 2, "'0' is not a whole number from 1"),
        ([LENET, "--batch", "10000000"], 1, "error[limit]: a tensor [10000000, 28, 28, 6]"),
        ([LENET, "--by", "node"], 2, "'node' is none of step, layer, kind"),
        ([LENET, "--precision", "bf16"], 1, "the device cpu multiplies in f32, not in bf16"),
        ([str(Path(LENET).with_name("alexnet.net")), "--training"], 1, "it has no train section with a loss"),
    ],
)
def test_mistakes_are_told(capsys, words, status, message):
    found, out, err = run(capsys, *words)
    assert (found, out) == (status, "") and message in err
