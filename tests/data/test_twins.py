"""Pairs of samples: half of one class, partners of the right kind, the same for one seed."""

import numpy as np
import pytest

from netdsl.data import DataPlan, from_arrays
from netdsl.data.sources import InMemory
from netdsl.data.twins import Twins, partnered
from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source
from netdsl.train.sections import check_sections

NET = """net N { input a: [8, 8, 1]; input b: [8, 8, 1]; output y = concat(a, b) -> flatten -> dense(1) }
data { train = DATA }
train { loss = binary_cross_entropy(y, label) }
"""


@pytest.mark.parametrize("sizes", [(2, 2), (5, 2, 9), (40, 1, 30)[::2], (100, 3)])
def test_half_of_the_partners_are_of_the_same_class(sizes):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    partners, same = partnered(labels, 3)
    assert same.sum() == (len(labels) + 1) // 2
    np.testing.assert_array_equal(labels[partners] == labels, same)
    assert (partners != np.arange(len(labels))).all()
    again, other = partnered(labels, 3)[0], partnered(labels, 4)[0]
    np.testing.assert_array_equal(partners, again)
    assert len(labels) < 10 or (partners != other).any()


def test_partners_of_another_class_are_of_all_others():
    labels = np.arange(9000) % 10
    partners, same = partnered(labels, 0)
    for k in range(10):
        found = np.bincount(labels[partners[(labels == k) & ~same]], minlength=10)
        assert found[k] == 0 and np.delete(found, k).min() > 25


def test_arrays_of_the_pairs_and_their_names(tmp_path):
    x, y = np.arange(12.0).reshape(12, 1), np.arange(12) % 3
    twins = Twins(InMemory(from_arrays(x, y)), left="first", alike="label")
    split, outline = twins.load(tmp_path), twins.outline(tmp_path)
    assert set(split.columns) == {"second", "left", "alike"} == set(outline.arrays) and outline.count == 12
    np.testing.assert_array_equal(split["left"], x)
    np.testing.assert_array_equal((split["second"][:, 0] % 3) == y, split["alike"] == 1)
    assert split.columns["alike"].classes == ("different", "same")
    assert DataPlan({"train": twins, "validation": 0.5}).validation["left"].shape == (6, 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("twins(digits.train, a = 3)", "a must be the name of an array, as text, not 3"),
        ('twins(digits.train, a = "frist")', 'a is "frist"; the arrays are first, second, label'),
        ("twins(3)", "source must be a data set, such as digits.train, not 3"),
        ("twins(digits.trian)", "no data set is called digits.trian"),
        ("twins(digits.train, seed = -1)", "the seed must be between 0"),
        ('twins(digits.train, a = "first")', "the data set has no array b"),
    ],
)
def test_what_is_refused(data, message):
    with pytest.raises(NetError) as caught:
        check_sections(elaborate(Source("n.net", NET.replace("DATA", data))))
    assert message in caught.value.diagnostics[0].message


@pytest.mark.parametrize(("labels", "why"), [([0, 0, 1], "class 1 has one sample"), ([0, 0], "one class")])
def test_classes_that_cannot_be_paired(labels, why):
    with pytest.raises(NetError, match=why):
        partnered(np.array(labels), 0)
