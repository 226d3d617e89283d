"""`train { start = load("weights.pth", rename = "features.* -> conv.*", skip = "head") }`: weights to begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.elaborate import shown
from netdsl.ir import Graph, Node
from netdsl.source import Diagnostic, NetError, brief, counted, first_of
from netdsl.train.make import listed
from netdsl.train.tables import OURS, TORCH
from netdsl.train.transfer.layout import from_torch, torch_shape
from netdsl.train.transfer.match import Match, Shapes, by_name, by_order, renamed

if TYPE_CHECKING:
    from netdsl.runtime.stored import Array
    from netdsl.runtime.weight_file import WeightFile


@dataclass(frozen=True)
class Load:
    """The weights of a checkpoint, an artifact, a safetensors file, or a PyTorch state dict.

    `rename` says what names in the file are called here: "features.* -> conv.*", or a list of such; `skip` names
    layers, weights or patterns that start from their initialisers instead: "head, stage4".  `layout` of a safetensors
    file whose shapes do not tell it: `pytorch` or `netdsl`.
    """

    file: str
    rename: str | Sequence[str] = ()
    skip: str | Sequence[str] = ()
    layout: str | None = field(default=None, metadata={"words": (TORCH, OURS)})

    def __post_init__(self) -> None:
        if not isinstance(self.file, str) or not self.file or "\0" in self.file:
            raise ValueError(f"file must be the name of a file, as text, not {brief(shown(self.file))}")
        _ = self.rules, self.skipped
        if self.layout not in (None, OURS, TORCH):
            raise ValueError(f"layout is {TORCH} or {OURS}, not {brief(shown(self.layout))}")

    @property
    def rules(self) -> tuple[tuple[str, str], ...]:
        """The pairs of patterns of `rename`."""
        return tuple(map(_rule, listed(self.rename, "rename")))

    @property
    def skipped(self) -> tuple[str, ...]:
        """The patterns of `skip`."""
        return listed(self.skip, "skip")

    @property
    def text(self) -> str:
        """The setting as it is written."""
        given: list[str] = [shown(self.file)]
        given += [f"{n} = {shown(getattr(self, n))}" for n in ("rename", "skip") if getattr(self, n)]
        given += [f"layout = {self.layout}"] if self.layout else []
        return given[0] if len(given) == 1 else f"load({', '.join(given)})"


def _rule(text: str) -> tuple[str, str]:
    old, arrow, new = (part.strip() for part in text.partition("->"))
    if not arrow or not old or not new or "->" in new or old.count("*") != new.count("*"):
        message = (
            f'rename must be such as "features.* -> conv.*", with as many * on both sides, not {shown(text)}'
        )
        raise ValueError(message)
    return old, new


@dataclass(frozen=True)
class Start:
    """A file and what of it becomes which weight, found out from names and shapes."""

    load: Load
    file: WeightFile
    match: Match
    layout: str

    def read(self, graph: Graph) -> dict[str, Array]:
        """The arrays by weight, in our layout; raises NetError for a damaged file."""
        found = self.file.read(self.match.pairs.values())
        ours = {weight: found[name] for weight, name in self.match.pairs.items()}
        return ours if self.layout == OURS else {w: from_torch(graph, graph[w], a) for w, a in ours.items()}

    @property
    def report(self) -> dict[str, Any]:
        """The whole of it for the log."""
        m = self.match
        return {
            "file": self.load.file,
            "how": m.how,
            "taken": dict(m.pairs),
            "new": list(m.new),
            "left": list(m.left),
        }

    @property
    def lines(self) -> list[str]:
        """It in short, for people."""
        m = self.match
        lines = [
            f"starting from {self.load.file}, {self.file.kind}: {counted(len(m.pairs), 'array')} {m.how}"
        ]
        lines += [
            f"  {word}: {_some(names)}" for word, names in (("new", m.new), ("left out", m.left)) if names
        ]
        return lines


def _some(names: Sequence[str]) -> str:
    """Names by layer, the first ones."""
    layers = list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))
    return first_of(layers, 6)


def find_start(load: Load, base: Path, graph: Graph) -> Start:
    """What a network takes of a file; the path starts from `base`, the folder of the `.net` file.

    Raises NetError where the file is not one of weights, or does not fit the network.
    """
    from netdsl.runtime.weight_file import open_weights

    file = open_weights(base / load.file)
    try:
        names = renamed(file.shapes, load.rules)
    except ValueError as error:
        raise NetError(Diagnostic("weights", str(error))) from None
    leaves = {n.id: n for n in (*graph.leaves("param"), *graph.leaves("state"))}
    layout = OURS if file.own else TORCH if file.ordered else load.layout or _layout(leaves, file)
    wanted = {n: node.types[0].shape for n, node in leaves.items()}
    return Start(load, file, _matched(load, file, wanted, names, layout), layout)


def _layout(leaves: Mapping[str, Node], file: WeightFile) -> str:
    """The layout of a safetensors file, which shapes tell; raises NetError where they do not."""
    shapes = {node.types[0].shape for node in leaves.values()}
    there = set(file.shapes.values())
    ours = [s for s in shapes if s in there and torch_shape(s) not in there]
    theirs = [s for s in shapes if torch_shape(s) in there and s not in there]
    if bool(ours) == bool(theirs) and any(len(s) > 1 and s in there for s in shapes):
        message = f"the shapes in {file.path} do not say whether its weights lie as PyTorch's or as netdsl's"
        raise NetError(
            Diagnostic("weights", message, fix=f"say load(..., layout = {TORCH}) or layout = {OURS}")
        )
    return OURS if ours else TORCH


def _matched(load: Load, file: WeightFile, wanted: Shapes, names: Mapping[str, str], layout: str) -> Match:
    """By names, or by shapes and order where most names are of somebody else."""
    what = str(file.path)
    theirs = wanted if layout == OURS else {n: torch_shape(s) for n, s in wanted.items()}
    known = sum(name in names for name in wanted)
    if file.own or load.rename or 2 * known >= len(wanted):
        return by_name(theirs, file.shapes, names, load.skipped, what)
    return by_order(theirs, file.shapes, load.skipped, file.ordered, what)
