"""What changed between two networks."""

from netdsl.report.diff import diff, diff_json, render_diff
from tests.report.nets import STAGES, summary_of

BASE = "net N { input x: [8]\n output y = x -> dense(4) -> relu -> dense(2) }"


def changes(before, after):
    return [(c.kind, (c.after or c.before).name, c.what) for c in diff(summary_of(before), summary_of(after))]


def test_the_same_network_has_not_changed():
    assert changes(BASE, BASE) == []
    assert "the same layers, shapes and counts" in render_diff(summary_of(BASE), summary_of(BASE))


def test_a_setting_and_what_follows_from_it():
    assert changes(BASE, BASE.replace("dense(4)", "dense(5)")) == [
        ("changed", "dense1", ["units=4 -> units=5", "[4] -> [5]", "36 -> 45 params"]),
        ("changed", "relu1", ["[4] -> [5]"]),
        ("changed", "dense2", ["10 -> 12 params"]),
    ]


def test_a_layer_that_came_and_one_that_went():
    longer = BASE.replace("relu ->", "relu -> dropout(0.5) ->")
    assert changes(BASE, longer) == [("added", "dropout1", [])]
    assert changes(longer, BASE) == [("removed", "dropout1", [])]
    assert [c[:2] for c in changes(BASE, BASE.replace("relu", "tanh"))] == [
        ("removed", "relu1"),
        ("added", "tanh1"),
    ]


def test_a_block_that_came_is_one_line():
    text = render_diff(summary_of(STAGES), summary_of(STAGES.replace("Stage(3, 8)", "Stage(4, 8)")))
    assert "+ stage2.unit4: Unit, 5 layers, [8, 8, 8], 1,168 params" in text
    assert "  params: 5,516 -> 6,684 (+1,168)" in text


def test_json_has_rows_and_places():
    data = diff_json(summary_of(BASE), summary_of(BASE.replace("dense(4)", "dense(5)")))
    first = data["changes"][0]
    assert first["before"]["params"] == 36 and first["after"]["span"]["line"] == 2
    assert data["totals"]["params"] == {"before": 46, "after": 57}
