"""Chrome traces: what the format asks for, slices inside of slices, and the times of the profile."""

import json
from collections import Counter
from pathlib import Path

import pytest

import netdsl
from netdsl.backend.registry import find_target
from netdsl.cli.main import main
from netdsl.measure.profile import profile
from netdsl.measure.subject import prediction, training_step
from netdsl.measure.trace import RUNS, to_trace

EXAMPLES = Path(__file__).parents[2] / "examples"


def slices(trace):
    return [e for e in trace["traceEvents"] if e["ph"] == "X"]


def check_nesting(events):
    """Slices of a track lie in each other or apart, as the format asks for."""
    open_ = []
    for event in sorted(events, key=lambda e: (e["ts"], -e["dur"])):
        end = event["ts"] + event["dur"]
        while open_ and open_[-1] <= event["ts"] + 1e-6:
            open_.pop()
        assert not open_ or end <= open_[-1] + 1e-3
        open_.append(end)


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_a_prediction(device):
    found = profile(prediction(netdsl.load(EXAMPLES / "resnet18_cifar.net"), find_target(device)))
    trace = json.loads(json.dumps(to_trace(found)))
    events = slices(trace)
    assert all(
        {"name", "cat", "ts", "dur", "pid", "tid", "args"} <= e.keys() and e["dur"] >= 0 for e in events
    )
    check_nesting(events)
    steps = [e for e in events if e["cat"] not in ("run", "block", "layer")]
    assert [e["name"] for e in steps] == RUNS * [step.name for step in found.steps]
    took = [end - start for times in found.times[-RUNS:] for start, end in times]
    assert [e["dur"] for e in steps] == pytest.approx([1e6 * seconds for seconds in took])
    assert [e["name"] for e in events if e["cat"] == "run"] == ["run 1", "run 2", "run 3"]
    assert {e["args"]["where"].partition(":")[0] for e in steps} == {
        "resnet18_cifar.net",
        "resnet_blocks.net",
    }
    named = {e["args"]["name"] for e in trace["traceEvents"] if e["ph"] == "M"}
    assert named == {
        "ResNet18, inference" if "ResNet18, inference" in named else found.subject.name + ", inference",
        device,
    }


def test_blocks_hold_their_layers():
    found = profile(prediction(netdsl.load(EXAMPLES / "resnet18_cifar.net"), find_target("cpu", threads=1)))
    events = slices(to_trace(found))
    stage = next(e for e in events if e["cat"] == "block")
    inside = [e for e in events if stage["ts"] <= e["ts"] < stage["ts"] + stage["dur"] and e is not stage]
    assert {"block", "layer"} & {e["cat"] for e in inside}
    assert all(e["args"]["layer"].startswith(stage["name"]) for e in inside if "layer" in e["args"])


def test_a_training_step_has_phases():
    found = profile(training_step(netdsl.load(EXAMPLES / "lenet5.net"), 2, find_target("cpu", threads=1)))
    phases = Counter(e["name"] for e in slices(to_trace(found)) if e["cat"] == "block")
    assert set(phases) == {"forward", "backward", "update"} and phases["backward"] >= RUNS


def test_the_command(tmp_path, capsys):
    file, out = str(EXAMPLES / "lenet5.net"), tmp_path / "t.json"
    with pytest.raises(SystemExit) as left:
        main(["profile", file, "--threads", "1", "--trace", str(out)])
    printed, _ = capsys.readouterr()
    assert not left.value.code and f"written to {out}: " in printed
    assert slices(json.loads(out.read_text()))


@pytest.mark.parametrize("place", ["none/t.json", "."])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(tmp_path, capsys, place):
    with pytest.raises(SystemExit) as left:
        main(["profile", str(EXAMPLES / "lenet5.net"), "--trace", str(tmp_path / place)])
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (2, "") and "argument --trace: " in err
