"""The names of what a program is given: errors say which are missing, and which ones nobody takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from netdsl.source import Diagnostic, NetError, first_of, suggest


class UnknownName(NetError, KeyError):
    """A name that is not there: a NetError with a hint, and a KeyError for those who look for one."""


def check_names(what: str, given: object, wanted: Collection[str]) -> None:
    """Raise UnknownName for missing arrays and for unknown names, TypeError for what are no arrays by name."""
    if not isinstance(given, Mapping):
        example = f"{{{next(iter(wanted), 'name')!r}: array}}"
        raise TypeError(f"{what} takes arrays by name, such as {example}, not a {type(given).__name__}")
    missing = [name for name in wanted if name not in given]
    problems = [_unknown(what, name, missing, wanted) for name in given if name not in wanted]
    hinted = [d.fix or "" for d in problems]
    missing = [name for name in missing if f"did you mean {name}?" not in hinted]
    if missing:
        problems.append(Diagnostic("name", f"{what} needs {first_of(missing, 3)}"))
    if problems:
        raise UnknownName(*problems)


def no_weight(name: str, weights: Collection[str]) -> UnknownName:
    """The error for a name that is none of the weights and statistics."""
    near = suggest(name, weights)
    fix = f"did you mean {near}?" if near else f"there are {first_of(weights, 8)}"
    return UnknownName(Diagnostic("name", f"no weight or statistic is called {name}", fix=fix))


def _unknown(what: str, name: str, missing: Collection[str], wanted: Collection[str]) -> Diagnostic:
    near = suggest(name, missing) or suggest(name, wanted)
    fix = f"did you mean {near}?" if near else f"it takes {first_of(wanted, 8) or 'nothing'}"
    return Diagnostic("name", f"{what} takes no {name}", fix=fix)
