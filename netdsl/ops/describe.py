"""The documentation of ops, initialisers, optimisers and others, as data: for `netdsl ops` and docs/ops.md."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from netdsl.ir.literal import format_setting
from netdsl.ops import heading
from netdsl.ops.base import LibraryOp
from netdsl.ops.initializers import TEXTS


@dataclass(frozen=True, slots=True)
class SettingDoc:
    """A setting: its name, what it means, its default (None: required), whether it may come without its name."""

    name: str
    doc: str
    default: str | None
    positional: bool


@dataclass(frozen=True, slots=True)
class OpDoc:
    """The documentation of an op: name, heading, first line, whole text, settings, and weights in words.

    The text names the source: paper, or the framework whose definition it is.  For what is no op, such as an
    initialiser or an optimiser, `use` shows where it stands.
    """

    name: str
    family: str
    summary: str
    text: str
    settings: tuple[SettingDoc, ...]
    weights: str
    use: str = ""

    def signature(self) -> str:
        """`conv(channels, kernel, stride = 1, ...)`."""
        parts = [s.name if s.default is None else f"{s.name} = {s.default}" for s in self.settings]
        return f"{self.name}({', '.join(parts)})" if parts else self.name

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return dataclasses.asdict(self)


def describe(op: type[LibraryOp]) -> OpDoc:
    """The documentation of an op class."""
    text = inspect.cleandoc(op.__doc__ or "")
    settings = [
        SettingDoc(
            f.name,
            f.metadata["doc"],
            None if f.default is dataclasses.MISSING else format_setting(f.default).strip('"'),
            f.name in op.positional,
        )
        for f in dataclasses.fields(op)
    ]
    first = [s for name in op.positional for s in settings if s.name == name]
    rest = [s for s in settings if not s.positional]
    weights = "" if op.params is LibraryOp.params else inspect.cleandoc(op.params.__doc__ or "")
    summary = text.split("\n\n")[0].replace("\n", " ")
    return OpDoc(op.name, heading(op.name), summary, text, (*first, *rest), weights)


def describe_other(
    name: str, family: str, text: str, use: str, settings: tuple[SettingDoc, ...] = ()
) -> OpDoc:
    """The documentation of something that is not an op."""
    return OpDoc(name, family, text.split("\n\n")[0].replace("\n", " "), text, settings, "", use)


def describe_initializers() -> list[OpDoc]:
    """The documentation of the initialisers."""
    docs = []
    for usage, text in TEXTS.items():
        name, _, number = usage.partition("(")
        setting, _, example = number.rstrip(")").partition(" = ")
        settings = (SettingDoc(setting, "a number", None, True),) if number else ()
        use = f"conv(8, 3, init = {name}({example}))" if number else f"conv(8, 3, init = {name})"
        docs.append(describe_other(name, "initialisers", text, use, settings))
    return docs


def render_list(docs: Sequence[OpDoc]) -> str:
    """One line per op."""
    width = max(len(doc.name) for doc in docs)
    return "\n".join(f"{doc.name:<{width}}  {doc.summary}" for doc in docs)


def render_one(doc: OpDoc) -> str:
    """The whole text of an op and its settings."""
    lines = [doc.signature(), "", doc.text]
    if doc.weights:
        lines += ["", f"weights: {doc.weights}"]
    if doc.use:
        lines += ["", f"used as: {doc.use}"]
    if doc.settings:
        lines += ["", "settings:"]
        width = max(len(s.name) for s in doc.settings)
        for s in doc.settings:
            default = "required" if s.default is None else f"default {s.default}"
            lines.append(
                f"  {s.name:<{width}}  {s.doc} ({default})" if s.doc else f"  {s.name:<{width}}  {default}"
            )
    return "\n".join(lines)


def render_markdown(docs: Sequence[OpDoc]) -> str:
    """The table of all ops, and of what else files name, for docs/ops.md, one section per heading."""
    lines = ["# The op library", "", "Generated from the registry; `netdsl ops NAME` shows every setting."]
    for family, members in itertools.groupby(docs, key=lambda doc: doc.family):
        found = list(members)
        head = "| name | what it does | used as |" if found[0].use else "| op | what it does | weights |"
        lines += ["", f"## {family.capitalize()}", "", head, "|---|---|---|"]
        for doc in found:
            last = f"`{doc.use}`" if doc.use else doc.weights
            lines.append(f"| `{doc.signature()}` | {_cell(doc.summary)} | {_cell(last)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
