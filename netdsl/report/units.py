"""The boxes of a drawing: layers, and blocks that are shown closed, with the flows between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from netdsl.ir import Value
from netdsl.report.outline import BlockGroup, Line, outline, tree
from netdsl.report.summary import Row, Summary
from netdsl.report.titles import details, family, finishes, title
from netdsl.source import counted

_HEAVY = ("conv", "dense", "pool")


@dataclass(frozen=True)
class Unit:
    """A box: its key, its text, its family (for the colour) and its tooltip.

    `closed` is a block, `block` its name where there is something in it to be shown; `shared` has the weights of
    another box; `finishes` is a layer that may be written into the box before it.  `count` are equal ones in a row.
    """

    key: str
    title: str
    shape: tuple[int, ...]
    family: str
    note: str
    block: str | None = None
    closed: bool = False
    shared: bool = False
    finishes: bool = False
    count: int = 1

    @property
    def label(self) -> str:
        """The title, with the number of repetitions."""
        name = f"({self.title})" if "," in self.title else self.title
        return f"{name} x{self.count}" if self.count > 1 else self.title


@dataclass(frozen=True)
class Flow:
    """An arrow from one box to another; `shape` is what flows."""

    source: str
    target: str
    shape: tuple[int, ...]


def units_of(
    summary: Summary, depth: int | None, within: BlockGroup | None = None
) -> tuple[list[Unit], list[Flow]]:
    """The boxes in order, and the flows between them; blocks deeper than `depth` are closed, equal ones one box.

    Inputs and outputs are boxes too; `within` a block, a single output is what leaves the last box.
    """
    group, graph = within or tree(summary), summary.graph
    layers = {row.name for row in summary.rows}
    lines = [line for line in outline(group, depth) if _is_leaf(line, depth)]
    owners = _owners(lines, group.rows)
    fed = {value: _input(summary, group, value) for value in _fed(summary, group)}
    flows: dict[tuple[str, str], Flow] = {}

    def flow(value: Value, target: str) -> None:
        source = fed[value].key if value in fed else owners[value.node]
        if source != target:
            flows.setdefault((source, target), Flow(source, target, graph.type(value).shape[1:]))

    for row in group.rows:
        for value in graph[row.name].inputs:
            if value.node in layers:
                flow(value, owners[row.name])
    outputs = _outputs(summary, group) if within else _ends(summary)
    for unit, value in outputs:
        flow(value, unit.key)
    units = [
        _closed(summary, line, line.block) if line.block else _layer(summary, line.row) for line in lines
    ]
    return [*fed.values(), *units, *(unit for unit, _ in outputs)], list(flows.values())


def _is_leaf(line: Line, depth: int | None) -> bool:
    """Whether a line is a box: a layer, or a block whose lines are not shown."""
    return line.block is None or line.count > 1 or (depth is not None and line.level + 1 >= depth)


def _owners(lines: Sequence[Line], rows: Iterable[Row]) -> Mapping[str, str]:
    """The key of the box that each layer is in."""
    owners: dict[str, str] = {}
    boxes = {line.row.name for line in lines}
    last = ""
    for row in rows:
        found = next((path for path in _paths(row.name) if path in boxes), None)
        # Equal blocks in a row share one box: a layer of the second block belongs to the box of the first.
        last = found or last
        owners[row.name] = last
    return owners


def _paths(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:k]) for k in range(1, len(parts) + 1)]


def _fed(summary: Summary, group: BlockGroup) -> list[Value]:
    """The values outside of a block that it reads, in the order of its inputs."""
    if group.path not in summary.scopes:
        return []
    inside = {row.name for row in group.rows}
    read = {v for row in group.rows for v in summary.graph[row.name].inputs if v.node not in inside}
    return [v for v in dict.fromkeys(summary.scopes[group.path].inputs.values()) if v in read]


def _input(summary: Summary, group: BlockGroup, value: Value) -> Unit:
    """An input of a block, by its name in the block."""
    names = [name for name, fed in summary.scopes[group.path].inputs.items() if fed == value]
    shape = summary.graph.type(value).shape[1:]
    return Unit(f"in {value}", " = ".join(names), shape, "input", f"from {value.node}")


def _ends(summary: Summary) -> list[tuple[Unit, Value]]:
    """The outputs of a network."""
    graph = summary.graph
    titles = {name: f"{name} (training)" if name in graph.aux else name for name in graph.outputs}
    return [
        (Unit(f"output {name}", titles[name], summary.outputs[name], "output", f"output {name}"), value)
        for name, value in graph.outputs.items()
    ]


def _outputs(summary: Summary, group: BlockGroup) -> list[tuple[Unit, Value]]:
    """The outputs of a block, if there are several."""
    graph, inside = summary.graph, {row.name: k for k, row in enumerate(group.rows)}
    read = [v for row in summary.rows if row.name not in inside for v in graph[row.name].inputs]
    found = {v for v in (*read, *graph.outputs.values()) if v.node in inside}
    left = sorted(found, key=lambda v: (inside[v.node], v.port))
    shapes = [graph.type(v).shape[1:] for v in left]
    units = [
        Unit(f"out {v}", f"out {k}", s, "output", str(v.node))
        for k, (v, s) in enumerate(zip(left, shapes, strict=True), 1)
    ]
    return list(zip(units, left, strict=True)) if len(left) > 1 else []


def _layer(summary: Summary, row: Row) -> Unit:
    kind = family(row.kind)
    return Unit(
        row.name,
        row.name if kind == "input" else title(summary, row),
        row.shape,
        kind,
        _note(row, row.settings),
        shared=row.shared is not None,
        finishes=finishes(summary, row),
    )


def _closed(summary: Summary, line: Line, block: BlockGroup) -> Unit:
    """A closed block.  A block of one layer with its activation is described as that layer."""
    heavy = [r for r in block.rows if family(r.kind) in _HEAVY]
    plain = len(heavy) == 1 and all(r is heavy[0] or finishes(summary, r) for r in block.rows)
    words = [w for w in details(summary, heavy[0]) if w not in block.name.lower()] if plain else []
    return Unit(
        line.row.name,
        " ".join([block.name, *words]),
        line.row.shape,
        family(heavy[0].kind) if plain else "block",
        _note(line.row, ""),
        block=None if plain else block.name,
        closed=True,
        shared=line.row.shared is not None,
        count=line.count,
    )


def _note(row: Row, settings: str) -> str:
    facts = [counted(row.params, "param")] if row.params else []
    facts += [f"shares the weights of {row.shared}"] if row.shared else []
    facts += [f"{row.macs:,} MACs"] if row.macs else []
    # Only the file's name, not its folder: drawings are shared with others.
    place = [f"{Path(row.span.source.name).name}:{row.span.line}"] if row.span is not None else []
    called = [f"called {', '.join(row.names)}"] if row.names else []
    return "\n".join([row.name, *called, *([settings] if settings else []), *facts, *place])
