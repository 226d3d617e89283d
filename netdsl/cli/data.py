"""`netdsl data list`, `netdsl data get NAME` and `netdsl data show FILE`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.cli.command import Group, at_least_1, command, need_ending, option, path
from netdsl.cli.common import (
    FILE,
    FORMAT,
    NET,
    SET,
    Format,
    diagnostics,
    load_network,
    print_json,
    print_page,
    waiting,
    writing,
)
from netdsl.source import counted

if TYPE_CHECKING:
    from netdsl.data.obtain import Entry
    from netdsl.data.sheet import SheetCell


def _names() -> Iterable[str]:
    from netdsl.data.registry import DATASETS

    return DATASETS


@command(FORMAT)
def list_(form: Format) -> None:
    """List the data sets, and where each would be read from."""
    from netdsl.data import list_datasets

    entries = list_datasets()
    if form is Format.json:
        print_json(
            [{"name": e.dataset.name, "title": e.dataset.title, "folder": _folder(e)} for e in entries]
        )
        return
    for e in entries:
        print_page(f"{e.dataset.name:<14}  {e.dataset.title} ({_folder(e) or 'not here yet'})")


def _folder(entry: Entry) -> str | None:
    if entry.dataset.format == "npz":
        return "shipped with netdsl"
    return str(entry.folder) if entry.folder else None


@command(
    option("name", known=_names, metavar="NAME", help="a data set, such as mnist"),
    option("--folder", type=path, files="/", metavar="DIR", help="where to put it"),
)
def get_(name: str, folder: Path | None) -> None:
    """Find a data set on this machine or download it, and check its checksums."""
    from netdsl.data import get

    with diagnostics():
        got = get(name, folder)
    print_page(f"{got.name}: {got.action}" + (f" in {got.folder}" if got.folder else ""))


@command(
    FILE,
    SET,
    NET,
    option(
        "--on",
        dest="split",
        choices=("train", "validation", "test"),
        default="train",
        metavar="SPLIT",
        help="train (default), validation or test",
    ),
    option(
        "-n", dest="count", type=at_least_1, default=24, metavar="N", help="samples to draw (default: 24)"
    ),
    option(
        "-o", "--output", dest="out", type=path, files="*.png", metavar="FILE", help="default: NAME-SPLIT.png"
    ),
)
def show_(file: Path, settings: list[str], net: str | None, split: str, count: int, out: Path | None) -> None:
    """Say what the data of a file is, and draw samples with labels, before and after augmentation."""
    from netdsl.train.show import show_data

    sheet = out or Path(f"{file.stem}-{split}.png")
    need_ending(sheet, (".png", ".PNG"))
    with diagnostics():
        network = load_network(file, settings, net)
        with waiting("reading the data"):
            shown = show_data(network, split, count)
        print_page("\n".join(shown.lines))
        for number, (name, cells) in enumerate(shown.cells.items()):
            _draw(cells, sheet if number == 0 else sheet.with_stem(f"{sheet.stem}-{name}"))
        if not shown.cells:
            print_page("no sheet is drawn: the samples are no pictures, sounds or other grids of numbers")


def _draw(cells: list[SheetCell], path: Path) -> None:
    from netdsl.data.sheet import sheet
    from netdsl.files import atomic_write

    page = sheet(cells)
    with writing(path):
        atomic_write(path, lambda file: page.save(file, "PNG"))
    kind = "before and after augmentation " if cells[0].after is not None else ""
    print_page(f"{counted(len(cells), 'sample')} {kind}drawn to {path}")


app = Group(
    "List the data sets that netdsl knows, get them, and look at data.", list=list_, get=get_, show=show_
)
