"""Changes in what layers and outputs read.

A layer inserted into a flow does not change the layers after it: if all readers of a value now read another one, and
only added or removed layers are between the two, only these layers are reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from functools import cached_property

from netdsl.ir import Graph, Value
from netdsl.ir.literal import format_setting
from netdsl.primitives import Const, Param, State

#: what an operand is: a result of a layer, or the text of a constant
Source = Value | str


class Wiring:
    """The operands of two graphs side by side; `match` has the old name of every layer that was there before."""

    def __init__(self, before: Graph, after: Graph, match: Mapping[str, str]) -> None:
        self._before, self._after, self._match = before, after, match
        self._now = {was: now for now, was in match.items()}
        self._kept = {id(before): set(match.values()), id(after): set(match)}

    def layer(self, name: str) -> list[str]:
        """What a layer that was there before reads now, in words; empty where that has not changed."""
        old, new = _operands(self._before, self._match[name]), _operands(self._after, name)
        return self._words(old, new)

    def output(self, name: str) -> list[str]:
        """The same of an output that both graphs have; a new layer in front of it makes it another one."""
        old, new = self._before.outputs[name], self._after.outputs[name]
        return [] if self._image(old) == new else [self._instead(old, new)]

    def same(self, old: Source, new: Source) -> bool:
        """Whether two values are the same, or one replaces the other in all its readers."""
        if self._image(old) == new:
            return True
        if self._replaced.get(old) != {new}:
            return False
        roots = self._roots(self._before, old), self._roots(self._after, new)
        return {self._image(s) for s in roots[0]} == roots[1]

    def text_after(self, source: Source) -> str:
        """A value after, by its layer."""
        return _text(self._after, source)

    def text_before(self, source: Source) -> str:
        """A value before, as its layer is called after, or was."""
        image = self._image(source)
        if image is not None:
            return _text(self._after, image)
        text = _text(self._before, source)
        return f"the former {text}" if isinstance(source, Value) and source.node in self._after else text

    def _words(self, old: Sequence[Source], new: Sequence[Source]) -> list[str]:
        was, now = [self.text_before(s) for s in old], [self.text_after(s) for s in new]
        if len(old) == len(new):
            pairs = [(a, b) for a, b in zip(old, new, strict=True) if not self.same(a, b)]
            if len(pairs) > 1 and sorted(was) == sorted(now):
                return [f"reads {', '.join(now)} instead of {', '.join(was)}"]
            return [self._instead(a, b) for a, b in pairs]
        return list(_counted(was, now))

    def _instead(self, old: Source, new: Source) -> str:
        return f"reads {self.text_after(new)} instead of {self.text_before(old)}"

    def _image(self, source: Source) -> Source | None:
        """The new name of an old value; None where its layer was removed."""
        if isinstance(source, str):
            return source
        return Value(self._now[source.node], source.port) if source.node in self._now else None

    @cached_property
    def _replaced(self) -> dict[Source, set[Source | None]]:
        """For each old value, the values that are read in its place."""
        found: dict[Source, set[Source | None]] = {}
        reads = [
            (_operands(self._before, was), _operands(self._after, now)) for now, was in self._match.items()
        ]
        both = self._before.outputs.keys() & self._after.outputs.keys()
        reads += [((self._before.outputs[name],), (self._after.outputs[name],)) for name in both]
        for old, new in reads:
            same = len(old) == len(new)
            for k, source in enumerate(old):
                found.setdefault(source, set()).add(new[k] if same else self._image(source))
        return found

    def _roots(self, graph: Graph, source: Source) -> set[Source]:
        """The value if its layer is in both graphs, else the values that it was computed from."""
        found: set[Source] = set()
        seen: set[Source] = set()
        todo = [source]
        while todo:
            at = todo.pop()
            operands = () if isinstance(at, str) else _operands(graph, at.node)
            if isinstance(at, str) or at.node in self._kept[id(graph)] or not operands:
                found.add(at)
            elif at not in seen:
                seen.add(at)
                todo += [s for s in operands if not isinstance(s, str)]
        return found


def _operands(graph: Graph, name: str) -> tuple[Source, ...]:
    """The operands of a layer, weights left out."""
    ops = ((v, graph[v.node].op) for v in graph[name].inputs)
    return tuple(
        format_setting(op.value) if isinstance(op, Const) else v
        for v, op in ops
        if not isinstance(op, (Param, State))
    )


def _text(graph: Graph, source: Source) -> str:
    """A value by its layer, with its number where that has several results."""
    if isinstance(source, str):
        return source
    several = len(graph[source.node].types) > 1
    return f"result {source.port + 1} of {source.node}" if several else source.node


def _counted(was: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    """The change in words where the number of operands differs."""
    for tag, a0, a1, b0, b1 in SequenceMatcher(None, was, now, autojunk=False).get_opcodes():
        old, new = ", ".join(was[a0:a1]), ", ".join(now[b0:b1])
        if tag == "insert":
            yield f"also reads {new} as operand {b0 + 1}"
        elif tag == "delete":
            yield f"no longer reads {old}"
        elif tag == "replace":
            yield f"reads {new} instead of {old}"
