"""Outputs are looked at before anything is computed, and what is missing is told in words that fit."""

import pytest

import netdsl
from netdsl.cli.main import main
from netdsl.data import DataPlan
from netdsl.source import NetError


@pytest.mark.parametrize(
    "words",
    [
        ["data", "show", "missing.net", "-o", "nodir/x.png"],
        ["curves", "missing", "-o", "nodir/x.svg"],
        ["lr-range", "missing.net", "-o", "nodir/x.svg"],
        ["draw", "missing.net", "-o", "nodir/x.svg"],
        ["run", "missing", "x.npy", "--out", "nodir/x.npz"],
        ["average", "missing", "-o", "nodir/x.netdsl"],
    ],
    ids=lambda words: words[0],
)
def test_a_folder_that_is_not_there(capsys, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2 and "there is no folder nodir for x." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("train", "advice"),
    [
        ("digits.train", "add: test = digits.test"),
        (netdsl.data.sources.SOURCES["csv"]("d.csv", label="a"), 'add: test = csv("...")'),
    ],
    ids=["named", "csv"],
)
def test_a_missing_test_set_is_of_the_kind_of_the_training_set(train, advice):
    with pytest.raises(NetError) as caught:
        _ = DataPlan({"train": train, "validation": 0.1}).test
    assert advice in str(caught.value) and "or evaluate on the validation set" in str(caught.value)
