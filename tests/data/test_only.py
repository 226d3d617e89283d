"""Part of a data set: the samples of some classes, numbered anew."""

from pathlib import Path

import numpy as np
import pytest

from netdsl.data import DataPlan, from_arrays, load_split
from netdsl.data.only import Only
from netdsl.data.sources import SOURCES, InMemory
from netdsl.source import NetError

DIGITS = SOURCES["digits.train"]


@pytest.mark.parametrize("classes", [[5, 6, 7], [7, 5], [9], [3, 0, 8, 1]])
def test_samples_of_these_classes_in_their_order(classes):
    whole = load_split("digits", "train")
    found = Only(DIGITS, classes).load(Path())
    expected = [
        (image, classes.index(k))
        for image, k in zip(whole["image"], whole["label"], strict=True)
        if k in classes
    ]
    np.testing.assert_array_equal(found["image"], np.array([image for image, _ in expected]))
    np.testing.assert_array_equal(found["label"], [k for _, k in expected])
    assert found.columns["label"].classes == tuple(str(c) for c in classes)
    outline = Only(DIGITS, classes).outline(Path())
    assert outline.count == len(found) and outline.arrays["label"].classes == len(classes)


def test_classes_by_name_and_shares_of_the_part():
    pets = InMemory(
        from_arrays(np.zeros((30, 2), np.float32), np.arange(30) % 3, classes=("cat", "dog", "eel"))
    )
    plan = DataPlan({"train": Only(pets, ("eel", "cat")), "validation": 0.25})
    assert plan.train.columns["label"].classes == ("eel", "cat")
    assert len(plan.train) == 15 and np.bincount(plan.validation["label"]).tolist() in ([3, 2], [2, 3])


WRONG = [
    (3, [1], "source must be a data set"),
    (DIGITS, 3, "classes must be a list"),
    (DIGITS, [], "classes must be a list"),
    (DIGITS, [1, 1], "classes must be a list of different classes"),
    (DIGITS, [True], "classes must be a list"),
    (DIGITS, [1, 77], "no sample is of class 77"),
    (DIGITS, ["one"], "no class is called one; there are 0, 1"),
]


@pytest.mark.parametrize(("source", "classes", "message"), WRONG)
def test_wrong_settings(source, classes, message):
    with pytest.raises(NetError, match=message):
        Only(source, classes).load(Path())
