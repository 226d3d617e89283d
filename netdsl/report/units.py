"""The boxes of a drawing: layers, and blocks that are shown closed, with the flows between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netdsl.report.outline import Line, outline
from netdsl.report.summary import Row, Summary


@dataclass(frozen=True)
class Unit:
    """A box: its key, what stands in it, its family (for the colour), and what is told about it."""

    key: str
    title: str
    shape: tuple[int, ...]
    family: str
    note: str


@dataclass(frozen=True)
class Flow:
    """An arrow from one box to another; `shape` is what flows."""

    source: str
    target: str
    shape: tuple[int, ...]


def units_of(summary: Summary, depth: int | None) -> tuple[list[Unit], list[Flow]]:
    """The boxes in order, and the flows between them; blocks deeper than `depth` are closed, equal ones one box.

    Inputs and outputs are boxes with their names.
    """
    graph = summary.graph
    lines = [line for line in outline(summary, depth) if _is_leaf(line, summary, depth)]
    owners = _owners(lines, summary)
    units = [_unit(line) for line in lines]
    flows: dict[tuple[str, str], Flow] = {}
    for row in summary.rows:
        for value in graph[row.name].inputs:
            source, target = owners.get(value.node), owners[row.name]
            if source is not None and source != target:
                flows.setdefault((source, target), Flow(source, target, graph.type(value).shape[1:]))
    for name, value in graph.outputs.items():
        key, shape = f"output {name}", summary.outputs[name]
        note = f"output {name}" + ("\nthere in training only" if name in graph.aux else "")
        units.append(Unit(key, name, shape, "output", note))
        flows[owners[value.node], key] = Flow(owners[value.node], key, shape)
    return units, list(flows.values())


def _is_leaf(line: Line, summary: Summary, depth: int | None) -> bool:
    """Whether a line is a box: a layer, or a block whose lines are not shown."""
    return not line.is_block or line.count > 1 or (depth is not None and line.level + 1 >= depth)


def _owners(lines: list[Line], summary: Summary) -> Mapping[str, str]:
    """For each layer the key of its box."""
    owners: dict[str, str] = {}
    open_boxes = {line.row.name: line for line in lines}
    last = ""
    for row in summary.rows:
        found = next((path for path in _paths(row.name) if path in open_boxes), None)
        # A layer of the second of several equal blocks belongs to the box of the first.
        last = found or last
        owners[row.name] = last
    return owners


def _paths(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:k]) for k in range(1, len(parts) + 1)]


def _unit(line: Line) -> Unit:
    row = line.row
    name = row.kind if line.is_block else row.name if row.kind == "input" else _title(row)
    title = f"{name} x{line.count}" if line.count > 1 else name
    facts = [f"{row.params:,} params"] if row.params else []
    facts += [f"{row.macs:,} MACs"] if row.macs else []
    place = [f"{row.span.source.name}:{row.span.line}"] if row.span is not None else []
    settings = [row.settings] if row.settings and not line.is_block else []
    note = "\n".join([row.name, *settings, *facts, *place])
    return Unit(row.name, title, row.shape, "block" if line.is_block else family(row.kind), note)


def _title(row: Row) -> str:
    """`conv 3x3, 64` says more than `conv`."""
    settings = dict(part.split("=", 1) for part in row.settings.split(", ") if "=" in part)
    size = settings.get("kernel") or settings.get("size")
    words = [row.kind]
    if size and size.isdigit():
        words.append(f"{size}x{size}")
    if "stride" in settings and settings["stride"] != "1":
        words.append(f"/{settings['stride']}")
    return " ".join(words)


FAMILIES = {
    "conv": ("conv", "conv_transpose", "depthwise_conv", "separable_conv"),
    "dense": ("dense",),
    "pool": ("max_pool", "avg_pool", "global_avg_pool", "global_max_pool"),
    "norm": ("batch_norm", "group_norm", "instance_norm", "layer_norm", "lrn", "l2_normalize"),
    "merge": ("add", "sub", "mul", "div", "concat", "stack", "split"),
    "input": ("input",),
}


def family(op: str) -> str:
    """What an op is, as far as its colour goes."""
    return next((name for name, ops in FAMILIES.items() if op in ops), "other")
