"""The names that a text gives to tensors, kept for those who ask for them later."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.ir import Value


@dataclass(frozen=True, slots=True)
class Naming:
    """A name that was given to a tensor, in the body of the net (path "") or of a block ("stage1.").

    `made` are the places in the graph of the nodes that came about while the value was computed:
    `c3 = x -> conv(8, 3) -> tanh` made two layers and their weights.
    """

    body: str
    name: str
    value: Value
    made: range

    @property
    def path(self) -> str:
        """The name as one says it from outside: `stage1.c3`."""
        return self.body + self.name
