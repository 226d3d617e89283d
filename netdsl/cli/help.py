"""`netdsl help [COMMAND]`: the list of commands, or what `netdsl COMMAND --help` prints."""

from __future__ import annotations

from collections.abc import Iterable

from netdsl.cli.command import command, option


def _names() -> Iterable[str]:
    from netdsl.cli.main import COMMANDS

    return COMMANDS


@command(
    option("words", nargs="*", known=_names, metavar="COMMAND", help="a command, such as train or data get")
)
def app(words: list[str]) -> None:
    """Print the list of commands, or the help of one."""
    from netdsl.cli.main import call_command, usage

    if words:
        call_command([*words, "--help"])
    else:
        print(usage())
