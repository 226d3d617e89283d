"""The columns of the reports: heading, text and JSON value of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netdsl.ops.receptive_field import Field
from netdsl.report.outline import Line
from netdsl.report.sizes import bytes_text
from netdsl.report.summary import Row, Summary
from netdsl.source import counted

Cell = Callable[[Line], str]


@dataclass(frozen=True)
class Column:
    """A heading, the text of a cell, and what the heading means; those of low `rank` leave a narrow page first.

    `sort` is the count of a row that the column shows.
    """

    heading: str
    text: Cell
    note: str = ""
    right: bool = True
    rank: int = 0
    sort: str = ""


def _of_row(text: Callable[[Row], str]) -> Cell:
    return lambda line: text(line.row)


def shape_text(shape: Sequence[int]) -> str:
    """A shape as the language writes it: `[28, 28, 1]`."""
    return f"[{', '.join(map(str, shape))}]"


def _number(n: int) -> str:
    return f"{n:,}" if n else ""


def _params(line: Line) -> str:
    row = line.row
    if row.shared and not row.params:
        # Inside a block, a layer and its neighbours are shown by their short names.
        block = row.name.removesuffix(line.label)
        return f"shared with {row.shared.removeprefix(block) if block else row.shared}"
    frozen = "" if row.params == row.trainable else " frozen" if not row.trainable else " *"
    return _number(row.params) + frozen


def _field(row: Row) -> str:
    if row.field is None:
        return "all"
    sizes = [f.size for f in row.field]
    smallest = [f.smallest for f in row.field]
    text = _times(sizes)
    return text if smallest == sizes else f"{_times(smallest)} to {text}"


def _times(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _jump(row: Row) -> str:
    return _each(row, lambda f: str(f.jump))


def _start(row: Row) -> str:
    return _each(row, lambda f: str(f.start))


def _each(row: Row, text: Callable[[Field], str]) -> str:
    cells = [text(f) for f in row.field or ()]
    return cells[0] if len(set(cells)) == 1 else ",".join(cells)


def _intensity(row: Row) -> str:
    return f"{row.flops / row.moved:.3g}" if row.flops else ""


def _kind(line: Line) -> str:
    return f"{line.row.kind} x{line.count}" if line.count > 1 else line.row.kind


def _gpu(line: Line) -> str:
    rows = line.block.rows if line.block is not None else (line.row,)
    return ", ".join(dict.fromkeys("-" if r.gpu is None else str(r.gpu) for r in rows))


LAYER = Column("layer", lambda line: line.label, right=False, rank=10)
OP = Column("op", _kind, right=False, rank=7)
OUTPUT = Column("output", _of_row(lambda r: shape_text(r.shape)), right=False, rank=9)
PARAMS = Column("params", _params, "params: weights, shared ones once", rank=8, sort="params")
MACS = Column(
    "MACs", _of_row(lambda r: _number(r.macs)), "MACs: multiply-adds per sample", rank=7, sort="macs"
)
FLOPS = Column(
    "FLOPs",
    _of_row(lambda r: _number(r.flops)),
    "FLOPs: 2 per MAC, 1 per other operation",
    rank=5,
    sort="flops",
)
BYTES = Column(
    "memory", _of_row(lambda r: bytes_text(r.bytes)), "memory: results of one sample", rank=4, sort="bytes"
)
FIELD = Column("sees", _of_row(_field), "sees: receptive field, smallest to largest path", rank=6)
JUMP = Column("jump", _of_row(_jump), "jump: input cells between neighbours", rank=2)
START = Column("start", _of_row(_start), "start: first input cell that cell 0 sees", rank=1)
INTENSITY = Column(
    "FLOP/B", _of_row(_intensity), "FLOP/B: operations per byte of operands, weights and results", rank=3
)

GPU = Column("gpu", _gpu, "gpu: where a tag puts it", right=False, rank=6)
NAME = Column("name", lambda line: ", ".join(line.names), "name: given in the text", right=False)

VIEWS: dict[str, tuple[Column, ...]] = {
    "shapes": (LAYER, OP, OUTPUT, GPU, NAME),
    "params": (LAYER, OP, OUTPUT, PARAMS, MACS, FLOPS, GPU, NAME),
    "report": (LAYER, OP, OUTPUT, PARAMS, MACS, FLOPS, BYTES, FIELD, JUMP, START, INTENSITY, GPU, NAME),
}


def totals_text(summary: Summary, view: str) -> list[str]:
    """The lines below the table."""
    t = summary.totals
    kept = "" if t.params == t.trainable else f", {t.params - t.trainable:,} frozen"
    lines = [f"{counted(t.params, 'param')}, {t.trainable:,} trainable{kept}"]
    if view != "shapes":
        lines.append(f"{t.macs:,} MACs, {t.flops:,} FLOPs per sample")
    if view == "report":
        weights, results = bytes_text(t.param_bytes), bytes_text(t.activation_bytes)
        lines.append(f"{weights} of weights and statistics, {results} of results per sample")
        lines += summary.memory.text() if summary.memory is not None else []
    return lines
