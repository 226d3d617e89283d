"""`import netdsl` in Python: values of settings, wrong arguments, and trained networks on arrays."""

import os
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.data import DataPlan, from_arrays

NET = """net N(width = 4) {
  input x: [4]
  output y = x -> dense(width, bias = true)
}
train {
  loss = mse(y, label)
  optimizer = sgd(lr = 0.01)
  epochs = 1
  batch = 8
  metrics = [mae(y, label)]
}
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "x.net"
    file.write_text(NET)
    return file


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("width", 7, "7"),
        ("width", np.int64(7), "7"),
        ("width", "3 + 4", "3 + 4"),
        ("train.epochs", 2, "2"),
        ("train.clip_norm", 0.5, "0.5"),
        ("train.clip_norm", np.float32(0.5), "0.5"),
        ("train.clip_norm", 1e-7, "1e-07"),
        ("train.clip_norm", None, "none"),
        ("train.metrics", ["mae(y, label)", "mse(y, label)"], "[mae(y, label), mse(y, label)]"),
        ("train.metrics", (), "[]"),
        ("train.optimizer", "adam(beta1 = 0.8)", "adam(beta1 = 0.8)"),
    ],
)
def test_settings_are_values_or_text(path, name, value, text):
    given = netdsl.load(path, settings={name: value})
    written = netdsl.load(path, settings={name: text})
    assert str(given.objective) == str(written.objective) and given.settings == written.settings
    assert {n: s.value for n, s in given.train.items()} == {n: s.value for n, s in written.train.items()}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {}, object(), [1, {2}], b"3", Path("x")])
def test_other_values_of_settings_are_refused(path, value):
    with pytest.raises(TypeError, match=r"the setting train\.epochs is .* belongs there"):
        netdsl.load(path, settings={"train.epochs": value})


def test_bools_are_settings(tmp_path):
    file = tmp_path / "b.net"
    file.write_text("net N(biased = true) { input x: [4]\n output y = x -> dense(3, bias = biased) }\n")
    assert len(netdsl.load(file, settings={"biased": False}).graph.leaves("param")) == 1
    assert len(netdsl.load(file, settings={"biased": True}).graph.leaves("param")) == 2


@pytest.mark.parametrize("batch", [0, -1, True, 2.0, "8", None])
def test_a_batch_is_a_positive_integer(path, batch):
    with pytest.raises(netdsl.NetError, match="batch must be a positive integer"):
        netdsl.load(path, batch=batch)


@pytest.mark.parametrize("name", ["summary", "compile", "Trainer"])
def test_a_path_is_no_network(name, path):
    for given in ("x.net", path):
        with pytest.raises(TypeError, match=rf"netdsl\.{name} takes a network, not a path: netdsl\.load\("):
            getattr(netdsl, name)(given)
    with pytest.raises(TypeError, match=r"as netdsl\.load gives it, not a int"):
        getattr(netdsl, name)(3)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2"])
def test_threads_are_a_positive_integer(path, threads):
    with pytest.raises(netdsl.NetError, match="threads are asked for; it must be a number from 1"):
        netdsl.compile(netdsl.load(path), threads=threads)


def test_what_was_trained_runs_on_arrays(path, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 16, 4)).astype(np.float32)
    trainer = netdsl.Trainer(netdsl.load(path), tmp_path / "run", DataPlan({"train": from_arrays(x, y)}))
    trainer.fit()
    weights = trainer.program.state_dict()
    (w,) = (a for a in weights.values() if a.ndim == 2)
    (b,) = (a for a in weights.values() if a.ndim == 1)
    trained = netdsl.restore(os.fspath(tmp_path / "run" / "last.safetensors"))
    assert list(trained.outputs) == ["y"]
    found = trained.run({"x": x[:5]})["y"]
    np.testing.assert_allclose(found, x[:5].astype(np.float64) @ w.astype(np.float64) + b, atol=1e-5)
    np.testing.assert_allclose(trained.run({"x": x[0]})["y"], found[:1], atol=1e-5)
    for feeds, message in (
        ({"z": x}, "the network takes x; given are z"),
        ({}, "given are no arrays"),
        ({"x": x[:, :3]}, r"x takes \[N, 4\], the array x has \[16, 3\]"),
        ({"x": x[:0]}, "there are no samples in the array x"),
    ):
        with pytest.raises(netdsl.NetError, match=message):
            trained.run(feeds)
