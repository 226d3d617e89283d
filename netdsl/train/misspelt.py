"""Labels that are probably a misspelt name: every name in a loss that the net does not define would be a target."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from netdsl.data.dataset import LABELS
from netdsl.elaborate import Network
from netdsl.source import Diagnostic, NetError, Note, Span
from netdsl.train.inputs import Target, network_inputs


def check_targets(network: Network, arrays: Collection[str]) -> None:
    """Raise NetError for targets that are called almost like something else, and like no array of the data.

    That is something which the net names, or another target.  `arrays` are those of the data, where they are known.
    """
    targets = network_inputs(network).targets
    sure = {*arrays, *LABELS}
    places = {t.name: t.span for t in targets if t.name in sure} | dict(_named(network))
    found = []
    for target in targets:
        if target.name in sure:
            continue
        near = next((name for name in places if is_slip(target.name, name)), None)
        if near is not None:
            found.append(_error(target, near, places[near]))
        places.setdefault(target.name, target.span)
    if found:
        raise NetError(*found)


def _named(network: Network) -> Iterator[tuple[str, Span | None]]:
    """What the net calls by a name, and where."""
    graph = network.graph
    for node in graph.leaves("input"):
        yield node.id, node.span
    for naming in network.names:
        if not naming.body:
            yield naming.name, graph[naming.value.node].span if naming.value.node in graph else None
    for name, value in graph.outputs.items():
        yield name, graph[value.node].span


def _error(target: Target, near: str, place: Span | None) -> Diagnostic:
    notes = () if place is None else (Note(f"{near} is here", place),)
    fix = f"did you mean {near}? If not, give the label a name that is less alike, here and in the data"
    return Diagnostic("name", f"nothing is called {target.name}", target.span, notes=notes, fix=fix)


def is_slip(name: str, other: str) -> bool:
    """Whether one is probably the other with a slip of the keys: one letter more, less, wrong, or two swapped.

    Two from 8 letters on.  Names that differ as `mask1` and `mask2`, `mask_a` and `mask_b`, or `mask` and `masks` do
    are different names.
    """
    if name == other or min(len(name), len(other)) < 4:
        return False
    if name.lower() == other.lower():
        return True
    if any(ch.isdigit() for ch in name + other) and _letters(name) == _letters(other):
        return False
    if len(name) == len(other) and name[:-1] == other[:-1]:
        return False
    if name.removesuffix("s") == other.removesuffix("s"):
        return False
    return _distance(name.lower(), other.lower()) <= (2 if min(len(name), len(other)) >= 8 else 1)


def _letters(name: str) -> str:
    return "".join(ch for ch in name if not ch.isdigit())


def _distance(a: str, b: str) -> int:
    """Letters to put in, take out or replace, and neighbours to swap, to make one of the other."""
    before, row = list[int](), list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, last, row = row, before, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
