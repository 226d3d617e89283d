"""The outline of a report, what it selects, and its formats."""

import csv
import io
import json
import re

import pytest

from netdsl.report import Selection, notebook, render, to_json
from netdsl.report.outline import outline, tree
from tests.report.nets import STAGES, summary_of


@pytest.fixture(scope="module")
def stages():
    return summary_of(STAGES)


def labels(lines):
    return [f"{'.' * line.level}{line.label} {line.row.kind} {line.count}" for line in lines]


def test_equal_neighbours_are_one_line(stages):
    assert labels(outline(tree(stages), depth=2)) == [
        "image input 1",
        "stage1 Stage 1",
        ".conv1 conv 1",
        ".unit1 Unit 1",
        "stage2 Stage 1",
        ".conv1 conv 1",
        ".unit1..3 Unit 3",
        "head conv 1",
        "head_1 conv 1",
    ]


def test_expanded_they_are_three(stages):
    lines = outline(tree(stages), depth=2, collapse=False)
    assert [line.label for line in lines if line.row.kind == "Unit"] == ["unit1", "unit1", "unit2", "unit3"]


@pytest.mark.parametrize("depth", [1, 2, 3, None])
@pytest.mark.parametrize("collapse", [True, False])
def test_every_depth_adds_up(stages, depth, collapse):
    lines = outline(tree(stages), depth, collapse)
    assert sum(line.row.params for line in lines if line.level == 0) == stages.totals.params
    leaves = [
        line
        for line, after in zip(lines, [*lines[1:], None], strict=True)
        if after is None or after.level <= line.level
    ]
    assert sum(line.row.macs for line in leaves) == stages.totals.macs
    assert (
        sum(line.row.bytes for line in leaves if line.row.kind != "input") == stages.totals.activation_bytes
    )


def test_shared_weights_count_once(stages):
    rows = {r.name: r for r in stages.rows}
    assert rows["head"].params == 36 and rows["head_1"].params == 0
    assert "shared with head" in render(stages, "table")


def test_frozen_weights_are_told():
    text = "net N { input x: [4]\n output y = x -> dense(3) @freeze -> dense(2) }"
    summary = summary_of(text)
    assert (summary.totals.params, summary.totals.trainable) == (23, 8)
    assert "15 frozen" in render(summary, "table")


def test_find_sort_and_top(stages):
    def names(**options):
        return [line.label for line in Selection(**options).lines(stages)]

    assert names(sort="macs", top=1) == ["stage1.unit1.conv1"]
    assert names(find="shape=16x16", top=1) == ["stage1.conv1"]
    assert names(find="shape=8x8x4") == ["head_1"]
    assert names(find="op=add") == [
        f"{u}.add1" for u in ("stage1.unit1", *(f"stage2.unit{k}" for k in (1, 2, 3)))
    ]
    assert names(find="name=head*") == ["head", "head_1"]


@pytest.mark.parametrize("options", [{"find": "size=3"}, {"find": "shape=big"}, {"sort": "colour"}])
def test_what_cannot_be_selected(stages, options):
    with pytest.raises(ValueError, match="cannot"):
        Selection(**options).lines(stages)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("view", ["shapes", "params", "report"])
def test_tables_keep_to_the_width(stages, width, view):
    text = render(stages, "table", view, width=width)
    assert max(map(len, text.splitlines())) <= width
    if width == 200:
        assert "not shown" not in text


def test_csv_reads_back(stages):
    rows = list(csv.DictReader(io.StringIO(render(stages, "csv", selection=Selection(expand=True)))))
    by_name = {r["layer"]: r for r in rows}
    assert by_name["stage1.conv1"]["params"] == str(27 * 8 + 8)
    assert by_name["stage1.conv1"]["receptive_field"] == "3x3" and by_name["stage1.conv1"]["line"] == "3"


def test_json_is_whole_and_traceable(stages):
    data = json.loads(json.dumps(to_json(stages)))
    assert len(data["rows"]) == len(stages.rows) and all(r["span"]["line"] for r in data["rows"])
    assert {b["name"] for b in data["blocks"]} == {"Stage", "Unit"}
    assert data["totals"]["params"] == stages.totals.params


def test_html_and_latex_escape_what_they_show():
    text = "net N { input a_b: [4]\n output y = a_b -> dense(3) }"
    summary = summary_of(text)
    assert r"a\_b" in render(summary, "latex") and "<td" in render(summary, "html")
    markdown = render(summary, "markdown").splitlines()
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in markdown if line.startswith("|")}) == 1


def test_a_narrow_table_keeps_what_it_is_sorted_by(stages):
    text = render(stages, "table", "report", Selection(sort="macs", top=2), width=40)
    assert "MACs" in text.splitlines()[2] and "params" not in text.splitlines()[2]


def test_a_shared_block_stands_once_per_use():
    text = """block F { in -> conv(2, 1) -> relu }
    net N { input x: [4, 4, 2]
      layer f = F
      output y = x -> f -> f }"""
    summary = summary_of(text)
    assert summary.totals.params == 6 and summary.totals.macs == 128
    closed = render(summary, "table", selection=Selection(depth=1), width=100).splitlines()
    assert [line.split()[:2] for line in closed[4:7]] == [["x", "input"], ["f", "F"], ["f_1", "F"]]
    assert "shared with f " in closed[6] and closed[6].split()[-3:] == ["64", "192", "y"]
    flat = render(summary, "table", selection=Selection(sort="params"), width=100)
    assert "f_1.conv1" in flat and "shared with f.conv1" in flat


def test_shared_weights_in_a_block_are_named_shortly():
    text = """block F { layer c = conv(2, 1)
      in -> c -> c }
    net N { input x: [4, 4, 2]
      layer f = F
      output y = x -> f -> f }"""
    summary = summary_of(text)
    assert summary.totals.params == 6
    lines = render(summary, "table", width=100).splitlines()
    assert ["c_1", "conv", "[4,", "4,", "2]", "shared", "with", "c", "64", "160"] in map(str.split, lines)
    assert sum("shared with f.c " in line for line in lines) == 2


def test_a_notebook_shows_the_table_and_the_drawing(stages, monkeypatch):
    shown = notebook.shown_summary(stages)
    page = shown._repr_html_()
    assert page.count("<table") == 1 and page.count("<svg") == 1 and "Unit x3" in page
    monkeypatch.setattr(notebook, "GLANCE", 4)
    assert "Unit" not in shown._repr_html_().partition("<svg")[2]
    monkeypatch.setattr(notebook, "MAX_BOXES", 2)
    assert "boxes are too many" in shown._repr_html_() and "<svg" not in shown._repr_html_()


def test_a_network_of_vectors_has_no_receptive_field():
    summary = summary_of("net N { input x: [4]\n output y = x -> dense(3) -> relu }")
    assert "all" not in render(summary, "table", "report", width=200).split()


def test_gpus_have_a_column_where_tags_name_some():
    text = """block B { in -> relu -> tanh @gpu(2) }
net N { input x: [4]
 output y = x -> B -> B @gpu(1) -> relu @gpu(1) -> relu }"""
    summary = summary_of(text)
    lines = render(summary, "table", "shapes", Selection(depth=1), 100).splitlines()
    cells = {line.split()[0]: line.split("]")[-1].strip() for line in lines if "]" in line}
    assert cells == {"x": "-", "b1": "-, 2", "b2": "1, 2", "relu1": "1", "relu2": "-     y"}
    assert "gpu" not in render(summary_of(STAGES), "table", "report", width=200)
    rows = csv.DictReader(io.StringIO(render(summary, "csv", selection=Selection(expand=True))))
    assert {row["layer"]: row["gpu"] for row in rows}["relu1"] == "1"
