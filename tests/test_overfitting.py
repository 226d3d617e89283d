"""The commands of docs/overfitting.md, run on the digits that ship with netdsl, with fewer seeds and epochs."""

import csv
import re
import shlex
import shutil
from pathlib import Path

import pytest

from netdsl.cli.main import main

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "overfitting.md").read_text("utf-8")
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S) for line in block.splitlines()
]
SMALL = {"side": "8", "data.train": "digits.train", "data.test": "digits.test", "data.subset": "125"}
SMALL |= {"train.epochs": "2", "train.batch": "20"}


def small(command):
    """The words of a command for a fraction of its time."""
    netdsl, *words = shlex.split(command.replace("--seeds 5", "--seeds 2").replace("--folds 5", "--folds 2"))
    assert netdsl == "netdsl"
    return [*words, *(word for name, value in SMALL.items() for word in ("--set", f"{name}={value}"))]


def test_there_is_a_command_for_each_remedy():
    names = ("data.augment", "train.optimizer", "train.stop", "drop", "noise", "hidden")
    assert len(COMMANDS) == 7 and all(sum(f"{name}=" in c for c in COMMANDS) in (1, 2) for name in names)


#: one of them always, the others take a minute
ALWAYS = next(c for c in COMMANDS if "train.stop" in c)


@pytest.mark.parametrize(
    "command", [c if c == ALWAYS else pytest.param(c, marks=pytest.mark.slow) for c in COMMANDS]
)
def test_the_commands_run(command, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(small(command))
    assert not ended.value.code
    (table,) = tmp_path.glob("runs/*/table.csv")
    rows = list(csv.DictReader(table.open()))
    assert rows and all(row["trainings"] == "2" and not row["failure"] for row in rows)
