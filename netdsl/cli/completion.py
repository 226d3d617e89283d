"""`netdsl completion SHELL`: what the Tab key needs to know, from the tables of the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from netdsl.cli.command import Choice, command, option

if TYPE_CHECKING:
    from netdsl.cli.command import Option


class Shell(StrEnum):
    """The shells that are known."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


@dataclass(frozen=True)
class CommandLine:
    """A command as it is typed, `("data", "get")`, with what it is and what may follow."""

    words: tuple[str, ...]
    text: str
    options: tuple[Option, ...]
    arguments: tuple[Option, ...]


@command(option("shell", type=Choice(Shell), metavar="SHELL", help=f"one of {', '.join(Shell)}"))
def app(shell: Shell) -> None:
    """Print a script that completes commands, options, files and names; its first lines say how to use it."""
    from netdsl.cli import shells

    print(getattr(shells, shell)(list(lines())), end="")


def lines() -> Iterator[CommandLine]:
    """Every command and, for a group, every command in it."""
    from netdsl.cli.command import HELP, Group
    from netdsl.cli.main import COMMANDS, find_command

    for name, text in COMMANDS.items():
        found = find_command(name)
        inner = (
            {(name, own): c for own, c in found.commands.items()}
            if isinstance(found, Group)
            else {(name,): found}
        )
        for words, one in inner.items():
            arguments = tuple(o for o in one.options if o.is_argument)
            options = (*(o for o in one.options if not o.is_argument), HELP)
            yield CommandLine(words, text if len(words) == 1 else one.text, options, arguments)
