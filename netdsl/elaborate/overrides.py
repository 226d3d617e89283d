"""`--set NAME=VALUE`: values in the language's own syntax, put in the place of those in the file."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.elaborate.sections import KNOWN
from netdsl.source import Diagnostic, NetError, Source, suggest
from netdsl.syntax import tree
from netdsl.syntax.parse import parse


class Overrides:
    """The overrides of one elaboration: `net_values` of the net and its dimensions, `section(kind)` of a section."""

    def __init__(self, texts: Mapping[str, str], file: tree.File, net: tree.Net) -> None:
        dims = {
            d.name.id for s in net.walk() if isinstance(s, tree.Input) for d in s.dims if d.name is not None
        }
        self.net_names = {p.name.id for p in net.params} | dims
        self.net_values: dict[str, tree.Expr] = {}
        self._sections: dict[str, dict[str, tree.Expr]] = {kind: {} for kind in KNOWN}
        self.problems: list[Diagnostic] = []
        for name, text in texts.items():
            try:
                self._place(name, _parse(name, text))
            except NetError as error:
                self.problems.extend(error.diagnostics)

    def section(self, kind: str) -> Mapping[str, tree.Expr]:
        """The overridden settings of a section."""
        return self._sections[kind]

    def _place(self, name: str, value: tree.Expr) -> None:
        kind, dot, key = name.partition(".")
        if dot and kind in self._sections and key in KNOWN[kind]:
            self._sections[kind][key] = value
        elif not dot and name in self.net_names:
            self.net_values[name] = value
        else:
            known = [*self.net_names, *(f"{k}.{s}" for k, names in KNOWN.items() for s in names)]
            near = suggest(name, known)
            fix = (
                f"did you mean {near}?"
                if near
                else f"the net has {', '.join(sorted(self.net_names)) or 'none'}"
            )
            raise NetError(
                Diagnostic("setting", f"--set {name}: there is no such setting", value.span, fix=fix)
            )


def _parse(name: str, text: str) -> tree.Expr:
    source = Source(f"--set {name}", f"train {{ x = {text} }}")
    entries = parse(source).sections["train"].entries
    if len(entries) != 1 or not isinstance(entries[0], tree.Setting):
        raise NetError(Diagnostic("syntax", f"--set {name} takes one value, not {text!r}"))
    return entries[0].value
