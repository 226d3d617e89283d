"""Values in the place of those in the file: of a preset, and of `--set NAME=VALUE` in the language's own syntax."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.elaborate.sections import KNOWN
from netdsl.source import Diagnostic, NetError, Source, suggest
from netdsl.syntax import tree
from netdsl.syntax.parse import parse


class Overrides:
    """The overrides of one elaboration: `net_values` of the net and its dimensions, `section(kind)` of a section.

    What is set from outside wins over the preset.  `claims` are those of the preset, while it is as it stands.
    """

    def __init__(
        self, texts: Mapping[str, str], file: tree.File, net: tree.Net, preset: tree.Preset | None = None
    ) -> None:
        dims = {
            d.name.id for s in net.walk() if isinstance(s, tree.Input) for d in s.dims if d.name is not None
        }
        self.net_names = {p.name.id for p in net.params} | dims
        self.net_values: dict[str, tree.Expr] = {}
        self._sections: dict[str, dict[str, tree.Expr]] = {kind: {} for kind in KNOWN}
        self.problems: list[Diagnostic] = []
        self.claims: tuple[tree.Claim, ...] = ()
        if preset is not None:
            self._preset(preset, untouched=not self.net_names & texts.keys())
        for name, text in texts.items():
            try:
                self._place(name, _parse(name, text))
            except NetError as error:
                self.problems.extend(error.diagnostics)

    def _preset(self, preset: tree.Preset, untouched: bool) -> None:
        for entry in preset.entries:
            if isinstance(entry, tree.Claim):
                self.claims += (entry,) if untouched else ()
            elif entry.name.id in self.net_names:
                self.net_values[entry.name.id] = entry.value
            else:
                near = suggest(entry.name.id, self.net_names)
                fix = f"did you mean {near}?" if near else self._known()
                message = f"the net has no setting {entry.name.id}"
                self.problems.append(Diagnostic("setting", message, entry.name.span, fix=fix))

    def _known(self) -> str:
        return f"the net has {', '.join(sorted(self.net_names)) or 'none'}"

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
            fix = f"did you mean {near}?" if near else self._known()
            raise NetError(
                Diagnostic("setting", f"--set {name}: there is no such setting", value.span, fix=fix)
            )


def _parse(name: str, text: str) -> tree.Expr:
    source = Source(f"--set {name}", f"train {{ x = {text} }}")
    entries = parse(source).sections["train"].entries
    if len(entries) != 1 or not isinstance(entries[0], tree.Setting):
        raise NetError(Diagnostic("syntax", f"--set {name} takes one value, not {text!r}"))
    return entries[0].value
