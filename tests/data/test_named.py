"""Arrays of a file under the names of inputs, targets and weights."""

import numpy as np
import pytest

from netdsl.data import DataPlan
from netdsl.data.sources import SOURCES
from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source
from netdsl.train import Trainer
from netdsl.train.sections import check_sections

COUNT = 12
RNG = np.random.default_rng(0)
LEFT = RNG.integers(0, 256, (COUNT, 4)).astype(np.uint8)
RIGHT = RNG.normal(size=(COUNT, 3)).astype(np.float32)
SAME = np.arange(COUNT) % 2
WEIGHT = RNG.random(COUNT)
TEXTS = np.array([f"sample {n}" for n in range(COUNT)])
NET = """net Two {
  input left: [4]
  input right: [3]
  output logit = concat(left, right) -> dense(1)
}
data { train = DATA }
train { loss = binary_cross_entropy(logit, same, weight); batch = 4; epochs = 1 }
"""


@pytest.fixture
def folder(tmp_path):
    np.savez(
        tmp_path / "named.npz",
        left=LEFT,
        right=RIGHT,
        same=SAME,
        weight=WEIGHT,
        origin=TEXTS,
        classes=["no", "yes"],
    )
    np.savez(tmp_path / "other.npz", a=LEFT, b=RIGHT, t=SAME, w=WEIGHT, a_test=LEFT[:3], pixels=LEFT)
    np.savez(tmp_path / "pair.npz", x=LEFT, y=SAME)
    return tmp_path


def network(folder, data, text=NET):
    return elaborate(Source(str(folder / "n.net"), text.replace("DATA", data)))


ALL = 'npz("other.npz", left = "a", right = "b", same = "t", weight = "w")'


@pytest.mark.parametrize("data", ['npz("named.npz")', ALL])
def test_arrays_feed_what_has_their_name(folder, data):
    net = network(folder, data)
    assert check_sections(net) == ()
    trainer = Trainer(net)
    batch = trainer.data.evaluation_batches("train", COUNT, trainer.learner.inputs.feeds).make(0, 0)
    np.testing.assert_allclose(batch["left"], LEFT / 255, rtol=1e-6)
    for name, array in {"right": RIGHT, "same": SAME, "weight": WEIGHT}.items():
        np.testing.assert_allclose(batch[name].reshape(array.shape), array, rtol=1e-6)
    assert trainer.fit().epochs == 1


def test_the_names_of_classes_are_those_of_the_label(folder):
    plan = DataPlan({"train": SOURCES["npz"]("named.npz")}, base=folder)
    assert plan.train.columns["same"].classes == ("no", "yes") and set(plan.train.columns) == {
        "left",
        "right",
        "same",
        "weight",
    }


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ({"x": "left", "y": "same"}, {"x", "y"}),
        ({"image": "left", "label": "same"}, {"image", "label"}),
        ({"x": "left"}, {"x"}),
        ({}, {"left", "right", "same", "weight"}),
    ],
)
def test_names_that_are_given_are_all(folder, names, found):
    source = SOURCES["npz"]("named.npz", **names)
    assert set(source.load(folder).columns) == found == set(source.outline(folder).arrays)


def test_x_and_y_feed_the_only_input_and_target(folder):
    text = "net N { input u: [4]; output v = u -> dense(2) }\ndata { train = DATA }\n"
    text += "train { loss = cross_entropy(v, w); batch = 4; epochs = 1 }"
    for data in ('npz("pair.npz")', 'npz("pair.npz", y = "y")', 'npz("named.npz", x = "left", y = "same")'):
        assert Trainer(network(folder, data, text)).fit().epochs == 1
    both = "net N { input x: [4]; input y: [4]; output z = concat(x, y) -> dense(2) }\n"
    both += 'data { train = npz("other.npz", x = "a", y = "pixels", w = "t") }\n'
    both += "train { loss = cross_entropy(z, w); batch = 4; epochs = 1 }"
    assert Trainer(network(folder, "", both)).fit().epochs == 1


@pytest.mark.parametrize(
    ("data", "message", "place", "fix"),
    [
        (ALL.replace("same =", "smae ="), "no array same, which the network takes as a target", "npz(", "smae?"),
        (ALL.replace(', weight = "w"', ""), "no array weight, which the network takes as weights", "npz(", "left"),
        (ALL.replace('"w"', "3"), "weight must be the name of an array, as text, not 3", "weight = 3", ""),
        (ALL.replace('"w"', '""'), 'weight must be the name of an array, as text, not ""', 'weight = ""', ""),
        (ALL.replace('"w"', '"v"'), "has 0 arrays named 'v'; it has: a, b, t, w, a_test, pixels", "npz(", ""),
        (ALL.replace('"w"', '"a_test"'), "different numbers of samples: 12 in left, 12 in right", "npz(", ""),
        ('npz("other.npz")', "different numbers of samples", "npz(", "name those to take"),
        ('npz("other.npz", "a")', "npz takes 1 setting (file), not 2", "npz(", ""),
        ('npz("pair.npz")', "one sample and one label; the network takes left, right", "input right", "names arrays"),
    ],
)  # fmt: skip
def test_names_that_do_not_fit(folder, data, message, place, fix):
    with pytest.raises(NetError) as caught:
        check_sections(network(folder, data))
    found = caught.value.diagnostics[0]
    assert message in found.message and found.span.text.startswith(place) and fix in (found.fix or "")
