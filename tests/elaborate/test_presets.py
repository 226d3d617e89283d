"""Presets: settings under a name, with claims of their own."""

import re

import pytest

from netdsl.cli.main import main
from netdsl.elaborate import elaborate, elaborate_partial
from netdsl.source import NetError, Source

TEXT = """
net Stack(width = 4) {
  input x: [H = 8]
  output y = x -> dense(width) -> dense(2)
}
preset wide { width = 16; H = 4; params == 114 }
preset plain { params == 46 }
expect { shape(y) == [2] }
"""


def network(net=None, overrides=None, text=TEXT):
    return elaborate(Source("stack.net", text), net=net, overrides=overrides)


def messages(**given):
    with pytest.raises(NetError) as caught:
        network(**given)
    return [d.message for d in caught.value.diagnostics]


def test_without_one_the_net_stands_as_it_is():
    found = network()
    assert (found.name, found.settings["width"], len(found.claims)) == ("Stack", 4, 1)


def test_a_preset_sets_settings_and_sizes_and_adds_claims():
    found = network("wide")
    assert (found.name, found.settings["width"], found.settings["H"]) == ("wide", 16, 4)
    assert [c.text for c in found.claims] == ["shape(y) == [2]", "params == 114"]
    assert len(network("plain").claims) == 2


def test_what_is_set_wins_and_leaves_the_claims_of_the_preset_alone():
    found = network("wide", {"width": "3"})
    assert (found.settings["width"], found.settings["H"], len(found.claims)) == (3, 4, 1)


def test_a_claim_that_does_not_hold():
    assert messages(net="wide", text=TEXT.replace("114", "115")) == ["expected params == 115"]


FAILING = """
net Stack(width = 4, k = 3) {
  input x: [8, 8, 1]
  output y = x -> conv(width, k) -> flatten -> dense(2)
}
preset fine { width = 16 }
preset broken { k = 11 }
preset wrong { params == 3 }
"""


@pytest.mark.parametrize(
    "net, message",
    [("broken", "a kernel of 11 x 11 does not fit into [8, 8, 1]"), ("wrong", "expected params == 3")],
)
def test_a_preset_that_fails_is_named(net, message):
    with pytest.raises(NetError) as caught:
        network(net, text=FAILING)
    (problem,) = caught.value.diagnostics
    assert problem.message == message
    assert problem.notes[-1].message == f"with the settings of the preset {net}"
    assert problem.notes[-1].span.text == net
    (partial,) = elaborate_partial(Source("stack.net", FAILING), net=net)[1]
    assert partial == problem


def test_the_net_alone_names_no_preset():
    with pytest.raises(NetError) as caught:
        network(text=FAILING.replace("dense(2)", "dense(0)"))
    assert not [n for d in caught.value.diagnostics for n in d.notes if "preset" in n.message]


@pytest.mark.parametrize(
    "text, presets",
    [
        (FAILING, ["broken", "wrong"]),
        # What the net has alone is told once, and not of a preset.
        (FAILING.replace("dense(2)", "dense(0)"), ["broken"]),
    ],
)
def test_check_names_the_presets_that_fail(tmp_path, capsys, text, presets):
    file = tmp_path / "stack.net"
    file.write_text(text)
    with pytest.raises(SystemExit):
        main(["check", str(file)])
    told = capsys.readouterr().err
    assert re.findall(r"with the settings of the preset (\w+)", told) == presets
    assert told.count("units must be") == text.count("dense(0)")


def test_names_that_there_are_not():
    assert messages(net="wyde") == ["no net or preset is called wyde"]
    wrong = TEXT.replace("width = 16", "widht = 16")
    assert messages(net="wide", text=wrong)[0] == "the net has no setting widht"
    assert "is defined twice" in messages(text=TEXT.replace("plain", "wide"))[0]
    assert "is set twice" in messages(text=TEXT.replace("H = 4;", "width = 4;"))[0]
