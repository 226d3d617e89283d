"""The state of one elaboration: the graph so far, the current blocks, the mistakes found."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from netdsl.elaborate.budget import (
    CHARACTERS_PER_STEP,
    ITEMS_PER_STEP,
    PER_BLOCK,
    PER_CANDIDATE,
    PER_MISTAKE,
    PER_NAME,
    PER_NODE,
    Budget,
    Exhausted,
    stop,
)
from netdsl.elaborate.definitions import Definitions
from netdsl.elaborate.naming import Naming
from netdsl.elaborate.values import Tags, Tensors, parts
from netdsl.ir import Scope, TensorType, Value
from netdsl.limits import MAX_ERRORS, MAX_EXPANSION_DEPTH, MAX_ITEMS, MAX_NESTING, MAX_NODES
from netdsl.ops.base import LibraryOp
from netdsl.primitives import Param, PrimitiveBuilder, State
from netdsl.source import Diagnostic, NetError, Note, Span, counted, suggest


class Problems:
    """The mistakes found, each place once; those beyond MAX_ERRORS are only counted."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Span | None], Diagnostic] = {}

    def append(self, problem: Diagnostic) -> None:
        """Report a mistake."""
        self._found.setdefault((problem.code, problem.span), problem)

    def extend(self, problems: Iterable[Diagnostic]) -> None:
        """Report several."""
        for problem in problems:
            self.append(problem)

    def __len__(self) -> int:
        return len(self._found)

    def shown(self) -> tuple[Diagnostic, ...]:
        """The mistakes to report."""
        found = [*self._found.values()]
        rest = len(found) - MAX_ERRORS
        if rest > 0:
            found[MAX_ERRORS:] = [Diagnostic("more", f"{counted(rest, 'more mistake')}, not shown")]
        return tuple(found)


class Poisoned(Exception):
    """A value cannot be computed because of a mistake that is already reported."""


POISON: Any = object()
_SIMPLE = frozenset({Value, int, float, bool, str})  # what most lists hold, which has no parts
Trail = tuple[tuple[str, Span], ...]


@dataclass
class Frame:
    """A body being run: its names, its input, the path of its weights, and how often each kind was used.

    `layers` are the shared layers made here, with their places.  In expressions over a network that is there already
    an index picks cells of tensors: `cells`.
    """

    home: Definitions
    path: str = ""
    variables: dict[str, Any] = field(default_factory=dict)
    input: Any = None
    counts: dict[str, int] = field(default_factory=dict)
    layers: dict[str, Span] = field(default_factory=dict)
    symbols: bool = False
    targets: bool = False
    cells: bool = False

    def number(self, kind: str) -> str:
        """The path of the next use of an op or block: its kind, numbered within this body."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"{self.path}{kind}{self.counts[kind]}"


class Context:
    """The state of one elaboration.

    Weights are named by their path: each use of an op or block is called by its kind in snake case and a number
    that counts the uses of that kind within the enclosing block instance (`stage2.bottleneck1.conv3.weight`);
    `layer NAME` and `@name("...")` give names themselves.  So an edit changes no name outside of its block, and
    none before it.
    """

    def __init__(self, batch: int, budget: Budget, problems: Problems) -> None:
        self.budget, self.problems = budget, problems
        self.builder = PrimitiveBuilder()
        self.batch = batch
        self.trail: list[tuple[str, Span]] = []
        self.tags = Tags()
        self.uses: list[tuple[str, str]] = []
        self.names: dict[str, Span] = {}
        self.namings: list[Naming] = []

    def fail(
        self,
        code: str,
        message: str,
        span: Span,
        label: str = "",
        notes: tuple[Note, ...] = (),
        fix: str | None = None,
    ) -> NoReturn:
        """Raise a diagnostic with the trail of blocks that led here."""
        self.budget.spend(PER_MISTAKE, span)
        trail = shortened(tuple(reversed(self.trail)))
        raise NetError(Diagnostic(code, message, span, label, notes, trail, fix))

    def claim(self, path: str, span: Span) -> str:
        """Reserve a path that the text names; it must be unique."""
        if path in self.names or path in self.builder.nodes or path in self.builder.scopes:
            first = self.names.get(path) or self._place(path)
            notes = (Note("the first is here", first),)
            self.fail("name", f"two things are called {path}", span, notes=notes, fix="give one another name")
        self.names[path] = span
        return path

    def _place(self, path: str) -> Span | None:
        node = self.builder.nodes.get(path)
        return node.span if node is not None else self.builder.scopes[path].span

    def remember(self, frame: Frame, name: str, value: Any, start: int, span: Span) -> None:
        """Keep a name that was given to a tensor, with the nodes made for it: those from number `start` on."""
        if isinstance(value, Value):
            self.budget.spend(PER_NAME, span)
            self.namings.append(Naming(frame.path, name, value, range(start, len(self.builder.nodes))))

    def path(self, frame: Frame, kind: str, tags: Tags, span: Span) -> str:
        """The path of a use of an op or block: as its tag says, or the next number of its kind that is free."""
        if tags.name is not None:
            return self.claim(frame.path + tags.name, span)
        path = frame.number(kind)
        while path in self.names:
            path = frame.number(kind)
        return path

    def hold(self, value: Any, span: Span) -> None:
        """Charge the budget for all items of a list, at every level; refuses one that is too large or too deep."""
        if isinstance(value, Value):
            return
        level, count, characters = [value], 0, 0
        for _ in range(MAX_NESTING):
            characters += sum(len(v) for v in level if isinstance(v, str))
            level = [part for v in level if type(v) not in _SIMPLE for part in parts(v)]
            if not level:
                steps = count // ITEMS_PER_STEP + characters // CHARACTERS_PER_STEP
                self.budget.spend(steps, span)
                return
            count += len(level)
            if count > MAX_ITEMS:
                stop(f"a list of more than {MAX_ITEMS:_} items, those of the lists in it counted", span)
        stop(f"lists nested deeper than {MAX_NESTING}", span)

    def nearest(self, name: str, candidates: Collection[str], span: Span) -> str | None:
        """The candidate that was probably meant, as a fix."""
        self.budget.spend(PER_CANDIDATE * len(candidates), span)
        near = suggest(name, candidates)
        return f"did you mean {near}?" if near else None

    @contextmanager
    def inside(self, path: str, scope: Scope) -> Iterator[None]:
        """Run a block's body: its use is part of the trail of every mistake in it."""
        assert scope.span is not None
        if len(self.trail) >= MAX_EXPANSION_DEPTH:
            stop(f"blocks use blocks more than {MAX_EXPANSION_DEPTH} deep", scope.span)
        self.budget.spend(PER_BLOCK + len(path) // CHARACTERS_PER_STEP, scope.span)
        self.builder.scopes[path] = scope
        self.trail.append((scope.text, scope.span))
        try:
            yield
        except Exhausted as end:
            end.within(scope.text, scope.span)
            raise
        finally:
            self.trail.pop()

    @contextmanager
    def use(self, layer: str) -> Iterator[str]:
        """Use the shared layer at a path once more: the path of this use, whose weights are those of the first."""
        path = self.builder.fresh(layer)
        if path != layer:
            self.uses.append((path, layer))
        try:
            yield path
        finally:
            if path != layer:
                self.uses.pop()

    def _home(self, path: str) -> str:
        """Where the weights of a layer are: in the first use of the shared layers that it is in."""
        for use, layer in reversed(self.uses):
            if path == use or path.startswith(f"{use}."):
                path = layer + path[len(use) :]
        return path

    @contextmanager
    def tagged(self, tags: Tags) -> Iterator[None]:
        """Apply `@freeze`, `@lr` and `@gpu` to everything made in the context; of two GPUs the inner one counts."""
        saved = self.tags
        gpu = saved.gpu if tags.gpu is None else tags.gpu
        self.tags = Tags(saved.freeze or tags.freeze, saved.lr * tags.lr, gpu=gpu)
        try:
            with self.builder.on(gpu):
                yield
        finally:
            self.tags = saved

    def add(self, op: LibraryOp, data: Tensors, path: str, span: Span) -> Tensors:
        """Append an op with its weights; raises ShapeError, or NetError past a limit."""
        self._grow(path, len(data), span)
        types = [self.builder.type(v) for v in data]
        op.check_samples(*types)
        specs, home = op.params(*types), self._home(path)
        weights = [self._weight(spec.name, spec, home, span) for spec in specs]
        made = op.frozen() if self.tags.freeze else op
        results = self.builder.add(made, *data, *weights, name=path, span=span)
        for value in results:
            self.check(self.builder.type(value), span)
        return results

    def _weight(self, name: str, spec: Any, path: str, span: Span) -> Value:
        t = TensorType(spec.shape)
        self.check(t, span)
        self._grow(path, 0, span)
        leaf: Param | State
        if spec.trainable:
            decay, learns = spec.decay, not self.tags.freeze
            leaf = Param(t, spec.init, spec.value, spec.fan, decay, learns, self.tags.lr)
        else:
            leaf = State(t, spec.init, spec.value)
        old = self.builder.nodes.get(f"{path}.{name}")
        if old is None:
            return self.builder.add1(leaf, name=f"{path}.{name}", span=span)
        if not self.uses:
            self.fail("name", f"two things are called {path}", span, fix="give one another name")
        if old.types[0] != t:
            message = f"the shared weight {path}.{name} is {list(old.types[0].shape)}, here {list(t.shape)}"
            self.fail("shape", message, span, notes=(Note("first used here", old.span),))
        return Value(old.id)

    def _grow(self, path: str, operands: int, span: Span) -> None:
        """Charge the budget for a node; refuses more nodes than the limit."""
        self.budget.spend(PER_NODE + operands // ITEMS_PER_STEP + len(path) // CHARACTERS_PER_STEP, span)
        if len(self.builder.nodes) >= MAX_NODES:
            stop(f"the network has more than {MAX_NODES:_} nodes", span)

    def check(self, t: TensorType, span: Span) -> None:
        """Refuse tensors beyond the limits, before anything is allocated."""
        if problem := t.over_limits():
            self.fail("limit", problem, span)


def shortened(trail: Trail) -> Trail:
    """The innermost and the outermost uses of blocks, where there are many."""
    return trail if len(trail) <= 8 else (*trail[:4], *trail[-2:])


def snake(name: str) -> str:
    """`ConvBN` as `conv_bn`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def with_tags(tags: Tags, other: Tags) -> Tags:
    """The tags of a function, and others that stand outside of them."""
    return replace(
        tags,
        freeze=tags.freeze or other.freeze,
        lr=tags.lr * other.lr,
        name=other.name if other.name is not None else tags.name,
        gpu=tags.gpu if tags.gpu is not None else other.gpu,
    )
