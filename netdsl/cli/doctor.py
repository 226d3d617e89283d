"""`netdsl doctor`: the threads, vectors and caches of this machine, and problems that make netdsl slow."""

from __future__ import annotations

import platform
from typing import Any

from netdsl.cli.command import command
from netdsl.cli.common import FORMAT, Format, print_json, print_page
from netdsl.source import NetError


@command(FORMAT)
def app(form: Format) -> None:
    """Report what every device offers: threads, vector width, the kernel cache."""
    facts = gather()
    if form is Format.json:
        print_json(facts)
        return
    width = max(len(name) for name in facts)
    print_page("\n".join(f"{name.replace('_', ' '):<{width}}  {value}" for name, value in facts.items()))


def gather() -> dict[str, Any]:
    """The facts, by name: what every device says of itself, or why it is not there."""
    from netdsl.backend.registry import TARGETS, find_target

    facts: dict[str, Any] = {"python": platform.python_version()}
    for name in TARGETS:
        try:
            facts |= find_target(name).facts()
        except NetError as error:
            (problem, *_) = error.diagnostics
            if problem.code != "device":  # a wrong setting of the environment is no lack of a device
                raise
            facts[name] = f"none: {problem.message}"
    return facts
