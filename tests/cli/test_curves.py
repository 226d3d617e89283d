"""`netdsl curves`: which curves are drawn, and where to."""

import json
import xml.etree.ElementTree as ET

import pytest

from tests.calls import call


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, epochs in (("a", 3), ("b", 5)):
        (tmp_path / name).mkdir()
        lines = [{"event": "start", "network": "N"}]
        lines += [
            {
                "event": "epoch",
                "epoch": k,
                "train": {"loss": 1 / k, "acc": k / 9},
                "validation": {"loss": 2 / k},
            }
            for k in range(1, epochs + 1)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / name / "metrics.jsonl").write_text(text + '{"event": "epo')


def names(svg):
    return [e.text for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_two_runs_in_one_picture(capsys, tmp_path):
    assert call(capsys, "curves", "a", "b", "-o", "c.svg")[:2] == (0, "drawn to c.svg\n")
    found = names((tmp_path / "c.svg").read_text())
    assert found[:4] == ["a train", "a validation", "b train", "b validation"] and {"loss", "acc"} <= {*found}
    assert call(capsys, "curves", "a", "a/metrics.jsonl", "-o", "c.png")[0] == 0
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_in_text(capsys):
    code, out, _ = call(capsys, "curves", "a", "--only", "loss", "--smooth", "0.5", "--log")
    assert code == 0 and "  loss\n" in out and "acc" not in out and "epoch\n" in out


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["a", "-o", "c.gif"], 2, "c.gif ends in none of .svg, .png"),
        (["a", "--only", "los"], 2, "no run has the value los; did you mean loss?"),
        (["a", "--smooth", "1"], 2, "'1' is not a number from 0 to below 1"),
        (["none"], 1, "cannot read none: No such file"),
        (["empty"], 1, "empty has no epoch that is done, or none"),
    ],
)
def test_what_cannot_be_drawn_is_told(capsys, tmp_path, words, status, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "metrics.jsonl").write_text("")
    code, out, err = call(capsys, "curves", *words)
    assert (code, out) == (status, "") and message in err
    assert not [*tmp_path.glob("c.*")]


def test_without_a_watch_it_says_how_to_record_one(capsys):
    code, _, err = call(capsys, "curves", "a", "--watch")
    assert code == 1 and "a has no record of the inside of the network" in err
    assert "netdsl train FILE --watch gradients,weights,activations" in err


def test_shares_that_are_0_throughout_do_not_go_below_it(capsys, tmp_path):
    lines = [{"event": "watch", "epoch": k, "dead": {"relu1": 0.0}} for k in (1, 2)]
    (tmp_path / "a/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, out, _ = call(capsys, "curves", "a", "--watch")
    assert code == 0 and "share of dead channels" in out and "-0" not in out
