"""The parts of a drawing: the network, and its blocks beside it, as in papers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from netdsl.report.fold import fold
from netdsl.report.outline import BlockGroup, tree
from netdsl.report.summary import Summary
from netdsl.report.units import Flow, Unit, units_of


@dataclass(frozen=True)
class Part:
    """A title with a remark, boxes, and flows between them."""

    title: str
    remark: str
    units: Sequence[Unit]
    flows: Sequence[Flow]


def parts_of(summary: Summary, depth: int | None = None, blocks: int = 0) -> list[Part]:
    """The network with blocks deeper than `depth` closed, and each kind of these open, `blocks` levels deep."""
    level = [Part(summary.network, "", *fold(*units_of(summary, depth)))]
    parts = list(level)
    kinds = _kinds(tree(summary))
    shown: set[str] = set()
    for _ in range(blocks):
        names = dict.fromkeys(u.block for part in level for u in part.units if u.block)
        level = [_open(summary, name, kinds[name]) for name in names if name not in shown]
        shown |= names.keys()
        parts += level
    return parts


def _open(summary: Summary, name: str, groups: Sequence[BlockGroup]) -> Part:
    group, remark = _typical(groups)
    return Part(name, remark, *fold(*units_of(summary, 1, group)))


def _kinds(group: BlockGroup) -> Mapping[str, list[BlockGroup]]:
    """The blocks of each name."""
    kinds: dict[str, list[BlockGroup]] = {}
    for block in _blocks(group):
        kinds.setdefault(block.name, []).append(block)
    return kinds


def _blocks(group: BlockGroup) -> Iterator[BlockGroup]:
    for part in group.parts:
        if isinstance(part, BlockGroup):
            yield part
            yield from _blocks(part)


def _typical(groups: Sequence[BlockGroup]) -> tuple[BlockGroup, str]:
    """The first block with the most common numbers of layers, and how many blocks have these numbers."""
    forms = [tuple(row.kind for row in g.rows) for g in groups]
    form, count = Counter(forms).most_common(1)[0]
    remark = f"{count} of {len(groups)} uses" if count < len(groups) else ""
    return groups[forms.index(form)], remark
