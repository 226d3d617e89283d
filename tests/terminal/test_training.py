"""A training as it is seen on a terminal."""

import pytest

from .room import Terminal

DIGITS = ("train", "examples/digits.net", "--set", "train.epochs=2")


@pytest.mark.parametrize("columns", [80, 40])
def test_a_training_runs_to_its_end(tmp_path, columns):
    with Terminal([*DIGITS, "--out", str(tmp_path)], columns) as terminal:
        assert terminal.wait() == 0, terminal.text
        assert "epoch 1/2" in terminal.text and "epoch 2/2" in terminal.text and "test:" in terminal.text
        assert not terminal.cursor_is_hidden
