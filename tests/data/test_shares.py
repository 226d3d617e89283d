"""Subsets and folds: drawn with the seed, stratified, and what they exclude."""

import numpy as np
import pytest

from netdsl.data import DataPlan, from_arrays
from netdsl.data.split import Shares
from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source
from netdsl.train.sections import check_sections

COUNT = 103
LABELS = np.random.default_rng(0).choice([0, 1, 2], COUNT, p=[0.6, 0.3, 0.1])
DATA = from_arrays(np.arange(COUNT)[:, None], LABELS)


def rows(split):
    return split["image"][:, 0].astype(int).tolist()


@pytest.mark.parametrize("folds", [2, 5, 10, COUNT])
def test_every_sample_is_validated_on_once(folds):
    parts = [Shares(folds=folds, fold=k + 1).divide(DATA, 7) for k in range(folds)]
    assert sorted(r for _, v in parts for r in rows(v)) == list(range(COUNT))
    for k, (train, validation) in enumerate(parts):
        assert sorted(rows(train) + rows(validation)) == list(range(COUNT))
        assert Shares(folds=folds, fold=k + 1).sizes(COUNT) == (len(train), len(validation))
        counts = np.bincount(validation["label"], minlength=3)
        assert (np.abs(counts - np.bincount(LABELS) / folds) < 1.01).all()


@pytest.mark.parametrize("size", [3, 10, 50, COUNT])
def test_a_subset_has_every_class_in_its_share(size):
    train, validation = Shares(subset=size).divide(DATA, 1)
    assert validation is None and len(train) == size and rows(train) == sorted(set(rows(train)))
    assert (
        np.abs(np.bincount(train["label"], minlength=3) - np.bincount(LABELS) * size / COUNT) < 1.01
    ).all()
    assert rows(train) == rows(Shares(subset=size).divide(DATA, 1)[0])
    assert size in (3, COUNT) or rows(train) != rows(Shares(subset=size).divide(DATA, 2)[0])


def test_a_subset_is_taken_before_the_folds():
    whole = set(rows(Shares(subset=50).divide(DATA, 3)[0]))
    for shares in (Shares(50, 0.2), Shares(50, folds=5, fold=2)):
        train, validation = shares.divide(DATA, 3)
        assert (len(train), len(validation)) == (40, 10) and set(rows(train) + rows(validation)) == whole


def test_a_plan_knows_its_sizes_before_it_reads():
    for settings in ({"subset": 20}, {"subset": 20, "validation": 0.25}, {"folds": 4, "fold": 3}):
        plan = DataPlan({"train": DATA, **settings}, seed=2)
        for name in plan.splits:
            assert plan.outline(name).count == len({"train": plan.train}.get(name) or plan.validation)


NET = """net N { input image: [8, 8, 1]; output y = image -> flatten -> dense(10) }
data { train = digits.train; DATA }
train { loss = LOSS }
"""
CE = "cross_entropy(y, label)"


@pytest.mark.parametrize(
    ("data", "loss", "message", "place"),
    [
        ("subset = 0", CE, "subset is 0; it must be a whole number from 1, or none", "0"),
        ("subset = 0.5", CE, "subset is 0.5; it must be", "0.5"),
        ("subset = 1438", CE, "subset is 1438, and the training set has 1,437 samples", "1438"),
        ("folds = 1", CE, "folds is 1; it must be a whole number from 2", "1"),
        ("subset = 40; folds = 50", CE, "40 samples cannot be divided into 50 folds", "50"),
        ("folds = 5; validation = 0.1", CE, "each of the folds is the validation set in turn", "5"),
        ("folds = 5; validation = digits.test", CE, "each of the folds is the validation set in turn", "5"),
        ("folds = 5; fold = 6", CE, "fold is 6, and there are 5", "6"),
        ("fold = 1", CE, "fold is one of several folds", "1"),
        ("folds = true", CE, "folds is true; it must be", "true"),
        ("class_weights = blanced", CE, "class_weights is blanced; it must be balanced, or none", "blanced"),
        ("class_weights = [1, 2]", CE, "it must be balanced, or none", "[1, 2]"),
        ("class_weights = balanced", "mse(y, one_hot(label, 10))", "but the loss has no classes", "balanced"),
        ("class_weights = balanced", "binary_cross_entropy(y, label)", "several logits tells no classes", "balanced"),
        ("class_weights = balanced", "cross_entropy(y, label, class_weights = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1])",
         "class_weights of its own", "balanced"),
        ("subste = 5", CE, "data has no setting subste", "subste"),
    ],
)  # fmt: skip
def test_what_is_refused(data, loss, message, place):
    with pytest.raises(NetError) as caught:
        check_sections(elaborate(Source("n.net", NET.replace("DATA", data).replace("LOSS", loss))))
    found = caught.value.diagnostics[0]
    assert message in found.message and found.span.text == place
