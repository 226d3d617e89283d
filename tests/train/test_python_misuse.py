"""What Python hands over by mistake: each is told in words, before or right after the mistake."""

import numpy as np
import pytest

import netdsl
from netdsl.data import from_function
from netdsl.source import NetError
from netdsl.train import Callback

TEXT = """net A {
  input x: [4]
  output y = x -> dense(3) @name("d")
}
train { loss = cross_entropy(y, label); epochs = 1; batch = 4 }
"""
ARRAYS = {"x": np.linspace(0, 1, 48).reshape(12, 4), "label": np.arange(12) % 3}


@pytest.fixture
def network(tmp_path):
    (tmp_path / "a.net").write_text(TEXT)
    return netdsl.load(tmp_path / "a.net")


class Freezes(Callback):
    def __init__(self, names):
        self.names = names

    def on_batch_begin(self, loop):
        loop.frozen = self.names


@pytest.mark.parametrize("names", ["d.weight", {"d"}, {"d.weight", "nope"}, ["d.weight"], None])
def test_what_is_no_set_of_weights_is_not_frozen(network, tmp_path, names):
    with pytest.raises(ValueError, match=r"Freezes puts .* into loop\.frozen.* there are d\.bias, d\.weight"):
        netdsl.Trainer(network, tmp_path / "run", data=ARRAYS, callbacks=[Freezes(names)]).fit()
    assert (tmp_path / "run" / "last.safetensors").exists()


def test_a_set_of_weights_is_frozen(network):
    trainer = netdsl.Trainer(network, data=ARRAYS, callbacks=[Freezes({"d.weight"})])
    before = {name: trainer.program.get(name).copy() for name in ("d.weight", "d.bias")}
    trainer.fit()
    assert (trainer.program.get("d.weight") == before["d.weight"]).all()
    assert (trainer.program.get("d.bias") != before["d.bias"]).any()


class Keeps(Callback):
    def __init__(self, given):
        self.given = given

    def state(self):
        return self.given

    def load_state(self, arrays):
        pass


@pytest.mark.parametrize("given", [None, [1], {1: np.zeros(2)}])
def test_state_is_a_mapping(network, tmp_path, given):
    with pytest.raises(TypeError, match=r"Keeps\.state gives arrays by name, a mapping, not"):
        netdsl.Trainer(network, tmp_path / "run", data=ARRAYS, callbacks=[Keeps(given)]).fit()


def test_an_ensemble_of_nothing():
    with pytest.raises(NetError, match="at least one network"):
        netdsl.ensemble()


def test_a_gradient_of_what_is_no_text(network):
    with pytest.raises(TypeError, match="of is text"):
        network.gradient(3)


@pytest.mark.parametrize("labels", [3, [], [[0], [1, 2]]])
def test_labels_of_a_function_are_an_array(labels):
    with pytest.raises(NetError, match=r"label (needs shape|makes no array)|no samples in label"):
        from_function(lambda k: np.zeros(4), labels=labels)


class Sets(Callback):
    def __init__(self, name, value):
        self.name, self.value = name, value

    def on_batch_begin(self, loop):
        setattr(loop, self.name, self.value)


@pytest.mark.parametrize("value", ["x", None, -1, np.nan, np.inf, True, np.zeros(1)])
def test_a_rate_is_a_number_from_0(network, tmp_path, value):
    with pytest.raises(ValueError, match=r"Sets: loop\.lr must be a (finite )?number from 0 up, not "):
        netdsl.Trainer(network, tmp_path / "run", data=ARRAYS, callbacks=[Sets("lr", value)]).fit()
    assert (tmp_path / "run" / "last.safetensors").exists()


@pytest.mark.parametrize("value", [0, 0.1, np.float32(0.1), np.float64(0.1), np.int64(1)])
def test_numbers_of_numpy_are_rates(network, value):
    found = netdsl.Trainer(network, data=ARRAYS, callbacks=[Sets("lr", value)]).fit()
    assert found.history[-1].lr == float(value)


@pytest.mark.parametrize("optimizer", ["sgd(momentum = 0.9)", "adam(lr = 0.01)"])
def test_a_momentum_is_a_share(network, tmp_path, optimizer):
    network = netdsl.load(tmp_path / "a.net", settings={"train.optimizer": optimizer})
    for value in ("x", -0.1, 1.5, np.nan):
        with pytest.raises(ValueError, match=r"Sets: loop\.momentum must be a (finite )?number from 0 to"):
            netdsl.Trainer(network, data=ARRAYS, callbacks=[Sets("momentum", value)]).fit()
    netdsl.Trainer(network, data=ARRAYS, callbacks=[Sets("momentum", 0.5)]).fit()


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "lbfgs"])
def test_a_momentum_that_is_not_kept_is_refused(network, tmp_path, optimizer):
    network = netdsl.load(tmp_path / "a.net", settings={"train.optimizer": optimizer})
    with pytest.raises(ValueError, match=rf"Sets sets loop\.momentum, and {optimizer} .*keeps no momentum"):
        netdsl.Trainer(network, data=ARRAYS, callbacks=[Sets("momentum", 0.5)]).fit()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"share": 3}, "share is a program, such as Trainer.program, .* not a int"),
        ({"seed": "a"}, "seed is a whole number, not 'a'"),
        ({"seed": 1.5}, "seed is a whole number, not 1.5"),
        ({"training": "x"}, "training is True or False, not 'x'"),
    ],
)
def test_what_a_gradient_takes(network, given, message):
    with pytest.raises(TypeError, match=message):
        network.gradient(**given)


@pytest.mark.parametrize("watch", [3, None, [3]])
def test_watch_is_names(network, watch):
    with pytest.raises(TypeError, match="watch is a list of names, of gradients, weights"):
        netdsl.Trainer(network, data=ARRAYS, watch=watch)
