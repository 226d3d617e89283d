"""Networks side by side."""

import xml.etree.ElementTree as ET

import pytest

from netdsl.report.chart import chart
from netdsl.report.compare import compare_json, render_compare
from tests.report.drawings import overlaps
from tests.report.nets import STAGES, summary_of

SMALL = "net Small { input x: [8]\n output y = x -> dense(4) }"


def both():
    return [summary_of(STAGES), summary_of(SMALL)]


def test_a_narrow_page_names_the_columns_left_out():
    lines = render_compare(both(), 42).splitlines()
    assert max(map(len, lines)) <= 42
    assert lines[0].split() == ["network", "params", "MACs", "results"]
    assert "(not shown at this width: input, FLOPs)" in lines


def test_a_row_each():
    lines = render_compare(both(), 100).splitlines()
    assert lines[2].split()[0] == "Stages" and "5,516" in lines[2] and "[8]" in lines[3]
    assert compare_json(both())[1] == {
        "network": "Small",
        "input": [8],
        "params": 36,
        "macs": 32,
        "flops": 68,
        "activation_bytes": 16,
    }


def test_the_chart_is_a_picture_of_all():
    root = ET.fromstring(chart(both()))
    tag = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{tag}circle")) == 2
    assert {"Stages", "Small"} <= {t.text for t in root.findall(f"{tag}text")}


def test_names_lie_neither_on_each_other_nor_on_discs():
    root = ET.fromstring(chart(both() * 8))
    tag = "{http://www.w3.org/2000/svg}"
    names = [t for t in root.iter(f"{tag}text") if t.text in ("Stages", "Small")]
    boxes = [(x, y - 9, x + 6 * len(t.text), y + 2) for t in names for x, y in [place(t, "x", "y")]]
    discs = [place(c, "cx", "cy", "r") for c in root.iter(f"{tag}circle")]
    assert len(boxes) == len(discs) == 16
    assert not overlaps(boxes)
    assert not any(overlaps([box, (x - r, y - r, x + r, y + r)]) for box in boxes for x, y, r in set(discs))


def place(element, *keys):
    return tuple(float(element.get(key)) for key in keys)


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="a chart needs networks"):
        chart([summary_of("net N { input x: [8]\n output y = x -> relu }")])
