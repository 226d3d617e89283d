"""Logs of runs are read back, also those of runs that a crash ended."""

import pytest

from netdsl.source import NetError
from netdsl.train.run_log import read_log, values_of

START = '{"event": "start", "network": "N", "epochs": 3}\n'


def epoch(k, loss):
    return f'{{"event": "epoch", "epoch": {k}, "train": {{"loss": {loss}}}, "validation": null}}\n'


def log(tmp_path, text):
    (tmp_path / "metrics.jsonl").write_bytes(text.encode() if isinstance(text, str) else text)
    return read_log(tmp_path)


def test_a_torn_last_line_is_no_error(tmp_path):
    whole = START + epoch(1, 0.5) + epoch(2, 0.25)
    for cut in range(len(whole) - len(epoch(2, 0.25)) + 1, len(whole) - 1):
        assert [e["epoch"] for e in log(tmp_path, whole[:cut]).epochs] == [1]
    assert [e["epoch"] for e in log(tmp_path, whole.rstrip("\n")).epochs] == [1, 2]


def test_a_run_that_went_on_after_a_crash_is_one_curve(tmp_path):
    torn = epoch(2, 0.25)[:20] + "\n"
    again = '{"event": "resume", "epoch": 1, "step": 4, "changed": {}}\n'
    found = log(
        tmp_path, START + epoch(1, 0.5) + epoch(2, 9.0) + torn + again + epoch(2, 0.25) + epoch(3, "null")
    )
    assert [values_of(e, "train")["loss"] for e in found.epochs][:2] == [0.5, 0.25]
    last = values_of(found.epochs[-1], "train")["loss"]
    assert last != last and values_of(found.epochs[0], "validation") == {}
    assert found.ended is None


@pytest.mark.parametrize(
    "text",
    [
        "hello\n" + START,
        START + "[1]\n",
        START + '{"a": 1}\n' + START,
        b"\xff\xfe\n\n",
        "[" * 100_000 + "\n\n",
    ],
)
def test_what_is_no_log_is_told(tmp_path, text):
    with pytest.raises(NetError, match="is no log of a run: line"):
        log(tmp_path, text)


def test_a_missing_one_is_told(tmp_path):
    with pytest.raises(NetError, match=r"cannot read .*metrics.jsonl: No such file"):
        read_log(tmp_path)
