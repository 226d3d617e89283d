"""The parser: lexemes in, what the builder makes of them out; an LALR(1) automaton.

Every value carries where it starts and ends, and nodes are built as soon as they are complete: there is no tree in
between.  Most rules of an expression only pass on what stands below them, as `product` does where nothing is
multiplied; they cost a step from state to state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from netdsl.source import Span
from netdsl.syntax.scan import Lexeme
from netdsl.syntax.table import Rule, Table

_TERMINALS = {"word": "NAME", "number": "NUMBER", "string": "STRING", "newline": "_NL", "end": "$END"}


class Builder(Protocol):
    """Has further a method `on_KIND(span, *children)` for every kind of node of the grammar."""

    def name(self, lexeme: Lexeme) -> Any:
        """What stands for a NAME; what stands for other terminals is their lexeme."""

    def span(self, start: int, end: int) -> Span:
        """The characters from `start` to `end`."""


class Unexpected(Exception):
    """A lexeme where it cannot stand: the terminal it was taken for, the lexeme before, the terminals that can."""

    def __init__(self, lexeme: Lexeme, terminal: str, previous: Lexeme | None, accepts: set[str]):
        super().__init__(lexeme.text)
        self.lexeme, self.terminal, self.previous, self.accepts = lexeme, terminal, previous, accepts


def parse(table: Table, lexemes: Sequence[Lexeme], builder: Builder) -> Any:
    """What the builder makes of the whole; the last lexeme is the end.  Raises `Unexpected`."""
    stack = _Stack(table, builder)
    previous: Lexeme | None = None
    for lexeme in lexemes:
        row = table.actions[stack.states[-1]]
        terminal = _terminal(table, lexeme, row)
        if terminal == "_NL" and terminal not in row:
            continue
        state = stack.reduce(terminal, lexeme.start)
        if state is None and not (terminal == "$END" and stack.states[-1] == table.end):
            raise Unexpected(lexeme, terminal, previous, _accepts(table, stack.states))
        if state is not None:
            value = builder.name(lexeme) if terminal == "NAME" else lexeme
            stack.push(state, value, lexeme.start, lexeme.end)
            previous = lexeme
    return stack.values[0]


def _terminal(table: Table, lexeme: Lexeme, row: Mapping[str, int]) -> str:
    """What a lexeme is in a state: `where` is a name where the grammar expects no such word."""
    if lexeme.text in row or lexeme.text in table.reserved:
        return lexeme.text
    return _TERMINALS.get(lexeme.kind, lexeme.text)


class _Stack:
    """The states passed through, and for all but the first the value that led there, with its place."""

    def __init__(self, table: Table, builder: Builder):
        self.table, self.builder = table, builder
        self.makers = [getattr(builder, f"on_{rule.node}", None) for rule in table.rules]
        self.states, self.values = [table.start], list[Any]()
        self.starts, self.ends = list[int](), list[int]()

    def push(self, state: int, value: Any, start: int, end: int) -> None:
        """Go on to a state."""
        self.states.append(state)
        self.values.append(value)
        self.starts.append(start)
        self.ends.append(end)

    def reduce(self, terminal: str, at: int) -> int | None:
        """Complete all nodes that end before a terminal: the state that it leads to; None where it cannot stand."""
        actions, gotos, rules, states = self.table.actions, self.table.gotos, self.table.rules, self.states
        while (action := actions[states[-1]].get(terminal)) is not None and action < 0:
            rule = rules[-1 - action]
            if rule.passes:
                states[-1] = gotos[states[-2]][rule.origin]
            else:
                self._complete(rule, self.makers[-1 - action], at)
        return action

    def _complete(self, rule: Rule, make: Any, at: int) -> None:
        """Put a node, or the parts of one to come, in the place of what it is made of."""
        first = len(self.values) - rule.size
        start, end = (self.starts[first], self.ends[-1]) if rule.size else (at, at)
        value: Any = _children(rule, self.values[first:])
        if rule.unwrap and len(value) == 1:
            value = value[0]
        elif make is not None:
            value = make(self.builder.span(start, end), *value)
        for column in (self.values, self.starts, self.ends):
            del column[first:]
        del self.states[first + 1 :]
        self.push(self.table.gotos[self.states[-1]][rule.origin], value, start, end)


def _children(rule: Rule, parts: list[Any]) -> list[Any]:
    """What of the parts belongs to the node; a list that grows is not copied."""
    found: list[Any] = []
    for pick in rule.picks:
        if pick is None:
            found.append(None)
        elif pick not in rule.spliced:
            found.append(parts[pick])
        elif found:
            found += parts[pick]
        else:
            found = parts[pick]
    return found


def _accepts(table: Table, states: list[int]) -> set[str]:
    """The terminals that can follow."""
    found = set()
    for terminal in table.actions[states[-1]]:
        path = states[:]
        while (action := table.actions[path[-1]].get(terminal)) is not None and action < 0:
            rule = table.rules[-1 - action]
            del path[len(path) - rule.size :]
            path.append(table.gotos[path[-1]][rule.origin])
        if action is not None or (terminal == "$END" and path[-1] == table.end):
            found.add(terminal)
    return found
