"""Values that replace those of the file: from a preset, and from `--set NAME=VALUE` or `settings` in Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from netdsl import words
from netdsl.elaborate.sections import KNOWN
from netdsl.source import Diagnostic, NetError, Source, Span, brief, suggest
from netdsl.syntax import tree
from netdsl.syntax.parse import parse


class Written(NamedTuple):
    """How overrides are written: the place, what stands before and behind a name, and how a net is chosen."""

    place: str
    before: str
    behind: str
    choice: str


COMMAND_LINE = Written("the command line", "--set ", "=", "--net")
IN_PYTHON = Written("settings", 'settings["', '"] = ', "net=")


class Overrides:
    """The overrides of one elaboration: `net_values` of the net and its dimensions, `section(kind)` of a section.

    `--set` has precedence over the preset.  `claims` are those of the preset, unless it is changed by `--set`.
    """

    def __init__(
        self,
        texts: Mapping[str, str],
        file: tree.File,
        net: tree.Net,
        preset: tree.Preset | None = None,
        written: Written = COMMAND_LINE,
    ) -> None:
        dims = {
            d.name.id for s in net.body if isinstance(s, tree.Input) for d in s.dims if d.name is not None
        }
        self._net = net.name.id
        self.net_names = {p.name.id for p in net.params} | dims
        self.net_values: dict[str, tree.Expr] = {}
        self._sections: dict[str, dict[str, tree.Expr]] = {kind: {} for kind in KNOWN}
        self.problems: list[Diagnostic] = []
        self.claims: list[tree.Claim] = []
        if preset is not None:
            self._preset(preset, untouched=not self.net_names & texts.keys())
        for name, text in texts.items():
            try:
                self._place(name, *_parse(name, text, written))
            except NetError as error:
                self.problems.extend(error.diagnostics)

    def _preset(self, preset: tree.Preset, untouched: bool) -> None:
        for entry in preset.entries:
            if isinstance(entry, tree.Claim):
                self.claims += [entry] if untouched else []
            elif entry.name.id in self.net_names:
                self.net_values[entry.name.id] = entry.value
            else:
                near = suggest(entry.name.id, self.net_names)
                fix = f"did you mean {near}?" if near else self._known()
                message = f"the net has no setting {entry.name.id}"
                self.problems.append(Diagnostic("setting", message, entry.name.span, fix=fix))

    def _known(self) -> str:
        return f"{self._net} has {', '.join(sorted(self.net_names)) or 'no settings'}"

    def section(self, kind: str) -> Mapping[str, tree.Expr]:
        """The overridden settings of a section."""
        return self._sections[kind]

    def _place(self, name: str, where: Span, value: tree.Expr) -> None:
        kind, dot, key = name.partition(".")
        if dot and kind in self._sections and key in KNOWN[kind]:
            self._sections[kind][key] = value
        elif not dot and name in self.net_names:
            self.net_values[name] = value
        else:
            known = [*self.net_names, *(f"{k}.{s}" for k, names in KNOWN.items() for s in names)]
            entry = words.entry(key, KNOWN[kind]) if kind in KNOWN else None
            near = (entry and (entry if ":" in entry else f"{kind}.{entry}")) or suggest(name, known)
            fix = words.question(near) or self._known()
            if not dot and not self.net_names:
                own = f"net {self._net}({name} = {brief(value.span.text)}) gives it one"
                fix = f"{self._net} has no settings: {own}" + (f"; or did you mean {near}?" if near else "")
            raise NetError(Diagnostic("setting", f"there is no setting {name}", where, fix=fix))


def _parse(name: str, text: str, written: Written) -> tuple[Span, tree.Expr]:
    """The place of the name and the value, such as of `--set NAME=VALUE`."""
    head = f"{written.before}{name}{written.behind}"
    start = len(written.before)
    where = Span(_framed(written.place, head, text), start, start + len(name))
    if not text:
        raise NetError(Diagnostic("syntax", f"{name} is given no value", where))
    return where, parse_value(written.place, head, text, name)


def parse_value(place: str, head: str, text: str, name: str) -> tree.Expr:
    """A text read as what a net assigns to a name; mistakes show it behind `head`, as written at `place`.

    The head has 8 characters or more.  Raises NetError.
    """
    source = _framed(place, head, text)
    value = Span(source, len(head), len(head + text))
    try:
        items = parse(source).items
    except NetError as error:
        raise NetError(*(_on_the_line(problem, value) for problem in error.diagnostics)) from None
    body = items[0].body if len(items) == 1 and isinstance(items[0], tree.Net) else ()
    if len(body) != 1 or not isinstance(body[0], tree.Assign):
        raise NetError(Diagnostic("syntax", f"{name} takes one value", value))
    return body[0].value


def _framed(place: str, head: str, text: str) -> Source:
    """The text within a net, which has as many characters before it as the head."""
    return Source(place, f"{'net N{x=':<{len(head)}}{text}\n}}", head + text)


def _on_the_line(problem: Diagnostic, value: Span) -> Diagnostic:
    """A syntax error that shows only the text of the option."""
    notes = tuple(note for note in problem.notes if note.span is None or note.span.start < value.end)
    start = value.start if problem.span is None else problem.span.start
    if start < value.start:
        span = next((note.span for note in notes if note.span is not None), value)
        return replace(problem, message=f"unexpected `{span.text}`", span=span, notes=(), fix=None)
    if start >= value.end:
        end = Span(value.source, value.end, value.end)
        fix = (
            problem.fix if value.text.endswith("%") else None
        )  # others are of the text that is put around it
        return replace(problem, message="the value ends too early", span=end, label="", notes=notes, fix=fix)
    return replace(problem, notes=notes)
