"""The base of passes, and of rewriting passes: match, check, rewrite."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from netdsl.ir import Graph, Node
from netdsl.passes.edit import Edit
from netdsl.passes.log import Log

M = TypeVar("M")


@dataclass(frozen=True)
class Pass(ABC):
    """A named function from graph to graph; its fields are its options."""

    name: ClassVar[str]
    #: whether the graph computes what it did before, but for the order of sums
    keeps_values: ClassVar[bool] = True

    @abstractmethod
    def run(self, graph: Graph, log: Log) -> Graph:
        """The rewritten graph: `graph` itself when there was nothing to do."""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Rewrite(Pass, Generic[M]):
    """A pass that looks for a pattern at each node.

    `match` finds candidates, `check` returns the reason to refuse one or None, `rewrite` changes the graph and
    writes to the log; the node that it returns is looked at again, until nothing matches that is not refused.
    """

    #: visit readers before what they read
    backwards: ClassVar[bool] = False

    @abstractmethod
    def match(self, edit: Edit, node: Node) -> Iterator[M]:
        """The places at `node` where the rewrite could apply, the best first."""

    @abstractmethod
    def check(self, edit: Edit, match: M) -> str | None:
        """Why the rewrite must not or should not happen here, in words; None when it may."""

    @abstractmethod
    def rewrite(self, edit: Edit, match: M, log: Log) -> Node | None:
        """Change the graph; returns the node to visit next, or None."""

    @abstractmethod
    def nodes(self, edit: Edit, match: M) -> tuple[Node, ...]:
        """The nodes that a match is about, for the log."""

    def run(self, graph: Graph, log: Log) -> Graph:
        """Visit every node in order (or backwards)."""
        edit = Edit(graph)
        ids = [node.id for node in graph]
        for name in reversed(ids) if self.backwards else ids:
            node = edit.nodes.get(name)
            while node is not None:
                node = self._step(edit, node, log)
        return edit.done()

    def _step(self, edit: Edit, node: Node, log: Log) -> Node | None:
        refusals: list[tuple[tuple[Node, ...], str]] = []
        for match in self.match(edit, node):
            reason = self.check(edit, match)
            if reason is None:
                return self.rewrite(edit, match, log)
            refusals.append((self.nodes(edit, match), reason))
        for nodes, reason in refusals:
            log.refused(self.name, nodes, reason)
        return None
