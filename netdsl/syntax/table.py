"""The parse table of the language: made of the grammar by Lark, used by our own driver, and kept on disk.

Making it takes 0.14 s and the import of Lark 0.07 s, reading it 0.005 s.  What is kept is JSON, which runs no code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from netdsl.cache import Cache

if TYPE_CHECKING:
    from lark.grammar import Rule as LarkRule

CACHE = Cache("syntax", "XDG_CACHE_HOME")
_FORMAT = 1
#: words of the grammar that are names wherever it does not expect them
_NAMES_TOO = frozenset(["as", "where", "preset", "data", "train", "eval", "expect"])


@dataclass(frozen=True)
class Rule:
    """A rule of the grammar: the symbol it makes, how many symbols of, and what of them.

    `node` names the kind of node; without one the children are spliced into the node above.  `picks` are the
    children: which of the symbols, or None for an optional part that is not there; those in `spliced` are several.
    An only child stands for itself where the rule says `unwrap`.
    """

    origin: str
    size: int
    node: str
    unwrap: bool
    picks: tuple[int | None, ...]
    spliced: tuple[int, ...]

    @cached_property
    def passes(self) -> bool:
        """Whether it changes nothing but the name of its one symbol."""
        return self.unwrap and self.size == 1 and not self.spliced


@dataclass(frozen=True)
class Table:
    """An LALR(1) table.

    Terminals are written as in the source (`->`, `net`), or are NAME, NUMBER, STRING, _NL and $END.  For each state
    `actions` has for a terminal the next state, or -1 - r where rule r ends; `gotos` the next state after a rule.
    """

    rules: tuple[Rule, ...]
    actions: tuple[Mapping[str, int], ...]
    gotos: tuple[Mapping[str, int], ...]
    start: int
    end: int

    @cached_property
    def reserved(self) -> frozenset[str]:
        """The words that are never names."""
        terminals = {terminal for row in self.actions for terminal in row}
        return frozenset(t for t in terminals if t.islower() and t.isalpha()) - _NAMES_TOO


def table_of(grammar: str) -> Table:
    """The table of a grammar in Lark's notation, whose start is `file`; from disk where it was made before."""
    name = f"{hashlib.sha256(grammar.encode()).hexdigest()}.{_FORMAT}"
    kept = CACHE.load(name)
    if kept is not None:
        return _decoded(json.loads(kept))
    table = _make(grammar)
    CACHE.store(name, json.dumps(asdict(table)).encode())
    return table


def _decoded(data: Any) -> Table:
    rules = tuple(
        Rule(**{**r, "picks": tuple(r["picks"]), "spliced": tuple(r["spliced"])}) for r in data["rules"]
    )
    return Table(rules, tuple(data["actions"]), tuple(data["gotos"]), data["start"], data["end"])


def _make(grammar: str) -> Table:
    """Lark's table in our form."""
    from lark import Lark
    from lark.parsers.lalr_analysis import Shift

    parser = Lark(grammar, start="file", parser="lalr", lexer="basic", maybe_placeholders=True)
    lalr = parser.parser.parser._parse_table
    spelling = {t.name: t.pattern.value for t in parser.terminals if t.pattern.type == "str"}
    numbers = {rule: k for k, rule in enumerate(parser.rules)}
    actions: list[dict[str, int]] = [{} for _ in lalr.states]
    gotos: list[dict[str, int]] = [{} for _ in lalr.states]
    for state, row in lalr.states.items():
        for symbol, (action, argument) in row.items():
            if not symbol.isupper():
                gotos[state][symbol] = argument
            elif argument != lalr.end_states["file"]:
                number = argument if action is Shift else -1 - numbers[argument]
                actions[state][spelling.get(symbol, symbol)] = number
    rules = tuple(map(_rule, parser.rules))
    return Table(rules, tuple(actions), tuple(gotos), lalr.start_states["file"], lalr.end_states["file"])


def _rule(rule: LarkRule) -> Rule:
    """What Lark's tree builder would do for a rule."""
    origin, symbols = str(rule.origin.name), rule.expansion
    picks: list[int | None] = []
    at = 0
    for empty in rule.options.empty_indices or [False] * len(symbols):
        if empty:
            picks.append(None)
            continue
        if not (symbols[at].is_term and symbols[at].filter_out):  # type: ignore[attr-defined]
            picks.append(at)
        at += 1
    spliced = tuple(
        k for k in picks if k is not None and symbols[k].name.startswith("_") and not symbols[k].is_term
    )
    node = rule.alias or ("" if origin.startswith("_") else origin)
    unwrap = bool(rule.options.expand1) and not rule.alias
    return Rule(origin, len(symbols), node, unwrap, tuple(picks), spliced)
