"""Outputs are looked at before anything is computed, and what is missing is told in words that fit."""

import os
from pathlib import Path

import pytest

import netdsl
from netdsl.cli.main import main
from netdsl.data import DataPlan
from netdsl.source import NetError
from tests.rights import without_rights


@pytest.mark.parametrize(
    "words",
    [
        ["data", "show", "missing.net", "-o", "nodir/x.png"],
        ["curves", "missing", "-o", "nodir/x.svg"],
        ["lr-range", "missing.net", "-o", "nodir/x.svg"],
        ["draw", "missing.net", "-o", "nodir/x.svg"],
        ["run", "missing", "x.npy", "--out", "nodir/x.npz"],
        ["average", "missing", "-o", "nodir/x.netdsl"],
        ["compile", "missing.net", "-o", "nodir/x.netdsl"],
        ["compare", "missing.net", "--chart", "nodir/x.svg"],
    ],
    ids=lambda words: words[0],
)
def test_what_cannot_be_written(capsys, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path(f"full{Path(words[-1]).suffix}").mkdir()
    name = Path(words[-1]).name
    for out, reason in [
        (f"nodir/{name}", f"there is no folder nodir for {name}"),
        (f"file/{name}", f"there is no folder file for {name}"),
        (f"full{Path(name).suffix}", f"full{Path(name).suffix} is a folder"),
    ]:
        with pytest.raises(SystemExit) as ended:
            main([*words[:-1], out])
        assert ended.value.code == 2 and reason in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_a_folder_without_rights(tmp_path):
    (tmp_path / "shut").mkdir(mode=0o500)
    code = "from netdsl.files import obstacle; print(obstacle('shut/x.svg'), obstacle('/dev/stdout'))"
    done = without_rights(code, tmp_path)
    assert done.stdout == f"the folder {tmp_path / 'shut'} may not be written to None\n", done.stderr


@pytest.mark.parametrize(
    ("train", "advice"),
    [
        ("digits.train", "add: test = digits.test"),
        (netdsl.data.sources.SOURCES["csv"]("d.csv", label="a"), "add: test = csv(...)"),
    ],
    ids=["named", "csv"],
)
def test_a_missing_test_set_is_of_the_kind_of_the_training_set(train, advice):
    with pytest.raises(NetError) as caught:
        _ = DataPlan({"train": train, "validation": 0.1}).test
    assert advice in str(caught.value) and "or take the validation set: --on validation" in str(caught.value)
