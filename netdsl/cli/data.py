"""`netdsl data list` and `netdsl data get NAME`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.cli.command import Group, command, option
from netdsl.cli.common import FORMAT, Format, diagnostics, print_json, print_page

if TYPE_CHECKING:
    from netdsl.data.obtain import Entry


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
    option("--folder", type=Path, files="/", metavar="DIR", help="where to put it"),
)
def get_(name: str, folder: Path | None) -> None:
    """Find a data set on this machine or download it, and check its checksums."""
    from netdsl.data import get

    with diagnostics():
        got = get(name, folder)
    print_page(f"{got.name}: {got.action}" + (f" in {got.folder}" if got.folder else ""))


app = Group("List the data sets that netdsl knows, and get them.", list=list_, get=get_)
