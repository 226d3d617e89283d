"""What a terminal shows, as it was looked at by eye: the list of commands, a help, a table, a diagnostic."""

from pathlib import Path

import pytest

from .room import show

SCREENS = Path(__file__).parent / "screens"
SHOWN = {
    "help": ["help"],
    "help_train": ["help", "train"],
    "help_data": ["data", "--help"],
    "params": ["params", "examples/lenet5.net"],
    "report": ["report", "examples/resnet.net", "--net", "resnet18", "--depth", "1"],
    "diagnostic": ["check", "broken.net"],
    "usage": ["train", "examples/lenet5.net", "--epochs", "3"],
    "device": ["compile", "examples/lenet5.net", "--device", "cuda"],
}


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("name", SHOWN)
def test_the_screen(folder, golden, name, columns):
    status, terminal = show(SHOWN[name], columns, folder=folder, env={"NETDSL_CUDA": "imagined"})
    assert status == {"diagnostic": 1, "device": 1, "usage": 2}.get(name, 0)
    golden(SCREENS / f"{name}_{columns}.txt", terminal.text)
