"""Programs that do not fit into memory: what is said, that the advice is right, and that nothing was asked for."""

import re
from dataclasses import replace

import numpy as np
import pytest

import netdsl
from netdsl.backend.layout import lay_out
from netdsl.backend.memory import HostMemory, OutOfMemory
from netdsl.cpu.target import CpuTarget
from netdsl.runtime import Program
from netdsl.runtime.room import NoRoom, last_below
from netdsl.train.evaluator import Evaluator
from netdsl.train.learner import Learner
from netdsl.train.memory_prediction import program_graph
from netdsl.train.settings import train_settings
from tests.calls import call

TEXT = """\
net N {
  input image: [16, 16, 1]
  output logits = image -> conv(8, 3) -> batch_norm -> relu -> flatten -> dense(10)
}
train { loss = cross_entropy(logits, label); batch = 64; epochs = 1 }
eval { metrics = [accuracy(logits, label)] }
"""


@pytest.fixture
def network(tmp_path):
    (tmp_path / "n.net").write_text(TEXT)
    return netdsl.load(tmp_path / "n.net")


@pytest.fixture
def memory(monkeypatch):
    """Says how much memory the CPU has; asking for some is a fault until it is enough."""

    def set_to(size):
        monkeypatch.setattr(CpuTarget, "capacity", lambda self: size)

    return set_to


def held(network, samples, mode):
    return lay_out(program_graph(network, samples, mode), netdsl.device()).footprint().held


def test_a_training_says_which_batch_fits(network, memory, monkeypatch):
    limit = held(network, 20, "training")
    memory(limit)
    asked = []
    monkeypatch.setattr(CpuTarget, "allocate", lambda self, size: asked.append(size))
    with pytest.raises(netdsl.NetError) as caught:
        Learner(network, train_settings(network))
    assert not asked
    (problem,) = caught.value.diagnostics
    assert re.match(r"the network needs [\d.]+ [KM]iB of memory for 64 samples at a time \(", problem.message)
    assert re.search(r"weights and states, .* inputs, .* activations\), this machine has", problem.message)
    most = int(re.search(r"train.batch = (\d+) fits", problem.fix)[1])
    assert held(network, most, "training") <= limit < held(network, most + 1, "training")


def test_the_batch_that_fits_can_be_trained(network, memory):
    memory(held(network, 20, "training"))
    with pytest.raises(netdsl.NetError, match=r"train\.batch = 20 fits; train\.accumulate"):
        Learner(network, train_settings(network))
    assert Learner(network, replace(train_settings(network), batch=20)).program


def test_what_is_shared_needs_no_room(network, memory):
    """An evaluation over the weights of a training takes its memory where that is large enough."""
    learner = Learner(network, train_settings(network))
    memory(held(network, 200, "inference"))
    with pytest.raises(netdsl.NetError, match=r"for 1,?000 samples at a time") as caught:
        Evaluator(network, None, 1000, learner.program).program(1000)
    most = int(re.search(r"eval.batch = (\d+) fits", caught.value.diagnostics[0].fix)[1])
    assert 200 <= most < 230
    assert Evaluator(network, None, most, learner.program).program(most)


def test_predictions_and_gradients(network, memory, tmp_path):
    memory(held(network, 20, "inference"))
    many = netdsl.load(tmp_path / "n.net", batch=500)
    with pytest.raises(NoRoom, match=r"for 500 samples at a time(.|\n)*load\(\.\.\., batch=2\d\) fits"):
        netdsl.compile(many)
    gradient = network.gradient("logits", "image")
    with pytest.raises(NoRoom, match=r"\d+ samples at a time fit"):
        gradient({"image": np.zeros((500, 16, 16, 1), np.float32)})


def test_the_command_says_its_own_option(network, memory, tmp_path, capsys):
    memory(held(network, 20, "training"))
    code, _, err = call(capsys, "compile", tmp_path / "n.net", "--training", "--batch", "64")
    assert code == 1 and "for 64 samples at a time" in err and "--batch 20 fits" in err


def test_not_one_sample(network, memory):
    memory(1000)
    with pytest.raises(netdsl.NetError, match="not one sample fits"):
        Learner(network, train_settings(network))


def test_memory_that_the_system_refuses(network, monkeypatch):
    def refused(size):
        raise OutOfMemory(netdsl.source.Diagnostic("memory", "the system gives none"))

    monkeypatch.setattr(CpuTarget, "allocate", lambda self, size: refused(size))
    with pytest.raises(NoRoom, match=r"of memory .*: the system gives none"):
        Program(program_graph(network, 2, "inference"))
    monkeypatch.undo()
    monkeypatch.setattr(np, "zeros", lambda *_: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(OutOfMemory, match="the system gives no 3 KiB"):
        HostMemory(3072)


@pytest.mark.parametrize("slope", [1, 7, 1000])
@pytest.mark.parametrize("limit", [0, 5, 999, 1000, 54321])
def test_the_last_below(slope, limit):
    calls = []

    def total(n):
        calls.append(n)
        return 300 + slope * n + n * n // 50

    known = (600, total(600))
    assert (
        last_below(total, limit, 500)
        == last_below(total, limit, 500, known)
        == max((n for n in range(501) if 300 + slope * n + n * n // 50 <= limit and n), default=0)
    )
    assert len(calls) < 20
