"""docs/data.md followed to the letter: every file on the page is trained on data of the form that it asks for."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netdsl.cli.main import main
from tests.test_docs import ROOT, blocks

from .files import pictures
from .test_clips import clips
from .test_pairs import pairs

NETS = dict(blocks(ROOT / "docs" / "data.md", "net"))


def shapes(base):
    pictures(base / "pics" / "train", 20)
    pictures(base / "pics" / "test", 5)


def listed(base):
    pictures(base / "pics", 20, classes=("a", "b"))
    rows = [
        f"{p.relative_to(base / 'pics')},{p.parent.name}" for p in sorted((base / "pics").glob("*/*.png"))
    ]
    (base / "pics" / "list.csv").write_text("\n".join(["file,kind", *rows]))


def flowers(base):
    rows = [
        f"{5 + k % 3 / 2},{['red', 'blue', 'green'][k % 5 % 3]},{'' if k == 7 else k % 4},{'abc'[k % 3]}"
        for k in range(60)
    ]
    (base / "flowers.csv").write_text("\n".join(["length,colour,width,species", *rows]))


MAKE = {
    "shapes.net": shapes,
    "listed.net": listed,
    "segment.net": lambda base: pairs(base, 20, kind="RGB"),
    "flowers.net": flowers,
    "tones.net": lambda base: clips(base / "clips", 20, 11025, (0.05, 0.15)),
}


def netdsl(*words):
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return ended.value.code or 0


@pytest.mark.parametrize("name", NETS)
def test_the_files_of_the_page(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(NETS[name])
    MAKE[name](tmp_path)
    assert netdsl("check", name) == 0
    assert netdsl("train", name, "--device", "reference", "--set", "train.epochs=1") == 0
    assert "train: " in capsys.readouterr().out
    assert netdsl("data", "show", name, "-n", "6") == 0
    said = capsys.readouterr()
    sheet = Path(name).with_name(f"{Path(name).stem}-train.png")
    assert sheet.exists() is (name != "flowers.net"), said
    if sheet.exists():
        with Image.open(sheet) as image:
            assert min(image.size) > 100 and len(np.unique(np.asarray(image))) > 20


def test_a_sheet_is_a_png(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert netdsl("data", "show", str(ROOT / "examples" / "digits.net"), "-o", "sheet.svg") == 2
    assert "sheet.svg ends in none of .png" in capsys.readouterr().err and not Path("sheet.svg").exists()


def test_every_source_is_on_the_page():
    from netdsl.data.sources import SOURCES

    page = (ROOT / "docs" / "data.md").read_text()
    own = [
        name
        for name, kind in SOURCES.items()
        if getattr(kind, "__module__", "").startswith("netdsl.data.own")
    ]
    assert len(own) == 6 and all(f"{name}(" in page for name in own)
