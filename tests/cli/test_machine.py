"""What the machine does not give is a diagnostic, whatever the command."""

from pathlib import Path

import pytest

from netdsl.cli.main import main

LENET = str(Path(__file__).parent.parent.parent / "examples" / "lenet5.net")
LANES = "NETDSL_LANES is '{}'; it must be 4, 8 or 16"
THREADS = "NETDSL_THREADS is '{}'; it must be a whole number from 1 to 1024"
CASES = [
    ("NETDSL_LANES", "7", LANES, ["doctor"]),
    ("NETDSL_LANES", "x", LANES, ["compile", LENET]),
    ("NETDSL_LANES", "-8", LANES, ["report", LENET, "--memory", "1GiB"]),
    ("NETDSL_THREADS", "0", THREADS, ["doctor"]),
    ("NETDSL_THREADS", "5000", THREADS, ["compile", LENET]),
    ("NETDSL_THREADS", "two", THREADS, ["compile", LENET]),
    (
        None,
        "5000",
        "{} threads are asked for; it must be",
        ["compile", LENET, "--threads", "5000"],
    ),
]


@pytest.mark.parametrize("name, value, message, words", CASES)
def test_it_is_said_in_words(name, value, message, words, monkeypatch, capsys):
    if name is not None:
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        main(words)
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (1, "")
    assert err.startswith(f"error[machine]: {message.format(value)}") and "Traceback" not in err
