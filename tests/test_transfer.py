"""docs/transfer.md says and draws what was measured, and its ways compare so on the digits that ship with netdsl.

`NETDSL_UPDATE_GOLDEN=1` writes table and picture anew, from docs/benchmarks/transfer_mnist.json.
"""

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.transfer import WAYS, curve, learn_first, picture, table
from netdsl.cli.main import main

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "transfer.md"
CURVES = json.loads((ROOT / "docs/benchmarks/transfer_mnist.json").read_text())["curves"]
TABLE = re.compile(r"^\| way \|.*?(?=\n\n)", re.M | re.S)


def test_the_table():
    text = PAGE.read_text("utf-8")
    if os.environ.get("NETDSL_UPDATE_GOLDEN"):
        PAGE.write_text(TABLE.sub(table(CURVES), text, count=1), "utf-8")
    found = TABLE.search(PAGE.read_text("utf-8"))
    assert found is not None and found[0] == table(CURVES)


def test_the_picture():
    path = ROOT / "docs/pictures/transfer_curves.svg"
    if os.environ.get("NETDSL_UPDATE_GOLDEN"):
        path.write_text(picture(CURVES).svg(), "utf-8")
    assert path.read_text("utf-8") == picture(CURVES).svg()


def test_what_the_page_says_of_the_curves():
    """In every seed: whatever has learnt 0 to 4 ends ahead, and the head alone is ahead from the third epoch on."""
    last = {name: np.array(rows)[:, -1] for name, rows in CURVES.items()}
    for name in ("trunk frozen", "everything at once", "in stages"):
        assert (last[name] > last["from scratch"]).all()
    third = {name: np.array(rows)[:, 2] for name, rows in CURVES.items()}
    assert (third["trunk frozen"] > third["from scratch"]).all()


COMMANDS = re.findall(r"^netdsl train .*$", PAGE.read_text("utf-8"), re.M)
SMALL = (("mnist.", "digits."), ("side=28", "side=8"))


def test_the_commands_run(tmp_path, monkeypatch):
    """On the digits that ship with netdsl."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    assert len(COMMANDS) == 2
    for command in COMMANDS:
        for old, new in SMALL:
            assert old in command
            command = command.replace(old, new)
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(command)[1:])
        assert not ended.value.code


@pytest.mark.slow
def test_the_ways_on_the_small_digits(tmp_path):
    """As the page says: from scratch ends ahead of a frozen trunk; letting the trunk go makes good for most of it."""
    learn_first("digits", 1, tmp_path)
    found = {
        name: curve("digits", 1, tmp_path if transfers else None, stages)
        for name, (transfers, stages) in WAYS.items()
    }
    assert found["from scratch"][-1] > found["trunk frozen"][-1] + 0.05
    half = found["in stages"][5]
    assert found["in stages"][-1] > half + 0.2
    assert found["in stages"][-1] > found["trunk frozen"][-1]
