"""Output that nobody reads, that is full or closed: a sentence and a status, and nothing learnt is lost."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .room import NETDSL, environment

TRAIN = "train examples/digits.net --set train.epochs=2 --set width=4"
COMMANDS = ["--help", "help train", "ops", "params examples/lenet5.net", "fmt --check ugly.net"]
MORE = [
    "ops conv",
    "data list",
    "--version",
    "check examples/digits.net",
    "draw examples/lenet5.net",
    "doctor",
]
ALL = pytest.mark.parametrize(
    "commands", [COMMANDS, pytest.param(MORE, marks=pytest.mark.slow)], ids=["few", "more"]
)
NO_SPACE = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")


def shell(line, folder, **env):
    """Run a line of bash in which `netdsl` is ours; status, output and errors."""
    function = f'netdsl() {{ {" ".join(NETDSL)} "$@"; }}; set -o pipefail; {line}'
    done = subprocess.run(
        ["bash", "-c", function],
        cwd=folder,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


@ALL
def test_a_reader_that_has_gone_is_no_error(folder, commands):
    """It reads one line, or nothing at all; the status is that of the command."""
    lines = [
        f"netdsl {command} | {reader}; echo $?" for command in commands for reader in ("head -1", "true")
    ]
    _, out, err = shell("\n".join(lines), folder)
    statuses = re.findall(r"^(\d+)$", out, re.M)
    assert len(statuses) == len(lines) and set(statuses) <= {"0", "1"} and err == ""
    # `fmt --check` answers by its status.
    assert statuses.count("1") == 2 * commands.count("fmt --check ugly.net")


def test_the_reader_of_an_error_may_go(folder):
    assert shell("netdsl check none.net 2>&1 | true", folder)[0] == 1


@NO_SPACE
@ALL
def test_output_that_cannot_be_written_is_an_error_in_words(folder, commands):
    unbuffered = "1" if commands is MORE else None
    for where, reason in ((">/dev/full", "No space left on device"), (">&-", "it is closed")):
        line = "\n".join(f"netdsl {command} {where}; echo $?" for command in commands)
        _, out, err = shell(line, folder, PYTHONUNBUFFERED=unbuffered)
        assert out.split() == ["1"] * len(commands)
        assert err == f"netdsl: cannot write to standard output: {reason}\n" * len(commands)


@NO_SPACE
def test_errors_that_cannot_be_written_leave_the_status(folder):
    places = ("2>/dev/full", "2>&-", ">&- 2>&-")
    cases = {"check none.net": "1", "nope": "2", "train --nope": "2"}
    line = "\n".join(f"netdsl {command} {place}; echo $?" for command in cases for place in places)
    _, out, err = shell(line, folder)
    # What is meant for a closed standard error is printed nowhere else.
    assert out.split() == [status for status in cases.values() for _ in places] and err == ""


@NO_SPACE
def test_a_training_that_cannot_print_at_all_saves_nothing(folder, tmp_path):
    status, _, err = shell(f"netdsl {TRAIN} --out {tmp_path} > /dev/full", folder)
    assert status == 1 and "cannot write to standard output: No space left on device" in err
    assert "nothing was saved" in err and not (tmp_path / "last.safetensors").exists()


def test_a_training_that_cannot_print_keeps_what_it_learnt(folder, tmp_path):
    status, _, err = shell(f"netdsl {TRAIN} --out {tmp_path} | head -1", folder)
    assert status == 1 and "error[output]: cannot write to standard output: Broken pipe" in err
    assert f"saved in {tmp_path}; to go on: netdsl train" in err
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "error" and (tmp_path / "last.safetensors").exists()
    status, out, _ = shell(f"netdsl {TRAIN} --out {tmp_path} --resume", folder)
    assert status == 0 and "epoch 2/2" in out and "test: " in out


def test_a_training_with_closed_output_is_silent_and_whole(folder, tmp_path):
    status, out, err = shell(f"netdsl {TRAIN} --out {tmp_path} >&-", folder)
    assert (status, out, err) == (0, "", "")
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["event"] == "end"


def test_kill_ends_a_command_with_its_status(folder):
    with subprocess.Popen([*NETDSL, "fmt", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(b"net")
        process.stdin.flush()
        status = Path(f"/proc/{process.pid}/status")
        # The handler is set when the command begins.
        while not int(re.search(r"SigCgt:\s*(\w+)", status.read_text())[1], 16) & 1 << (signal.SIGTERM - 1):
            assert process.poll() is None
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 143 and process.stderr.read() == b""


def test_ctrl_c_while_the_command_is_imported_shows_no_traceback():
    """Importing takes a tenth of a second, in which people who mistyped press it."""
    code = (
        "import runpy, sys\n"
        "class Pressed:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'netdsl.cli.main': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Pressed())\n"
        "runpy.run_module('netdsl', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
