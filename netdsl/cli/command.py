"""A command of the command line: its options, its help, and wrong usage.

It is built on argparse, which imports in 10 ms.  Parsers that read type hints take ten times as long, more than
most commands run.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

from netdsl.cli.streams import columns, say
from netdsl.files import obstacle
from netdsl.source import suggest
from netdsl.terminal import fitted


@dataclass(frozen=True)
class Option:
    """The arguments of `argparse.ArgumentParser.add_argument`, and what may stand there.

    `known` gives words that are known, where others are allowed or are told better by the command; `files` is the
    pattern of files, such as `*.net`, or `/` for folders.
    """

    flags: tuple[str, ...]
    settings: Mapping[str, Any]
    known: Callable[[], Iterable[str]] = tuple
    files: str = ""

    @property
    def is_argument(self) -> bool:
        """Whether it is known by its place and not by a name."""
        return not self.flags[0].startswith("-")

    @property
    def takes_value(self) -> bool:
        """Whether a word follows its name."""
        return "action" not in self.settings or self.settings["action"] == "append"

    @property
    def words(self) -> tuple[str, ...]:
        """The words that may stand there, where they are few."""
        kind = self.settings.get("type")
        choices = kind.words if isinstance(kind, Choice) else self.settings.get("choices", ())
        return tuple(choices) or tuple(self.known())

    @property
    def shown(self) -> str:
        """How an argument stands in the usage, `FILE...` or `[NAME]`; nothing for an option."""
        if not self.is_argument:
            return ""
        name = str(self.settings.get("metavar", self.flags[0]))
        return {"+": f"{name}...", "?": f"[{name}]", "*": f"[{name}...]"}.get(
            self.settings.get("nargs", ""), name
        )


def option(
    *flags: str, known: Callable[[], Iterable[str]] = tuple, files: str = "", **settings: Any
) -> Option:
    """An option, or an argument where the only flag has no dash; see `Option` and `add_argument`."""
    return Option(flags, settings, known, files)


@dataclass(frozen=True)
class Choice:
    """A `type` for options with a few values."""

    kind: type[StrEnum]

    @property
    def words(self) -> tuple[str, ...]:
        """The values as they are typed."""
        return tuple(self.kind)

    def __call__(self, word: str) -> StrEnum:
        """The value of a word."""
        if word not in self.words:
            raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(self.words)}")
        return self.kind(word)


def at_least_1(word: str) -> int:
    """A `type` for a number of samples, threads or rows."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 1")
    return int(word)


def path(word: str) -> Path:
    """A `type` for files and folders; an empty word, such as of a variable that is not set, would be this folder."""
    if not word:
        raise argparse.ArgumentTypeError("the name is empty")
    return Path(word)


#: what argparse adds to every command
HELP = option("-h", "--help", action="help", help="show this help and exit")


class UsageError(Exception):
    """Wrong usage that only the command itself can see; printed with the usage, exit status 2."""


def need_ending(out: Path | None, endings: Sequence[str]) -> None:
    """Raise UsageError for an output, as -o names it, that ends in none of these, or cannot be written."""
    if out is not None and out.suffix not in endings:
        raise UsageError(f"argument -o: {out} ends in none of {', '.join(endings)}")
    need_place(out, "-o")


def need_place(out: Path | None, option: str) -> None:
    """Raise UsageError for an output that cannot be written: before anything is computed."""
    reason = None if out is None else obstacle(out)
    if reason is not None:
        raise UsageError(f"argument {option}: {reason}")


class Command:
    """A function called with what the words of a command line say."""

    def __init__(self, function: Callable[..., None], options: Sequence[Option]) -> None:
        self.function, self.options = function, options

    @property
    def text(self) -> str:
        """What it does, in the words of its docstring."""
        return inspect.getdoc(self.function) or ""

    def __call__(self, words: Sequence[str], name: str) -> None:
        """Parse the words and run; raises SystemExit with 2 for wrong usage."""
        arguments = " ".join(o.shown for o in self.options if o.shown)
        parser = _Parser(
            prog=name,
            usage=f"{name} {arguments} [OPTIONS]".replace("  ", " "),
            description=_text(self.function),
            allow_abbrev=False,
        )
        for o in self.options:
            parser.add_argument(*o.flags, **o.settings)
        values = vars(parser.parse_args(words))
        try:
            self.function(**values)
        except UsageError as error:
            parser.error(str(error))


def command(*options: Option) -> Callable[[Callable[..., None]], Command]:
    """Make a function a command: it gets every option by name, and its docstring is the help."""
    return lambda function: Command(function, options)


class Group:
    """Commands under one name, such as `netdsl data list`."""

    def __init__(self, text: str, **commands: Command) -> None:
        self.text, self.commands = text, commands

    def __call__(self, words: Sequence[str], name: str) -> None:
        """Run the command that the first word names."""
        usage = f"{name} COMMAND [OPTIONS]"
        parser = _Parser(prog=name, usage=usage, description=self.text, allow_abbrev=False)
        commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
        for own, one in self.commands.items():
            commands.add_parser(own, help=_text(one.function), add_help=False)
        first = parser.parse_args(words[:1] or ["--help"])
        self.commands[first.command](words[1:], f"{name} {first.command}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong, with a suggestion for an option that does not exist."""
        self.print_usage(sys.stderr)
        unknown = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        near = suggest(unknown[1], self._option_string_actions) if unknown else None
        hint = f"; did you mean {near}?" if near else ""
        self.exit(2, f"{self.prog}: {message}{hint}\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print a message; argparse would hide errors in printing it."""
        if file is sys.stdout:
            print(fitted(message, columns(file)), end="", file=file)
        else:
            say(fitted(message.rstrip("\n"), columns(sys.stderr)))


def _text(function: Callable[..., None]) -> str:
    """The docstring as help text, with `%` escaped."""
    return (inspect.getdoc(function) or "").replace("%", "%%")
