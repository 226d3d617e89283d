"""Metrics over whole sets, however they are cut into batches, against formulas in NumPy and scikit-learn."""

import json

import numpy as np
import pytest

from netdsl.cli.main import main
from netdsl.data import DataPlan
from netdsl.elaborate import elaborate
from netdsl.report.values import value_text
from netdsl.source import NetError, Source
from netdsl.train import EarlyStopping, Evaluator, Trainer
from netdsl.train.sections import check_sections

RNG = np.random.default_rng(0)
COUNT, CLASSES = 61, 5
X = RNG.normal(size=(COUNT, 4)).astype(np.float32)
LABELS = RNG.choice([0, 1, 2, 4], COUNT, p=[0.5, 0.3, 0.15, 0.05])  # nothing is of class 3
YES = (RNG.random(COUNT) < 0.3).astype(np.int64)
SEVERAL = (RNG.random((COUNT, 3)) < 0.4).astype(np.float32)
NUMBERS = (RNG.normal(size=(COUNT, 3)) * [1, 2, 3] + [0, 1, 5]).astype(np.float32)
MAPS = RNG.normal(size=(COUNT, 3, 2, 4)).astype(np.float32)
MASKS = RNG.choice([0, 1, 2, 255], (COUNT, 3, 2))


def ratio(a, b):
    return np.divide(a, b, out=np.zeros(len(np.atleast_1d(a))), where=np.asarray(b) > 0)


def matrix(said, right, classes):
    found = np.zeros((classes, classes))
    np.add.at(found, (right, said), 1)
    return found


def fractions(c, name):
    """Of each class, from the confusion matrix."""
    hits, answers, rights = np.diag(c), c.sum(0), c.sum(1)
    below = {
        "precision": answers,
        "recall": rights,
        "f1": (answers + rights) / 2,
        "mean_iou": answers + rights - hits,
    }
    return ratio(hits, below["f1" if name == "dice_score" else name])


def averaged(c, name, average="macro"):
    each, there = fractions(c, name), (c.sum(0) + c.sum(1)) > 0
    if average == "none":
        return each.tolist()
    if average == "micro":
        hits, n = np.trace(c), c.sum()
        return hits / (2 * n - hits) if name == "mean_iou" else hits / n
    return each[there].mean() if average == "macro" else np.average(each, weights=c.sum(1))


def area(scores, positive):
    """By every pair."""
    d = scores[positive][:, None] - scores[~positive]
    return ((d > 0) + 0.5 * (d == 0)).mean()


def evaluated(flow, metrics, x, t, loss, batch):
    """The values over the set, and the predictions in float64."""
    text = f"net N {{ {flow} }}\ntrain {{ loss = {loss}; metrics = [{metrics}]; batch = {batch} }}"
    data = DataPlan({"train": {"x": x, "t": t}, "test": {"x": x, "t": t}, "normalize": "raw"})
    trainer = Trainer(elaborate(Source("n.net", text)), data=data)
    w = {n: np.float64(a) for n, a in trainer.program.state_dict().items()}
    y = x @ next(a.reshape(x.shape[-1], -1) for n, a in w.items() if n.endswith("weight"))
    found = Evaluator(trainer.network, trainer.data, batch, trainer.program).run("test")
    return found, y + next(a for n, a in w.items() if n.endswith("bias"))


NAMES = ("precision", "recall", "f1", "mean_iou", "dice_score")
AVERAGES = ("macro", "micro", "weighted", "none")


@pytest.mark.parametrize("batch", [7, COUNT])
def test_metrics_of_classes(batch):
    metrics = ", ".join(f"{name}(y, t, average = {a})" for name in NAMES for a in AVERAGES)
    found, y = evaluated(
        f"input x: [4]; output y = x -> dense({CLASSES})", f"{metrics}, confusion_matrix(y, t), auc(y, t, 5000)",
        X, LABELS, "cross_entropy(y, t)", batch,
    )  # fmt: skip
    c = matrix(y.argmax(-1), LABELS, CLASSES)
    assert found["confusion_matrix"] == c.tolist()
    for name in NAMES:
        for k, average in enumerate(AVERAGES):
            key = name if k == 0 else f"{name}_{k + 1}" if name[-1].isdigit() else f"{name}{k + 1}"
            assert found[key] == pytest.approx(averaged(c, name, average), rel=1e-6), (name, average)
    p = np.exp(y - np.logaddexp.reduce(y, -1)[:, None])
    wanted = np.mean([area(p[:, k], LABELS == k) for k in (0, 1, 2, 4)])
    assert found["auc"] == pytest.approx(wanted, abs=2e-3)


@pytest.mark.parametrize("batch", [7, COUNT])
def test_metrics_of_yes_and_no(batch):
    metrics = (
        "precision(y, t), recall(y, t), f1(y, t), mean_iou(y, t), auc(y, t, 5000), confusion_matrix(y, t)"
    )
    flow = "input x: [4]; output y = x -> dense(1)"
    found, y = evaluated(flow, metrics, X, YES, "binary_cross_entropy(y, t)", batch)
    c = matrix((y[:, 0] > 0).astype(int), YES, 2)
    for name in ("precision", "recall", "f1", "mean_iou"):
        assert found[name] == pytest.approx(fractions(c, name)[1], rel=1e-6)
    assert found["confusion_matrix"] == c.tolist()
    assert found["auc"] == pytest.approx(area(y[:, 0], YES == 1), abs=1e-3)


@pytest.mark.parametrize(("scale", "error"), [(0.01, 1e-3), (1, 2e-4), (3000, 2e-3), (1e5, 2e-3)])
def test_the_area_for_scores_of_any_size(scale, error):
    """That of every pair, to the error that the page gives for logits, and not much more for other scores."""
    draw = np.random.default_rng(3)
    right = (draw.random(3000) < 0.4).astype(np.int64)
    x = (scale * (draw.normal(size=3000) + right)[:, None]).astype(np.float32)
    flow = "input x: [1]; output y = x -> dense(1)"
    found, y = evaluated(flow, "auc(y, t)", x, right, "binary_cross_entropy(y, t)", 1000)
    assert found["auc"] == pytest.approx(area(y[:, 0], right == 1), abs=error)


def test_several_answers():
    metrics = "f1(y, t), recall(y, t, average = none), auc(y, t, 5000)"
    flow = "input x: [4]; output y = x -> dense(3)"
    found, y = evaluated(flow, metrics, X, SEVERAL, "binary_cross_entropy(y, t)", 9)
    tables = [matrix((y[:, k] > 0).astype(int), SEVERAL[:, k].astype(int), 2) for k in range(3)]
    assert found["f1"] == pytest.approx(np.mean([fractions(c, "f1")[1] for c in tables]), rel=1e-6)
    assert found["recall"] == pytest.approx([fractions(c, "recall")[1] for c in tables], rel=1e-6)
    wanted = np.mean([area(y[:, k], SEVERAL[:, k] > 0) for k in range(3)])
    assert found["auc"] == pytest.approx(wanted, abs=1e-3)


def test_masks_with_cells_that_are_ignored():
    metrics = ", ".join(
        f"{name}(y, t, ignore_index = 255)" for name in ("mean_iou", "dice_score", "confusion_matrix")
    )
    flow = "input x: [3, 2, 4]; output y = x -> conv(3, 1)"
    found, y = evaluated(flow, metrics, MAPS, MASKS, "cross_entropy(y, t, ignore_index = 255)", 8)
    kept = MASKS != 255
    c = matrix(y.argmax(-1)[kept], MASKS[kept], 3)
    assert found["confusion_matrix"] == c.tolist()
    assert found["mean_iou"] == pytest.approx(averaged(c, "mean_iou"), rel=1e-6)
    assert found["dice_score"] == pytest.approx(averaged(c, "dice_score"), rel=1e-6)


def test_metrics_of_numbers():
    found, y = evaluated(
        "input x: [4]; output y = x -> dense(3)",
        "mae(y, t), rmse(y, t), r2(y, t)",
        X,
        NUMBERS,
        "mse(y, t)",
        9,
    )
    error = y - NUMBERS
    assert found["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert found["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)
    spread = ((NUMBERS - NUMBERS.mean(0, dtype=np.float64)) ** 2).sum(0)
    assert found["r2"] == pytest.approx((1 - (error**2).sum(0) / spread).mean(), rel=1e-4)


def test_scikit_learn_says_the_same():
    sk = pytest.importorskip("sklearn.metrics", reason="scikit-learn is a peer, not a requirement")
    said = RNG.integers(0, CLASSES, COUNT)
    c = matrix(said, LABELS, CLASSES)
    scores = {
        "precision": sk.precision_score,
        "recall": sk.recall_score,
        "f1": sk.f1_score,
        "mean_iou": sk.jaccard_score,
    }
    for name, score in scores.items():
        for average in ("macro", "micro", "weighted"):
            wanted = score(LABELS, said, average=average, zero_division=0)
            assert averaged(c, name, average) == pytest.approx(wanted)
    p = RNG.random(COUNT)
    assert area(p, YES == 1) == pytest.approx(sk.roc_auc_score(YES, p))


NET = """net N { input image: [8, 8, 1]; output y = image -> flatten -> dense(10) }
data { train = digits.train; validation = 0.1 }
train { loss = LOSS; metrics = [METRICS]; epochs = 1; batch = 64 }
"""


def net(metrics, loss="cross_entropy(y, label)"):
    return elaborate(Source("n.net", NET.replace("LOSS", loss).replace("METRICS", metrics)))


def test_lists_and_tables_are_logged_and_shown_in_short(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "n.net").write_text(
        NET.replace("LOSS", "cross_entropy(y, label)").replace(
            "METRICS", "confusion_matrix(y, label), f1(y, label, average = none), f1(y, label)"
        )
    )
    with pytest.raises(SystemExit) as ended:
        main(["train", "n.net", "--out", "run"])
    assert ended.value.code == 0
    epoch = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[1])
    found = epoch["validation"]
    assert np.array(found["confusion_matrix"]).shape == (10, 10) and len(found["f1"]) == 10
    assert found["f1_2"] == pytest.approx(np.mean(found["f1"]))
    out = capsys.readouterr().out
    assert "confusion_matrix [10, 10]" in out and f"f1 {min(found['f1']):.4f}..{max(found['f1']):.4f}" in out
    for words in (["train", "n.net", "--out", "run", "--resume"],):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0


def test_the_best_epoch_is_told_by_a_number():
    trainer = Trainer(net("confusion_matrix(y, label), f1(y, label)"))
    evaluator = Evaluator(trainer.network, trainer.data, 64, trainer.program)
    assert evaluator.criterion == ("f1", 1) and set(evaluator.signs) == {"loss", "f1"}
    trainer.callbacks.append(EarlyStopping("confusion_matrix"))
    with pytest.raises(NetError, match="watches confusion_matrix, which is no value"):
        trainer.fit()


@pytest.mark.parametrize(
    ("metrics", "loss", "message"),
    [
        ("f1(y, label, average = mean)", "cross_entropy(y, label)", "average must be one of macro, micro"),
        ("precison(y, label)", "cross_entropy(y, label)", "no name is called precison"),
        ("f1(label, y)", "cross_entropy(y, label)", "f1 takes predictions"),
        ("f1(y, label)", "1 - f1(y, label)", "f1 is no loss"),
        ("f1(y, label)", "rmse(y, one_hot(label, 10))", "rmse is no loss"),
        ("f1(y, label)", "confusion_matrix(y, label)", "the loss is one number, not"),
        ("image", "cross_entropy(y, label)", "a metric is one number, not"),
    ],
)  # fmt: skip
def test_what_is_refused(metrics, loss, message):
    with pytest.raises(NetError, match=message):
        check_sections(net(metrics, loss))


def test_short_forms():
    assert value_text("f1", [0.5, 0.25, 1.0]) == "0.2500..1.0000"
    assert value_text("confusion_matrix", [[1.0, 2.0], [3.0, 4.0]]) == "[2, 2]"
