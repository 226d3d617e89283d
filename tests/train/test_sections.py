"""The sections as a whole: what is known without reading data, warnings, and every way of asking for them."""

import numpy as np
import pytest

import netdsl
from netdsl.cli.main import main
from netdsl.data import DataPlan, from_arrays
from netdsl.elaborate import elaborate
from netdsl.source import NetError, NetWarning, Source
from netdsl.train import Trainer, evaluate_checkpoint
from netdsl.train.sections import check_sections

NET = "net N { input image: [8, 8, 1]\n  output y = image -> flatten -> dense(10)FLOW }\n"
DATA = "data { train = digits.train; test = digits.test }\n"
TRAIN = "train { loss = cross_entropy(y, label); epochs = 1; batch = 200 }\n"


def network(flow="", data=DATA, train=TRAIN, more=""):
    return elaborate(Source("n.net", NET.replace("FLOW", flow) + data + train + more))


def test_nothing_is_read(monkeypatch):
    """Data sets are known by their outlines: the registry, headers and small files of labels."""
    for name in ("sources.NamedSource", "named.Npz", "pair.Npy", "pair.Idx"):
        monkeypatch.setattr(f"netdsl.data.{name}.load", lambda *_: pytest.fail("data was read"))
    assert check_sections(network()) == ()


@pytest.mark.parametrize(
    ("flow", "train", "text", "place"),
    [
        (" -> softmax", TRAIN, "cross_entropy applies softmax itself, after this softmax", "softmax"),
        (" -> softmax -> dropout(0.1)", TRAIN, "cross_entropy applies softmax itself", "softmax"),
        (" -> sigmoid", TRAIN, "cross_entropy applies softmax itself, after this sigmoid", "sigmoid"),
        (
            " -> dense(1) -> sigmoid",
            "train { loss = focal(y, t) }",
            "focal applies sigmoid itself",
            "sigmoid",
        ),
        (
            " -> dense(1) -> sigmoid",
            "train { loss = binary_cross_entropy(y, t) }",
            "binary_cross_entropy applies sigmoid itself",
            "sigmoid",
        ),
        (
            "",
            "train { loss = cross_entropy(y, t); schedule = step(30) }",
            "step changes nothing: its first change is after 30 epochs, the training has 10",
            "step(30)",
        ),
    ],
)
def test_warnings(flow, train, text, place):
    data = "" if "(y, t)" in train and "dense(1)" in flow else DATA
    (found,) = check_sections(network(flow, data, train))
    assert found.severity == "warning" and text in found.message and found.span.text == place


def test_a_test_set_that_was_trained_on_is_a_warning():
    (found,) = check_sections(network(data=DATA.replace("digits.test", "digits.train")))
    assert "the test set is the training set" in found.message and found.span.line == 3
    npz = DataPlan(
        {"train": from_arrays(np.zeros((2, 4)), [0, 1]), "test": from_arrays(np.zeros((2, 4)), [0, 1])}
    )
    assert npz.doubts() == ()


def test_a_net_without_weights_is_a_warning():
    (found,) = check_sections(network(" @freeze"))
    assert found.message.startswith("nothing is trained")


@pytest.mark.parametrize(
    ("flow", "train"),
    [
        (" -> log_softmax", TRAIN),
        (" -> relu", TRAIN),
        (
            " -> dense(1) -> sigmoid",
            "train { loss = binary_cross_entropy(y, t, from_logits = false); metrics = [binary_accuracy(y, t)] }",
        ),
        ("", "train { loss = cross_entropy(y, t); schedule = step(3) }"),
    ],
)
def test_no_warnings(flow, train):
    data = "" if "dense(1)" in flow else DATA
    assert check_sections(network(flow, data, train)) == ()


def test_a_warning_stops_no_command(tmp_path, capsys):
    path = tmp_path / "n.net"
    path.write_text(NET.replace("FLOW", " -> softmax") + DATA + TRAIN)
    for words in (["check", str(path)], ["compile", str(path), "--training", "--emit", "primitives"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        out, err = capsys.readouterr()
        assert ended.value.code == 0 and out and err.count("warning[loss]") == 1 and "error" not in err
    with pytest.raises(SystemExit) as ended:
        main(["check", str(path), "--format", "json"])
    assert ended.value.code == 0 and '"severity": "warning"' in capsys.readouterr().out
    with pytest.warns(NetWarning, match="applies softmax itself"):
        Trainer(network(" -> softmax"))


@pytest.mark.parametrize(
    ("data", "train", "message"),
    [
        (DATA, TRAIN.replace("epochs = 1", "epochs = 0"), "epochs must be a whole number from 1"),
        (DATA.replace("digits.test", "mnist"), TRAIN, "did you mean mnist.test"),
        (DATA.replace("digits.test", "mnist.test"), TRAIN, "samples of shape [28, 28, 1]"),
        (DATA.replace("digits.test", 'npz("no.npz")'), TRAIN, "there is no file"),
    ],
)
def test_every_way_of_training_checks_them(tmp_path, capsys, data, train, message):
    found = network(data=data, train=train)
    with pytest.raises(NetError) as checked:
        check_sections(found)
    with pytest.raises(NetError) as trained:
        Trainer(found)
    assert message in str(checked.value) and str(trained.value) == str(checked.value)
    Trainer(network(), tmp_path).fit()
    with pytest.raises(NetError) as evaluated:
        evaluate_checkpoint(lambda batch: found, tmp_path / "last.safetensors", "test")
    assert str(evaluated.value) == str(checked.value)
    path = tmp_path / "n.net"
    path.write_text(NET.replace("FLOW", "") + data + train)
    with pytest.raises(SystemExit):
        main(["compile", str(path), "--training"])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "train", "message"),
    [
        ("data { train = digits }\n", "", "did you mean digits.train?"),
        ("data { validation = 2 }\n", "", "share from 0 to below 1"),
        ('data { train = npz("no.npz") }\n', "", "there is no file"),
        ("", "train { epochs = 3 }", "has no train section with a loss"),
        ("", "train { metrics = [accuracy(y, t)] }", "train has metrics, but the section train has no loss"),
        ("", "eval { metrics = [accuracy(y, t)] }", "eval has metrics, but the section train has no loss"),
    ],
)
def test_a_section_alone_is_checked(data, train, message):
    with pytest.raises(NetError, match=message.replace("(", r"\(")):
        check_sections(network(data=data, train=train))


def test_a_file_need_not_say_how_to_train():
    assert check_sections(network(data="", train="")) == check_sections(network(data="")) == ()
    assert check_sections(network(data="data { test = digits.test }\n", train="")) == ()


def test_data_sets_that_are_not_here_are_a_warning(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NETDSL_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    text = NET.replace("[8, 8, 1]", "[28, 28, 1]").replace("FLOW", "")
    data = DATA.replace("digits", "mnist")
    (found,) = check_sections(elaborate(Source("n.net", text + data + TRAIN)))
    assert found.message == "mnist is not on this machine" and "netdsl data get mnist" in found.fix


def test_training_and_evaluation_have_their_own_metrics():
    train = TRAIN.replace("}", "; metrics = [top_k_accuracy(y, label, k = 3)] }")
    data = DATA.replace("}", "; validation = 0.2 }")
    own = "eval { metrics = [accuracy(y, label), cross_entropy(y, label)] }"
    result = Trainer(network(data=data, train=train, more=own)).fit()
    assert result.train.keys() == {"loss", "top_k_accuracy"}
    assert result.validation.keys() == result.test.keys() == {"loss", "accuracy", "cross_entropy"}
    assert result.test["loss"] == result.test["cross_entropy"]


def test_one_logit_tells_two_classes():
    images = np.random.default_rng(0).random((32, 8, 8, 1)).astype(np.float32)
    labels = (images.mean((1, 2, 3)) > 0.5).astype(int)
    text = """
    net N { input image: [8, 8, 1]; output y = image -> flatten -> dense(1) }
    train { loss = binary_cross_entropy(y, t); metrics = [METRIC(y, t)]; batch = 8; epochs = 1 }
    """
    data = DataPlan({"train": from_arrays(images, labels), "test": from_arrays(images, labels)})
    trainer = Trainer(elaborate(Source("n.net", text.replace("METRIC", "binary_accuracy"))), data=data)
    test = trainer.fit().test
    weights = trainer.program.state_dict()
    scores = images.reshape(32, 64).astype(np.float64) @ weights["dense1.weight"] + weights["dense1.bias"]
    assert test["binary_accuracy"] == ((scores[:, 0] > 0) == (labels > 0)).mean()
    with pytest.raises(NetError, match="of one logit it is always 1") as caught:
        elaborate(Source("n.net", text.replace("METRIC", "accuracy")))
    assert "binary_accuracy" in caught.value.diagnostics[0].fix


def test_names_may_be_text_in_python():
    images, labels = np.zeros((20, 4, 4, 1), np.uint8), np.arange(20) % 2
    given = {"train": from_arrays(images, labels), "test": "digits.test"}
    plan = DataPlan({**given, "normalize": "raw", "augment": ["flip"]})
    assert plan.preparations()["image"].normalization.peak == 1.0 and len(plan.test) == 360
    assert [type(change).__name__ for change in plan.training_batches(5).augment] == ["Flip"]
    for wrong, message in [
        (
            {"normalize": "standardise"},
            'normalize is "standardise"; it must be one of raw, scale, standardize',
        ),
        ({"augment": "shift"}, 'augment holds "shift"'),
        ({"train": "mnist"}, "did you mean mnist.train?"),
    ]:
        with pytest.raises(NetError) as caught:
            DataPlan({**given, **wrong})
        assert message in str(caught.value)


def test_a_trainer_takes_data_that_fits():
    data = DataPlan({"train": from_arrays(np.zeros((300, 4), np.float32), np.zeros(300, int))})
    with pytest.raises(NetError, match=r"samples of shape \[4\], the network takes \[8, 8, 1\]"):
        netdsl.Trainer(network(data=""), data=data)


def test_an_empty_section_is_refused_by_all():
    for data, train, kind in (
        ("data { }\n", TRAIN, "data"),
        (DATA, "train { }", "train"),
        ("data { }\n", "", "data"),
    ):
        with pytest.raises(NetError, match=f"the section {kind} is empty"):
            network(data=data, train=train)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("1 - accuracy(y, label)", "accuracy is no loss: it has no gradient"),
        ("2 * (1 - accuracy(y, label)) + 3", "accuracy is no loss: it has no gradient"),
        ("cross_entropy(y, label) - accuracy(y, label)", None),
    ],
)
def test_a_loss_reaches_the_weights(loss, message):
    found = network(train=f"train {{ loss = {loss} }}")
    if message is None:
        check_sections(found)
        return
    with pytest.raises(NetError, match=message):
        check_sections(found)


@pytest.mark.parametrize("weights", ["[0, 0, 0]", "[0, -1, 1]"])
def test_class_weights_that_teach_nothing(weights):
    train = f"train {{ loss = cross_entropy(y, label, class_weights = {weights}) }}"
    with pytest.raises(NetError, match="class_weights must be 0 or more, and one of them above 0"):
        check_sections(network(train=train))
