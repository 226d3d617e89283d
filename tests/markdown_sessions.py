"""Sessions written in Markdown: commands and what they print, read by people and run by tests.

In a fenced block ```` ```console ```` a line `$ netdsl ...` is a command, and the lines up to the next one are its
output; a line `...` in the output stands for any lines, and `...` within a line for any text that differs from run
to run. With `NETDSL_UPDATE_GOLDEN=1` in the environment the outputs without `...` are written anew instead of
compared.
"""

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(?P<body>.*?)^```$", re.M | re.S)
_COMMAND = re.compile(r"^\$ (?P<line>.+)\n(?P<output>(?:(?!\$ ).*\n)*)", re.M)


@dataclass(frozen=True)
class Command:
    """The words of a command, the output that it must have, and where in the file that stands."""

    words: tuple[str, ...]
    output: str
    place: tuple[int, int]


def read_sessions(path: Path) -> list[Command]:
    """The commands of a Markdown file, in order."""
    text = path.read_text(encoding="utf-8")
    return [
        Command(
            tuple(shlex.split(m["line"])),
            m["output"],
            (block.start("body") + m.start("output"), block.start("body") + m.end("output")),
        )
        for block in _BLOCK.finditer(text)
        for m in _COMMAND.finditer(block["body"])
    ]


def run_sessions(path: Path, run: Callable[[tuple[str, ...]], str]) -> None:
    """Compare what `run` prints for every command of the file with what stands there, or write it there."""
    commands = read_sessions(path)
    results = [run(command.words) for command in commands]
    if os.environ.get("NETDSL_UPDATE_GOLDEN"):
        _rewrite(path, commands, results)
        return
    for command, result in zip(commands, results, strict=True):
        assert _pattern(command.output).fullmatch(result), (
            f"{path.name}: {shlex.join(command.words)}\n--- got\n{result}\n--- expected\n{command.output}"
        )


def _pattern(output: str) -> re.Pattern[str]:
    lines = (
        r"(?:.*\n)*?" if line.strip() == "..." else r".*?".join(map(re.escape, line.split("..."))) + r"\n"
        for line in output.splitlines()
    )
    return re.compile("".join(lines))


def _rewrite(path: Path, commands: list[Command], results: list[str]) -> None:
    text = path.read_text(encoding="utf-8")
    for command, result in reversed(list(zip(commands, results, strict=True))):
        if "..." not in command.output:
            start, end = command.place
            text = f"{text[:start]}{result}{text[end:]}"
    path.write_text(text, encoding="utf-8")
