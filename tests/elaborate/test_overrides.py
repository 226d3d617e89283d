"""`--set NAME=VALUE`: every setting of every section, and mistakes that show the words as they were written."""

import pytest

import netdsl
from netdsl.elaborate import elaborate
from netdsl.source import NetError, Source

TEXT = """
net N(width = 3) {
  input x: [4]
  output y = x -> dense(width)
}
train { loss = cross_entropy(y, label); metrics = [accuracy(y, label)] }
"""


def network(overrides, text=TEXT):
    return elaborate(Source("n.net", text), overrides=overrides)


def message(name, value):
    with pytest.raises(NetError) as caught:
        network({name: value})
    return str(caught.value)


def made_of(graph):
    """The ops that give the loss and the metrics."""
    return {name: graph[v.node].op.name for name, v in graph.outputs.items() if name != "y"}


@pytest.mark.parametrize(
    ("name", "value", "trained", "evaluated"),
    [
        (
            "train.loss",
            "mse(y, other)",
            {"loss": "mse", "metric/accuracy": "accuracy"},
            {"loss": "mse", "metric/accuracy": "accuracy"},
        ),
        (
            "train.metrics",
            "[mae(y, other)]",
            {"loss": "cross_entropy", "metric/mae": "mae"},
            {"loss": "cross_entropy", "metric/mae": "mae"},
        ),
        ("train.metrics", "[]", {"loss": "cross_entropy"}, {"loss": "cross_entropy"}),
        (
            "eval.metrics",
            "[mae(y, other)]",
            {"loss": "cross_entropy", "metric/accuracy": "accuracy"},
            {"loss": "cross_entropy", "metric/mae": "mae"},
        ),
    ],
)
def test_losses_and_metrics_are_overridden(name, value, trained, evaluated):
    found = network({name: value})
    assert made_of(found.objective) == trained and made_of(found.evaluation) == evaluated


def test_a_loss_may_be_given_to_a_file_without_one():
    given = network({"train.loss": "mse(y, label)"}, TEXT[: TEXT.index("train")])
    assert given.objective is not None and "loss" in given.objective.outputs


def test_other_settings_reach_their_sections():
    values = {"train.epochs": "2 + 1", "eval.batch": "7", "data.shuffle": "false", "width": "5"}
    found = network(values)
    assert (found.train["epochs"].value, found.eval["batch"].value) == (3, 7)
    assert found.data["shuffle"].value is False and found.settings["width"] == 5


@pytest.mark.parametrize(
    ("name", "value", "text", "marked"),
    [
        ("train.loss", "banana(1, 2)", "no name is called banana", "banana"),
        ("train.metrics", "[banana(1, 2)]", "no name is called banana", "banana"),
        ("eval.metrics", "[banana(1, 2)]", "no name is called banana", "banana"),
        ("eval.metrics", "accuracy(y, label)", "metrics is a list", "accuracy(y, label)"),
        ("train.metrics", "[5]", "a metric is a number of the batch, not 5", "5"),
        ("train.epoch", "3", "there is no setting train.epoch", "train.epoch"),
        ("expect.params", "3", "there is no setting expect.params", "expect.params"),
        ("height", "3", "there is no setting height", "height"),
        ("width", "2 +", "the value ends too early", ""),
        ("width", "-", "the value ends too early", ""),
        ("width", "", "width is given no value", "width"),
        ("width", "3)", "unexpected `)`", ")"),
        ("width", "(3", "this `(` is never closed", "("),
        ("width", "3;4", "width takes one value", "3;4"),
        ("width", "3 } data { train = 4", "unexpected `data`", "data"),
        ("width", "3\n}\ndata { train = 4", "width takes one value", "3"),
        ("width", "2 ** 2 ** 100", "integer of more than 1024 bits", "2 ** 2 ** 100"),
    ],
)
def test_mistakes_show_what_was_written(name, value, text, marked):
    found = message(name, value)
    assert text in found and "train{" not in found and "net N{" not in found
    lines = found.splitlines()
    assert lines[1].startswith(" --> the command line:1:")
    assert lines[3] == f"1 | --set {name}={value.splitlines()[0] if value else ''}".rstrip()
    at = lines[4].index("^") - len("  | ")
    assert lines[3].removeprefix("1 | ")[at : at + len(marked)] == marked
    assert lines[4].count("^") == max(1, len(marked))


@pytest.mark.parametrize(
    ("name", "value", "text", "marked"),
    [
        ("train.optimizer", "sgd(lr = 0)", "lr must be a number above 0, not 0", "lr = 0"),
        ("train.epoch", 3, "there is no setting train.epoch", "train.epoch"),
        ("train.epochs", "3)", "unexpected `)`", ")"),
        ("data.validation", "20%", "`20%` is no number", "20%"),
    ],
)
def test_in_python_mistakes_are_in_settings(name, value, text, marked):
    with pytest.raises(netdsl.NetError) as caught:
        netdsl.load("examples/digits.net", settings={name: value})
    found = str(caught.value)
    lines = found.splitlines()
    assert text in lines[0] and found.count("error[") == 1 and "--set" not in found
    assert lines[1].startswith(" --> settings:1:")
    assert lines[3] == f'1 | settings["{name}"] = {value}'
    at = lines[4].index("^") - len("  | ")
    assert lines[3].removeprefix("1 | ")[at : at + len(marked)] == marked


def test_a_wrong_value_is_told_once():
    assert message("width", "2 ** 2 ** 100").count("error[") == 1


@pytest.mark.parametrize("name", ["width", "train.loss", "train.metrics", "eval.metrics"])
@pytest.mark.parametrize(
    "value", ["range(100000)", "'x'".replace("'", '"').replace("x", "x" * 5000), "1" * 90]
)
def test_no_message_floods_the_screen(name, value):
    assert len(message(name, value)) < 1500
