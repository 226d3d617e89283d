"""docs/zoo.md and docs/pictures/ are what netdsl says and draws today; `NETDSL_UPDATE_GOLDEN=1` makes them anew.

A new example gets its place in tests/zoo/gallery.py.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netdsl.cli.main import main
from netdsl.data.augment.choose import Choice
from netdsl.data.augment.heard import Sound
from netdsl.data.augment.table import CHANGES
from netdsl.report.chart import chart
from netdsl.report.draw import draw
from netdsl.syntax.read import read_source
from tests.data.augment.sheet import SHOWN, sheet
from tests.report.drawings import crossed, frames, overlaps, pictures
from tests.zoo.gallery import CHARTED, EXAMPLES, EXHIBITS, page, summary, tree

DOCS = Path(__file__).parent.parent / "docs"
PICTURES = DOCS / "pictures"
BY_FILE = pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda e: e.file)


def compare(path, text):
    if os.environ.get("NETDSL_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_the_gallery_shows_every_example_that_has_a_net():
    files = {path.stem for path in EXAMPLES.glob("*.net") if tree(path.stem).nets}
    assert {e.file for e in EXHIBITS} == files, "a new example gets its place in tests/zoo/gallery.py"


@BY_FILE
def test_papers_are_those_of_the_file(exhibit):
    comment = " ".join(
        line.lstrip("# ") for line in read_source(EXAMPLES / f"{exhibit.file}.net").text.splitlines()
    )
    assert all(paper in comment for paper in exhibit.papers)


def test_the_page():
    compare(DOCS / "zoo.md", page())


@BY_FILE
def test_the_drawing_of_a_file(exhibit):
    svg = draw(summary(exhibit.file, exhibit.drawn or exhibit.names[0]), "svg", 1, exhibit.blocks)
    compare(PICTURES / f"{exhibit.file}.svg", svg)
    assert str(EXAMPLES) not in svg, "a drawing that is passed on tells nothing of the machine"
    assert not [hit for picture in pictures(svg) for hit in crossed(picture)]
    assert not overlaps(frames(svg))


def test_the_chart():
    compare(PICTURES / "zoo.svg", chart([s for exhibit in CHARTED for s in exhibit.summaries]))


def test_the_sheet_of_augmentations():
    """Pixels are compared, and those of titles are left out: fonts and compression differ from Pillow to Pillow."""
    made, path = sheet(), PICTURES / "augmentation.png"
    if os.environ.get("NETDSL_UPDATE_GOLDEN"):
        made.save(path, optimize=True)
    with Image.open(path) as kept:
        assert kept.size == made.size
        difference = np.abs(np.asarray(kept, int) - np.asarray(made, int))
    assert (difference > 8).mean() < 0.02


def test_the_sheet_shows_every_change_of_pictures():
    shown = {type(change).name for _, change in SHOWN}
    assert shown == {n for n, kind in CHANGES.items() if not issubclass(kind, Sound | Choice)}


def test_the_curves_of_the_deep_perceptron(tmp_path):
    """They are drawn from the log of a run that took an hour."""
    shutil.copy(DOCS / "benchmarks" / "mlp_deep.jsonl", tmp_path / "metrics.jsonl")
    drawn = tmp_path / "curves.svg"
    with pytest.raises(SystemExit, match="0"):
        main(["curves", str(tmp_path), "-o", str(drawn)])
    compare(PICTURES / "accuracy_mlp_deep.svg", drawn.read_text("utf-8"))


def test_every_picture_is_made_here():
    own = {"augmentation", "zoo", "transfer_curves", "accuracy_mlp_deep"}
    assert {path.stem for path in PICTURES.iterdir()} == own | {e.file for e in EXHIBITS}
