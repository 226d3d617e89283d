"""The device of docs/add-a-device.md: put together as the page says, it computes."""

import sys
from types import ModuleType

import numpy as np
import pytest

import netdsl
from netdsl.backend import registry
from netdsl.elaborate import elaborate
from netdsl.ir import TensorType
from netdsl.passes.check import random_feeds
from netdsl.source import Source
from netdsl.train.memory_prediction import program_graph
from tests.test_docs import ROOT, blocks

TEXT = """net D {
  input x: [6, 6, 2]
  output y = x -> conv(4, 3, pad = same) -> relu -> max_pool(2) -> flatten -> dense(3)
}
train {
  loss = cross_entropy(y, label)
  batch = 2
}
"""
BOXES = "net B {\n  input boxes: [9, 4]\n  input s: [9]\n  output kept, _, _ = (boxes, s) -> nms(4, 0.5)\n}\n"


@pytest.fixture
def sketch(monkeypatch):
    (_, code), *_ = blocks(ROOT / "docs" / "add-a-device.md", "python")
    module = ModuleType("sketch")
    monkeypatch.setitem(sys.modules, "sketch", module)
    exec(compile(code, "add-a-device.md", "exec"), vars(module))
    monkeypatch.setattr(registry, "TARGETS", {**registry.TARGETS, "sketch": "sketch"})
    return code


def test_the_block_of_the_page_is_filled(sketch):
    (_, code), (_, block) = blocks(ROOT / "docs" / "add-a-device.md", "python")
    page = {"__name__": "sketch"}
    exec(compile(f"{code}\n{block}", "add-a-device.md", "exec"), page)
    view = page["View"].dense(2, TensorType((5,)))
    filled = page["scale"](view, view)
    filled.close()
    filled.bind(lambda buffer: 64 * buffer)
    assert filled.words.tolist() == [128, 128, 5, int(np.float32(1).view(np.int32))]


def test_the_page_is_short(sketch):
    assert len(sketch.splitlines()) < 120


def test_it_trains_as_the_reference_device_does(sketch):
    network = elaborate(Source("d.net", TEXT), 2)
    graph = program_graph(network, 2, "training", "sketch")
    feeds, found = random_feeds(graph, 3), []
    for device in ("sketch", "reference"):
        program = netdsl.Program(graph, device)
        for name in program.weights:
            program.set(name, feeds[name])
        found.append({**program.run({k: feeds[k] for k in program.inputs}), **program.state_dict()})
    ours, theirs = found
    assert ours.keys() == theirs.keys() and len(ours) > 4
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], rtol=1e-5, atol=1e-6)


def test_its_option_and_what_it_refuses(sketch, capsys):
    network = elaborate(Source("d.net", TEXT), 2)
    program = netdsl.compile(network, device=netdsl.device("sketch", verbose=True))
    program.run({"x": np.zeros((2, 6, 6, 2), np.float32)})
    assert "contract" in capsys.readouterr().out.splitlines()
    with pytest.raises(LookupError, match="non_max_suppression has no kernel on sketch"):
        netdsl.compile(elaborate(Source("b.net", BOXES), 2), device="sketch")
    with pytest.raises(
        netdsl.NetError, match="sketch has no option threads: its options are precision, verbose"
    ):
        netdsl.device("sketch", threads=2)
