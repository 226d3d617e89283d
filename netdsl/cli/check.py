"""`netdsl check FILE...`: parse, elaborate, verify, and check the claims of the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.cli.command import command
from netdsl.cli.common import FILES, FORMAT, NET, SET, Format, fail, parse_overrides, print_json, print_page
from netdsl.source import Diagnostic, Mistakes, NetError, Span, counted, warn

if TYPE_CHECKING:
    from netdsl.elaborate import Network


@command(FILES, SET, NET, FORMAT)
def app(files: list[Path], settings: list[str], net: str | None, form: Format) -> None:
    """Check networks: syntax, shapes, settings, `assert`, `expect`, and whether they can be trained as they say.

    Every net and preset is checked unless one is named.
    """
    mistakes, warnings = Mistakes(), Mistakes()
    good: list[dict[str, Any]] = []
    for file in files:
        with mistakes.at():
            for found in _check(file, settings, net, mistakes, warnings):
                good.append(found)
                if form is Format.table:
                    print_page(_line(found))
    if mistakes.found:
        fail(mistakes.found, form)
    if form is Format.json:
        print_json({"files": good, "errors": [], "warnings": [w.to_json() for w in warnings.found]})
    else:
        for warning in warnings.found:
            warn(warning)


def _check(
    file: Path, settings: list[str], net: str | None, mistakes: Mistakes, warnings: Mistakes
) -> Iterator[dict[str, Any]]:
    """The results of a file; mistakes and warnings are collected, each once for all nets."""
    from netdsl.elaborate import elaborate_all
    from netdsl.elaborate.network import in_preset
    from netdsl.syntax.parse import parse
    from netdsl.syntax.read import read_source

    source = read_source(file)
    tree = parse(source)
    if net is None and tree.blocks and not tree.nets:
        yield {"file": str(file), "net": None, "blocks": len(tree.blocks), "claims": 0}
        return
    presets = {preset.name.span for preset in tree.presets.values()}
    told: list[Diagnostic] = []
    names = [net] if net else [*(tree.nets or [None]), *tree.presets]
    for name, network in zip(names, elaborate_all(source, names, parse_overrides(settings)), strict=False):
        own = Mistakes()
        with own.at():
            if isinstance(network, NetError):
                raise network
            warnings.add(_section_warnings(network))
            yield {"file": str(file), "net": network.name, "claims": len(network.claims)}
        for problem in own.found:
            if (alone := _alone(problem, presets)) not in told:
                told.append(alone)
                mistakes.add([in_preset(problem, tree.presets.get(name or ""))])


def _section_warnings(network: Network) -> Sequence[Diagnostic]:
    if network.objective is None and not network.train and not network.data:
        return ()
    from netdsl.train.sections import check_sections

    return check_sections(network)


def _alone(problem: Diagnostic, presets: Set[Span]) -> Diagnostic:
    """A mistake without the note on its preset, to recognise the same mistake in the net."""
    return replace(problem, notes=tuple(note for note in problem.notes if note.span not in presets))


def _line(found: dict[str, Any]) -> str:
    if found["net"] is None:
        count = counted(found["blocks"], "block")
        return f"{found['file']}: {count} and no net; blocks are checked where they are used"
    number = found["claims"]
    claims = f", {counted(number, 'claim')} {'holds' if number == 1 else 'hold'}" if number else ""
    return f"{found['file']}: {found['net']} is well-formed{claims}"
