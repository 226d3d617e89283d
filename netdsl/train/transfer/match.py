"""Which array of a file becomes which weight of a network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from netdsl.ops.choose import chooses, nearest_weights
from netdsl.source import Diagnostic, NetError, natural, suggest

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


@dataclass(frozen=True)
class Match:
    """The array of the file for each weight; the weights that are new; the arrays that are left out; and how."""

    pairs: Mapping[str, str]
    new: tuple[str, ...]
    left: tuple[str, ...]
    how: str


def renamed(names: Iterable[str], rules: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The names after the first rule that fits each, to the names in the file.

    A rule is two patterns with as many `*`, for whole names or for those of layers: "features.*" to "conv.*".
    Raises ValueError for a rule that fits nothing, and for two arrays that get one name.
    """
    unused, found = list(rules), dict[str, str]()
    for name in names:
        new = name
        for rule in rules:
            changed = _changed(name, *rule)
            if changed is not None:
                new = changed
                if rule in unused:
                    unused.remove(rule)
                break
        if new in found:
            raise ValueError(f"rename makes {new} of both {found[new]} and {name}")
        found[new] = name
    if unused:
        raise ValueError(f"rename: no array of the file fits {unused[0][0]}")
    return found


def _changed(name: str, old: str, new: str) -> str | None:
    """The name by a rule; None where it does not fit."""
    pattern = re.escape(old).replace(r"\*", "(.*)")
    fit = re.fullmatch(rf"{pattern}(\..*)?", name)
    if fit is None:
        return None
    *parts, rest = fit.groups()
    pieces = new.split("*")
    return "".join(a + b for a, b in zip(pieces, [*parts, ""], strict=True)) + (rest or "")


def by_name(wanted: Shapes, given: Shapes, names: Mapping[str, str], skip: Sequence[str], what: str) -> Match:
    """Match by name: every weight that `skip` does not fit must be there, with its shape.

    `given` has the shapes in the file, in our layout, `names` the name in the file for each name after renaming.
    Raises NetError that says what to do.
    """
    kept = _kept(wanted, skip)
    missing = [w for w in kept if w not in names]
    if missing:
        raise _missing(missing, kept, names, what)
    for weight in kept:
        if given[names[weight]] != wanted[weight]:
            here, there = list(wanted[weight]), list(given[names[weight]])
            raise _leave(f"{weight} is {here} here and {there} in {what}", weight)
    pairs = {w: names[w] for w in kept}
    return _match(pairs, wanted, given, "by name")


def by_order(wanted: Shapes, given: Shapes, skip: Sequence[str], ordered: bool, what: str) -> Match:
    """Match layers by their shapes: the first of a shape is the first of it there, and so on.

    Nothing is guessed: as many layers of each shape must be there, and where there are several and the file is not
    `ordered`, their names must tell the order: "features.0", "features.3".  Raises NetError.
    """
    kept = _kept(wanted, skip)
    ours, theirs = _layers({w: wanted[w] for w in kept}), _layers(given)
    pairs: dict[str, str] = {}
    for kind, layers in ours.items():
        found = theirs.get(kind, [])
        if len(found) != len(layers):
            raise _uneven(kind, layers, found, what)
        if len(found) > 1 and not ordered:
            if len({re.sub(r"\d+", "#", layer) for layer in found}) > 1:
                message = f"{what} does not say in which order {found[0]} and {found[1]} stand"
                raise NetError(Diagnostic("weights", message, fix=_RENAME.format(found[0], layers[0])))
            found = sorted(found, key=natural)
        for own, other in zip(layers, found, strict=True):
            pairs.update({_joined(own, part): _joined(other, part) for part, _ in kind})
    return _match(pairs, wanted, given, "by shape and order")


_RENAME = 'start = load(..., rename = "{} -> {}") says which is which'


def _kept(wanted: Shapes, skip: Sequence[str]) -> list[str]:
    """The weights that are to be found; raises NetError for a name in `skip` that fits none."""
    for pattern in skip:
        if not any(chooses(pattern, w) for w in wanted):
            layers = list(dict.fromkeys(w.rpartition(".")[0] for w in wanted))
            fix = nearest_weights(pattern, wanted) or f"layers with weights: {', '.join(layers[:12])}"
            raise NetError(Diagnostic("weights", f"skip: no weight is called {pattern}", fix=fix))
    kept = [w for w in wanted if not any(chooses(p, w) for p in skip)]
    if not kept:
        raise NetError(Diagnostic("weights", "skip leaves out every weight of the network"))
    return kept


def _match(pairs: Mapping[str, str], wanted: Shapes, given: Shapes, how: str) -> Match:
    new, used = tuple(w for w in wanted if w not in pairs), set(pairs.values())
    return Match(pairs, new, tuple(n for n in given if n not in used), how)


_Kind = tuple[tuple[str, Shape], ...]


def _layers(shapes: Shapes) -> dict[_Kind, list[str]]:
    """The layers of each kind, in order; a kind is the names and shapes of the arrays that a layer has."""
    parts: dict[str, list[tuple[str, Shape]]] = {}
    for name, shape in shapes.items():
        layer, _, part = name.rpartition(".")
        parts.setdefault(layer, []).append((part, shape))
    kinds: dict[_Kind, list[str]] = {}
    for layer, own in parts.items():
        kinds.setdefault(tuple(sorted(own)), []).append(layer)
    return kinds


def _joined(layer: str, part: str) -> str:
    return f"{layer}.{part}" if layer else part


def _missing(missing: Sequence[str], kept: Sequence[str], names: Mapping[str, str], what: str) -> NetError:
    first = missing[0]
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    message = f"{what} has no array called {first}{more}"
    if len(missing) == len(kept):
        some = ", ".join(list(names)[:3])
        return NetError(
            Diagnostic("weights", f"{message}; it has {some}", fix=_RENAME.format(*_ends(names, first)))
        )
    near = suggest(first, names.keys() - set(kept))
    fix = f"it has {near}: was the layer renamed?" if near else None
    return _leave(message, first) if fix is None else NetError(Diagnostic("weights", message, fix=fix))


def _ends(names: Mapping[str, str], weight: str) -> tuple[str, str]:
    """The names of a layer there and one here, for an example."""
    return next(iter(names), "").rpartition(".")[0], weight.rpartition(".")[0]


def _leave(message: str, weight: str) -> NetError:
    layer = weight.rpartition(".")[0]
    fix = f'to train it anew: start = load(..., skip = "{layer}")'
    return NetError(Diagnostic("weights", message, fix=fix))


def _uneven(kind: _Kind, layers: Sequence[str], found: Sequence[str], what: str) -> NetError:
    shapes = ", ".join(f"{part} {list(shape)}" for part, shape in kind)
    message = f"{what} has {len(found)} layers with {shapes}, the network has {len(layers)}: {', '.join(layers[:3])}"
    fix = f'leave one out by start = load(..., skip = "{layers[-1]}"), or name it by rename = "THERE -> {layers[-1]}"'
    return NetError(Diagnostic("weights", message, fix=fix))
