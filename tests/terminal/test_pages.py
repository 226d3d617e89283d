"""Every command, and the help of each, at every width: nothing is cut in the middle of a word."""

import json
import re

import pytest

from netdsl.cli.main import COMMANDS

from .room import BATCH, Terminal

WIDTHS = (80, 60, 40)
LENET, LENET1 = "examples/lenet5.net", "examples/lenet1.net"

HELP = [["--help"], ["help"], ["data"], *([name, "--help"] for name in COMMANDS if name != "help")]
HELP += [["help", "data", "get"], ["data", "list", "--help"]]
PAGES = [
    ["check", "examples/digits.net"],
    ["check", "broken.net"],
    ["check", "none.net"],
    ["fmt", "--check", LENET],
    ["shapes", LENET],
    ["params", LENET],
    ["report", LENET],
    ["report", LENET, "--batch", "2"],
    ["report", "broken.net"],
    ["params", "examples/resnet.net", "--net", "resnet50", "--depth", "1"],
    ["draw", LENET, "-o", "drawing.svg"],
    ["diff", LENET, LENET1],
    ["compare", LENET, LENET1],
    ["explain-shape", LENET, "dense1"],
    ["ops"],
    ["ops", "conv"],
    ["ops", "convv"],
    ["data", "list"],
    ["doctor"],
    ["nope"],
    ["train", "--nope"],
    ["train", LENET, "--out"],
    ["train", "broken.net", "--device", "cuda"],
    ["train", "examples/digits.net", "--set", "train.optimizer=adagrad(learning_rate = 0.1)"],
]
HEAVY = [["compile", LENET], ["compile", LENET, "--explain"], ["eval", LENET, "none.safetensors"]]


def pages(commands, columns, folder):
    """Status and lines of every command, on a terminal of its width."""
    with Terminal([json.dumps(commands)], columns, folder=folder, program=BATCH) as terminal:
        assert terminal.wait() == 0, terminal.text
    found = re.findall(r"^\$ netdsl((?:.*\n)*?)status (\S+)$", terminal.text, re.M)
    assert len(found) == len(commands)
    assert not re.search("Traceback|Error:", terminal.text), terminal.text
    # The command itself is in the first lines, and is broken where the terminal ends.
    skipped = [len("$ netdsl " + " ".join(words)) for words in commands]
    return [
        (int(status.replace("None", "0")), text.split("\n")[-(-length // columns) :])
        for (text, status), length in zip(found, skipped, strict=True)
    ]


def words(text):
    """The words of a page without what joins them; digits that differ from run to run are alike."""
    return {re.sub(r"\d", "0", word.strip("();:,.")) for word in text.split()}


@pytest.mark.parametrize(
    "commands", [HELP, PAGES, pytest.param(HEAVY, marks=pytest.mark.slow)], ids=["help", "pages", "heavy"]
)
def test_no_word_is_broken_at_any_width(folder, commands):
    if commands is HEAVY:
        pages(commands, 400, folder)  # kernels come from the cache from now on, and the pages say so
    wide = pages(commands, 400, folder)
    broken = []
    for columns in WIDTHS:
        narrow = pages(commands, columns, folder)
        assert [status for status, _ in narrow] == [status for status, _ in wide]
        for command, (_, lines), (_, whole) in zip(commands, narrow, wide, strict=True):
            # What a table leaves out it names; a rule is as long as its table; … marks what is cut.
            text, _, _ = "\n".join(lines).partition("(not shown at this width:")
            there = words("\n".join(whole))
            strange = {w for w in words(text) - there if not re.search("[─…^]", w)}
            # A path may be longer than its column: the terminal goes on with it on the next line.
            strange = {w for w in strange if not any(w in path for path in there if len(path) > columns // 2)}
            if strange:
                broken.append(f"{command} at {columns}: {strange}\n{text}")
    assert not broken, "\n".join(broken)
