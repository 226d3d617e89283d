"""mixup and cutmix by their formulas, what becomes of labels, and which losses take them."""

import numpy as np
import pytest
from scipy import stats

from netdsl.cli.main import main
from netdsl.data import Batches, Cutmix, DataPlan, Flip, Mixup, from_arrays
from netdsl.data.augment.mix import beta
from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source
from netdsl.train import Trainer
from tests.data.augment.running import drawn, pictures

RNG = np.random.default_rng(0)
IMAGES, CLASSES = pictures(24, (8, 10), 3), np.arange(24) % 3


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1, 3, 50])
def test_shares_are_from_the_beta_distribution(alpha):
    uniform = (np.arange(20_000) + 0.5) / 20_000
    found = beta(alpha, uniform)
    np.testing.assert_allclose(found, stats.beta(alpha, alpha).ppf(uniform), atol=2e-4)


def batch(*changes, labels=CLASSES, size=8, epoch=0):
    return Batches(from_arrays(IMAGES, labels), size, augment=changes).make(epoch, 0)


def test_mixup_is_a_mean_of_neighbours():
    made = batch(Mixup(0.4))
    share = beta(0.4, drawn(8, Mixup(0.4)).draws[0][:, 0])
    rows = np.eye(3)[CLASSES[:8]]
    np.testing.assert_allclose(
        made["label"], rows * share[:, None] + np.roll(rows, -1, 0) * (1 - share[:, None]), atol=1e-6
    )
    x, wide = IMAGES[:8].astype(float), share[:, None, None, None]
    np.testing.assert_allclose(made["image"], x * wide + np.roll(x, -1, 0) * (1 - wide), atol=1e-4)
    plain = batch(Mixup(0.4, p=0))
    np.testing.assert_array_equal(plain["image"], IMAGES[:8])
    np.testing.assert_array_equal(plain["label"], rows)


def test_cutmix_cuts_a_rectangle_of_the_next_picture():
    made = Batches(from_arrays(IMAGES, CLASSES), 24, augment=[Cutmix(1)]).make(0, 0)
    rows, seen = np.eye(3)[CLASSES], []
    for k in range(24):
        own, other = IMAGES[k], IMAGES[(k + 1) % 24]
        mixed = (made["image"][k] != own).any(-1)
        assert (made["image"][k][mixed] == other[mixed]).all()
        share = 1.0
        if mixed.any():
            y, x = np.nonzero(mixed)
            area = (y.max() - y.min() + 1) * (x.max() - x.min() + 1)
            assert mixed.sum() >= area - 2  # a pixel may be the same in both
            share = 1 - area / 80
        np.testing.assert_allclose(
            made["label"][k], rows[k] * share + rows[(k + 1) % 24] * (1 - share), atol=1e-6
        )
        seen.append(1 - share)
    assert 0.1 < np.mean(seen) < 0.6 and len(set(seen)) > 10


def test_masks_are_cut_as_the_pictures_are():
    masks = IMAGES[..., 0].astype(np.int64)
    made = batch(Flip(), Cutmix(1), labels=masks)
    np.testing.assert_array_equal(made["label"], made["image"][..., 0])


def test_numbers_are_mixed_too():
    values = RNG.random((24, 2)).astype(np.float32)
    made = batch(Mixup(1), labels=values)
    share = beta(1, drawn(8, Mixup(1)).draws[0][:, :1].ravel())[:, None]
    np.testing.assert_allclose(
        made["label"], values[:8] * share + np.roll(values[:8], -1, 0) * (1 - share), atol=1e-6
    )


TEXT = """
net Small {{ input x: [8, 10, 3]; output y = x -> flatten -> dense(3) }}
train {{ loss = {loss}; metrics = [accuracy(y, t)]; optimizer = sgd(lr = 0.01); batch = 8; epochs = {epochs} }}
"""


def trainer(changes, loss="cross_entropy(y, t)", labels=CLASSES, epochs=2, folder=None):
    sets = {"train": from_arrays(IMAGES, labels), "test": from_arrays(IMAGES, labels), "validation": 0.25}
    network = elaborate(Source("small.net", TEXT.format(loss=loss, epochs=epochs)))
    return Trainer(network, folder, data=DataPlan({**sets, "augment": changes}))


def test_a_network_trains_on_shares_and_is_told_the_values_of_classes():
    result = trainer([Flip(), Mixup(0.2), Cutmix(1.0, p=0.5)]).fit()
    plain = trainer([Flip()], epochs=2).fit()
    assert result.test.keys() == plain.test.keys() == {"loss", "accuracy"}
    assert all(0 <= r.train["accuracy"] <= 1 for r in result.history)
    untouched = trainer([Mixup(0.2, p=0)]).fit()
    same = trainer([]).fit()
    assert untouched.test["loss"] == pytest.approx(same.test["loss"], rel=1e-5)
    assert untouched.test["accuracy"] == same.test["accuracy"]


def test_resumed_is_uninterrupted(tmp_path):
    changes = [Flip(), Mixup(0.2), Cutmix(1.0)]
    whole = trainer(changes, epochs=3, folder=tmp_path / "a").fit()
    trainer(changes, epochs=2, folder=tmp_path / "b").fit()
    again = trainer(changes, epochs=3, folder=tmp_path / "b")
    assert again.fit(resume=True).test == whole.test


@pytest.mark.parametrize(
    ("changes", "labels", "loss", "message"),
    [
        (
            [Mixup(0.2), Flip()],
            CLASSES,
            "cross_entropy(y, t)",
            "mixes samples that are done: flip stands behind",
        ),
        ([Mixup(0.2)], CLASSES + 1, "cross_entropy(y, t)", "the label 3, the network 3 classes"),
        ([Mixup(0.2)], CLASSES, "cross_entropy(y, t, ignore_index = 1)", "ignore_index is for labels"),
        (
            [Cutmix(1)],
            CLASSES,
            "mse(y, one_hot(t, 3))",
            "one_hot takes class numbers, and cutmix makes shares",
        ),
    ],
)
def test_what_cannot_be_mixed(changes, labels, loss, message):
    with pytest.raises(NetError, match=message):
        trainer(changes, loss, labels)


def test_masks_of_classes_have_no_mean():
    with pytest.raises(NetError, match="mixup cannot mix the labels label: they are classes of pixels"):
        batch(Mixup(0.2), labels=IMAGES[..., 0].astype(np.int64))


def test_check_says_it_at_the_list(tmp_path, capsys):
    path = tmp_path / "a.net"
    path.write_text(
        "net N { input image: [8, 8, 1]\n  output y = image -> flatten -> dense(10) }\n"
        "data {\n  train = digits.train\n  augment = [one_of(mixup(0.2), flip)]\n}\n"
        "train { loss = cross_entropy(y, label) }\n"
    )
    with pytest.raises(SystemExit):
        main(["check", str(path)])
    told = capsys.readouterr().err
    assert "one_of cannot hold mixup" in told and "a.net:5:14" in told
