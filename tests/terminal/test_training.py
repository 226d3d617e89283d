"""A training as it is seen on a terminal: the bar, the table, Ctrl-C, another size, no colours."""

import re
import time
from pathlib import Path

import pytest

from netdsl.train import load_checkpoint

from .room import BATCH, CTRL_C, Terminal

SCREENS = Path(__file__).parent / "screens"
DIGITS = ("train", "examples/digits.net", "--set", "width=8", "--set")
MIDWAY = r"2/\d+ .*\n.*3/\d+ .* [1-9]\d?/40"


def masked(text):
    """A screen without what differs from run to run and from machine to machine.

    The line of the bar makes room for the time that is left, as soon as that is known.
    """
    text = re.sub(r"runs/digits-(\n?)\d+", r"runs/digits-\1N", text)
    text = re.sub(r"^(?:epoch )?(\d+/\d+) [━╸╺]{2,} .*", r"epoch \1 ━━━...", text, flags=re.M)
    text = re.sub(r"\(\d+\.\d s in all\)", "(0.0 s in all)", text)
    return re.sub(r" *\d+\.(\d+)", lambda m: f"{0:.{len(m[1])}f}".rjust(len(m[0])), text)


SLOW = pytest.mark.slow


@pytest.mark.parametrize("columns", [80, pytest.param(60, marks=SLOW), 40])
def test_the_screens_of_a_training(folder, golden, columns):
    with Terminal([*DIGITS, "train.epochs=5"], columns, folder=folder) as terminal:
        terminal.until(MIDWAY)
        middle, hidden = terminal.lines, terminal.cursor_is_hidden
        assert terminal.wait() == 0, terminal.text
    assert hidden and not terminal.cursor_is_hidden
    # The bar is one line, and leaves room for what a key may show.
    assert columns - 10 < len(middle[-1]) <= columns - 3 and "━━━" in middle[-1]
    assert all(len(line) <= columns for line in terminal.lines)
    golden(SCREENS / f"train_midway_{columns}.txt", masked("\n".join(middle)) + "\n")
    golden(SCREENS / f"train_end_{columns}.txt", masked(terminal.text))


def test_a_terminal_of_another_size(folder):
    with Terminal([*DIGITS, "train.epochs=60"], 80, folder=folder) as terminal:
        terminal.until(MIDWAY)
        before = len(terminal.bytes)
        terminal.resize(40)
        terminal.until(r"\b[2-4]\d/60 ")
        terminal.resize(60)
        assert terminal.wait() == 0
    after = terminal.bytes[before:].decode()
    assert "Traceback" not in after and "test: " in after
    headings = re.findall(r"epoch .*time", after)
    assert headings and not {"loss  accuracy  val"} & set(headings[:1]) and len(headings) <= 2
    assert not terminal.cursor_is_hidden


def test_ctrl_c_once_keeps_what_is_done(folder):
    with Terminal([*DIGITS, "train.epochs=1000", "--out", "once"], 80, folder=folder) as terminal:
        terminal.until(MIDWAY)
        terminal.press(CTRL_C)
        assert terminal.wait() == 130
    assert re.search(
        r"^interrupted in epoch \d+\nsaved in once; to go on:\nnetdsl train ", terminal.text, re.M
    )
    assert "━━" not in terminal.lines[-4:] and not terminal.cursor_is_hidden
    progress = load_checkpoint(folder / "once" / "last.safetensors").progress
    assert progress.epoch >= 2 and f"interrupted in epoch {progress.epoch + 1}" in terminal.text


@pytest.mark.parametrize("words", ["compiling|reading", "training for"])
def test_ctrl_c_before_the_first_step_says_what_is_kept(folder, words):
    out = folder / "early"
    with Terminal([*DIGITS, "train.epochs=1000", "--out", "early"], 80, folder=folder) as terminal:
        terminal.until(words)
        terminal.press(CTRL_C)
        assert terminal.wait() == 130
    assert "Traceback" not in terminal.text and not terminal.cursor_is_hidden
    assert ("saved in early; to go on:" in terminal.text) == (out / "last.safetensors").exists()


def test_ctrl_c_twice_ends_at_once(folder):
    with Terminal([*DIGITS, "train.epochs=1000", "--out", "twice"], 80, folder=folder) as terminal:
        terminal.until(r"2/1000 +\d")
        terminal.press(CTRL_C)
        terminal.press(CTRL_C)
        assert terminal.wait() == 130
    assert "Traceback" not in terminal.text and "interrupted" in terminal.text
    assert not terminal.cursor_is_hidden
    assert load_checkpoint(folder / "twice" / "last.safetensors").progress.epoch >= 1
    assert not (folder / "twice" / ".lock").exists()


def test_ctrl_c_ends_any_command(folder):
    with Terminal(['[["fmt", "-"]]'], folder=folder, program=BATCH) as terminal:
        terminal.until("netdsl fmt -")
        time.sleep(1)  # until it waits for what is typed
        terminal.press(CTRL_C)
        terminal.wait()
    assert "\ninterrupted\nstatus 130\n" in terminal.text and "Traceback" not in terminal.text


SGR = re.compile(rb"\x1b\[[\d;]*3\dm")


@pytest.mark.parametrize(
    ("env", "colours", "escapes"),
    [({}, True, True), ({"NO_COLOR": "1"}, False, True), ({"TERM": "dumb"}, False, False)],
    ids=["colours", "NO_COLOR", "dumb"],
)
def test_colours_and_other_escapes(folder, env, colours, escapes):
    with Terminal([*DIGITS, "train.epochs=1"], folder=folder, env=env) as terminal:
        assert terminal.wait() == 0 and "test: " in terminal.text
    assert bool(SGR.search(terminal.bytes)) == colours
    assert (b"\x1b" in terminal.bytes) == escapes
    with Terminal(["check", "broken.net"], folder=folder, env=env) as terminal:
        assert terminal.wait() == 1
    assert bool(SGR.search(terminal.bytes)) == colours == (b"\x1b" in terminal.bytes)
