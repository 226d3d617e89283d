"""Timing in turns, peers on the same network, and the command."""

import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.backend.registry import find_target
from netdsl.cli.bench import PEERS as TYPED
from netdsl.cli.main import main
from netdsl.extras import EXTRAS
from netdsl.measure.bench import Bench, Row, page
from netdsl.measure.bench import to_json as bench_json
from netdsl.measure.beside import Beside
from netdsl.measure.beside import page as beside_page
from netdsl.measure.peers import PEERS, onnx_of, onnxruntime_nodes, onnxruntime_peer
from netdsl.measure.profile import Profile, Spent
from netdsl.measure.subject import prediction
from netdsl.measure.timing import SETTLE_RUNS, TURN_RUNS, Timing, alternate
from tests.terminal.room import BATCH, Terminal

EXAMPLES = Path(__file__).parents[2] / "examples"
LENET = str(EXAMPLES / "lenet5.net")
PEERED = ["bench", LENET, "--peers", "onnxruntime"]
COMPARED = ["profile", LENET, "--compare", "onnxruntime"]
SCREENS = Path(__file__).parent / "screens"


def test_turns_and_what_of_them_counts():
    order, slow = [], 0.03
    times = alternate({"a": lambda: order.append("a") or time.sleep(slow), "b": lambda: order.append("b")}, 2)
    assert re.fullmatch("(a+b+){2}", "".join(order))
    counted = len(times["a"].seconds)
    assert 2 * (TURN_RUNS - SETTLE_RUNS - 1) <= counted <= order.count("a") - 2 * SETTLE_RUNS
    assert times["a"].median >= slow > times["b"].median


def test_medians_and_percentiles():
    timing = Timing(tuple(float(k) for k in range(101)))
    assert (timing.median, timing.p95) == (50.0, pytest.approx(np.percentile(range(101), 95)))
    assert Timing((3.0,)).p95 == 3.0


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize(
    ("file", "net", "batch"), [("lenet5", None, 3), ("two_heads", None, 1), ("siamese", None, 2)]
)
def test_a_peer_computes_the_same(peer, file, net, batch):
    pytest.importorskip(peer, reason="the peer is not installed")
    network = netdsl.load(EXAMPLES / f"{file}.net", batch=batch)
    subject = prediction(network, find_target("cpu", threads=1))
    run = PEERS[peer](onnx_of(subject, peer), subject.feeds, 1)
    for ours, theirs in zip(subject.run().values(), run(), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-5)


def test_the_command_knows_the_peers():
    assert tuple(PEERS) == TYPED and set(TYPED) <= EXTRAS.keys()


def test_nodes_of_onnxruntime_have_the_names_of_layers():
    pytest.importorskip("onnxruntime")
    subject = prediction(netdsl.load(EXAMPLES / "resnet18_cifar.net"), find_target("cpu", threads=1))
    model = onnx_of(subject, "onnxruntime")
    found = onnxruntime_nodes(model, subject.feeds, 1, 3)
    layers = {name.removeprefix("fused ").partition("/")[0] for name in found.nodes if "/" in name}
    assert layers <= {n.id for n in subject.ops} and len(layers) >= sum(
        n.op.name == "conv" for n in subject.ops
    )
    assert found.seconds >= 0.5 * sum(found.nodes.values()) > 0
    assert onnxruntime_peer(model, subject.feeds, 1)()[0].shape == subject.program.outputs["logits"].shape


def test_nothing_that_nobody_reads_is_exported():
    """onnxruntime would compute it, and not fuse the layer that it reads."""
    onnx = pytest.importorskip("onnx")
    subject = prediction(netdsl.load(EXAMPLES / "resnet18_cifar.net"), find_target("cpu", threads=1))
    graph = onnx.load_from_string(onnx_of(subject, "onnx")).graph
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    assert all(read & set(node.output) for node in graph.node)
    assert len({node.name for node in graph.node if node.name}) == sum(bool(node.name) for node in graph.node)


def made_up():
    """What a machine might measure, the same everywhere."""

    def times(*medians):
        runs = [Timing(tuple(m * k for k in (0.9, 1.0, 1.1, 1.4))) for m in medians]
        return dict(zip(("netdsl", "onnxruntime", "openvino"), runs, strict=False))

    rows = (Row(1, 2, times(9e-3, 8.1e-3, 1.2e-2), {"onnxruntime": 1e-6, "openvino": 0.2}, 7e-3),)
    rows += (Row(16, 2, times(0.12, 0.134), {"onnxruntime": 2e-6}, 0.1),)
    return Bench("ResNet18", "inference", rows, ("not compared with openvino: it is not installed",))


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_page(golden, columns):
    text = page(made_up(), columns)
    assert all(len(line) <= columns for line in text.split("\n"))
    golden(SCREENS / f"bench_{columns}.txt", text + "\n")


def test_what_tells_rows_from_each_other_stays_on_a_narrow_page():
    row, _ = made_up().rows
    both = replace(made_up(), rows=(replace(row, threads=1), row))
    assert "threads" in page(both, 60).split("\n")[2] and "threads" not in page(made_up(), 40).split("\n")[2]
    many = {"netdsl": Timing((1.0,) * 1200), "openvino": Timing((2.0,) * 800)}
    assert "  0.1 %" in page(replace(both, rows=(replace(row, limit=1e-5),)), 120)
    assert "of 800 to 1,200 runs each" in page(replace(both, rows=(replace(row, times=many),)), 120)


def test_what_is_said_of_another_device(monkeypatch):
    """Its name, and nothing of a peak that nobody has measured."""
    monkeypatch.setattr("netdsl.machine.processors", lambda: 2)
    rows = (Row(1, None, {"netdsl": Timing((1.0,))}, {}),)
    found = Bench("N", "inference", rows, (), 3.0, "cuda:0 (emulated)")
    text = page(found, 120)
    assert text.startswith("N, inference on cuda:0 (emulated)\n") and text.endswith("times are too long")
    assert bench_json(found)["device"] == "cuda:0 (emulated)" and bench_json(made_up())["device"] == "cpu"


def test_the_ratio_is_that_of_the_best_peer():
    first, second = bench_json(made_up())["rows"]
    assert (first["best"], first["ratio"]) == ("onnxruntime", pytest.approx(0.9))
    assert second["ratio"] == pytest.approx(0.134 / 0.12)
    alone = Bench("N", "inference", (Row(1, None, {"netdsl": Timing((1.0,))}, {}),), ())
    assert bench_json(alone)["rows"][0]["ratio"] is None and "ratio" not in page(alone, 80)


def run(capsys, *words):
    with pytest.raises(SystemExit) as left:
        main([*words])
    return left.value.code or 0, *capsys.readouterr()


def test_bench(capsys):
    words = ["bench", LENET, "--batch", "1,4", "--threads", "1", "--rounds", "1"]
    status, out, err = run(capsys, *words, "--peers", "none", "--format", "json")
    found = json.loads(out)
    assert (status, err, found["network"], found["mode"]) == (0, "", "LeNet5", "inference")
    assert [(row["batch"], row["threads"], list(row["times"])) for row in found["rows"]] == [
        (1, 1, ["netdsl"]),
        (4, 1, ["netdsl"]),
    ]
    assert all(0 < t["median"] <= t["p95"] for row in found["rows"] for t in row["times"].values())


def test_bench_of_a_training_step_says_what_it_leaves_out(capsys):
    status, out, _ = run(
        capsys, "bench", LENET, "--training", "--batch", "2", "--threads", "1", "--rounds", "1"
    )
    assert status == 0 and out.startswith("LeNet5, training step\n") and "not compared: peers compute" in out


def test_a_peer_that_fails_is_a_diagnostic(capsys, monkeypatch):
    pytest.importorskip("onnxruntime")

    def fails(*_, **options):
        raise RuntimeError("no such op\nand much more")

    monkeypatch.setattr("onnxruntime.InferenceSession", fails)
    words = ["bench", LENET, "--threads", "1", "--rounds", "1"]
    status, out, err = run(capsys, *words, "--peers", "onnxruntime")
    assert (status, out) == (1, "") and err == "error[peer]: onnxruntime cannot run the network: no such op\n"
    assert "not compared with onnxruntime: onnxruntime cannot run" in run(capsys, *words)[1].replace(
        "\n  ", " "
    )


def test_a_network_that_only_copies(tmp_path, capsys):
    (tmp_path / "n.net").write_text("net N { input x: [2, 3]\n output y = x -> flatten }")
    status, out, _ = run(capsys, "profile", str(tmp_path / "n.net"), "--threads", "1")
    assert status == 0 and "1 step in 0.0" in out
    status, out, _ = run(capsys, "bench", str(tmp_path / "n.net"), "--threads", "1", "--rounds", "1")
    assert status == 0 and out.startswith("N, inference\n")


@pytest.mark.parametrize("typed", [[], ["--peers", "openvino"]])
def test_a_peer_that_is_missing(capsys, monkeypatch, typed):
    """It is named in a note, or is an error where it was asked for."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    words = ["bench", LENET, "--threads", "1", "--rounds", "1", *typed]
    status, out, err = run(capsys, *words)
    where = " ".join((err if typed else out).split())  # wherever lines end
    assert status == bool(typed) and "the comparison needs openvino, which is not installed" in where
    assert re.search(r"pip install '?openvino", where)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["bench", "none.net"], 1, "error[file]: there is no file none.net"),
        (
            ["bench", LENET, "--peers", "onnxruntim"],
            2,
            "no peer is called onnxruntim; did you mean onnxruntime?",
        ),
        (["bench", LENET, "--batch", "1,x"], 2, "'x' is not a whole number from 1"),
        (["bench", LENET, "--threads", "9999"], 1, "9999 threads are asked for"),
        (
            ["bench", LENET, "--device", "cuda", "--threads", "2"],
            2,
            "--threads is an option of the CPU, not of cuda",
        ),
        (
            ["bench", LENET, "--peers", "onnxruntime", "--device", "cuda"],
            2,
            "--peers is for predictions on the CPU",
        ),
        (["bench", LENET, "--peers", "onnxruntime", "--training"], 2, "not for a training step"),
        (
            ["profile", LENET, "--compare", "onnxruntime", "--device", "cuda"],
            2,
            "is for the CPU, not for --device cuda",
        ),
        (["profile", LENET, "--compare", "onnxruntime", "--training"], 2, "a training step is not exported"),
        (
            ["profile", LENET, "--compare", "onnxruntime", "--by", "step"],
            2,
            "sets layers beside layers, not --by step",
        ),
        (["profile", LENET, "--compare", "torch"], 2, "--compare"),
    ],
)
def test_mistakes_are_told(capsys, words, status, message):
    found, out, err = run(capsys, *words)
    assert (found, out) == (status, "") and message in err


def test_a_page_beside_a_peer(monkeypatch):
    """Nothing is said of what the peer does for no layer where it does nothing of the kind; other load is."""
    monkeypatch.setattr("netdsl.machine.processors", lambda: 2)
    step = replace(Spent.nothing("conv1", None), steps=1, seconds=1e-6)
    subject = prediction(netdsl.load(LENET), find_target("cpu", threads=1))
    profiled = Profile(subject, 1e-6, (step,), (), None, 3.0)
    none, some = (
        beside_page(profiled, Beside(1e-6, 2e-4, {"conv1": 1.95e-4}, o), None, 99) for o in (0.0, 1e-6)
    )
    assert "for none of them" not in none and "and 1.00 us for none of them" in some
    assert "  195\n" in none and "the machine was busy (load 3.0" in none


def test_a_profile_beside_onnxruntime(capsys):
    pytest.importorskip("onnxruntime")
    words = ["profile", str(EXAMPLES / "resnet18_cifar.net"), "--threads", "1", "--compare", "onnxruntime"]
    status, out, err = run(capsys, *words, "--format", "json")
    found = json.loads(out)
    assert (status, err, found["by"]) == (0, "", "layer")
    layers, peer = {part["name"] for part in found["parts"]}, found["peer"]
    # The layers of both are the same, but for what one of them computes nowhere.
    assert len(layers & peer["layers"].keys()) > 0.9 * len(layers)
    assert peer["run_seconds"] > 0 and peer["other_seconds"] < 0.2 * sum(peer["layers"].values())


@pytest.mark.parametrize("columns", [40, 80])
def test_on_a_terminal(folder, columns):
    pytest.importorskip("onnxruntime")
    lenet = ["examples/lenet5.net", "--threads", "1"]
    commands = [
        ["profile", *lenet],
        ["profile", *lenet, "--compare", "onnxruntime"],
        ["bench", *lenet, "--rounds", "1"],
    ]
    with Terminal([json.dumps(commands)], columns, folder=folder, program=BATCH) as terminal:
        assert terminal.wait(300) == 0, terminal.text
    text = terminal.text
    assert re.findall(r"^status (\S+)$", text, re.M) == ["None"] * 3 or text.count("status 0") == 3, text
    assert text.count("\nLeNet5, ") == 3 and not re.search("Traceback|measuring|compiling|…", text), text
    assert all(len(line) <= columns for line in terminal.lines)
