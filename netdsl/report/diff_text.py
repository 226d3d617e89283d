"""The differences of two networks as text and as plain data."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from netdsl.report.columns import shape_text
from netdsl.report.diff import Change, Difference
from netdsl.report.summary import Row, Summary
from netdsl.source import counted
from netdsl.terminal import wrapped

#: so many parts of one block in a row, come, gone or following, are told one by one
LONG_RUN = 6
_SIGNS = {"removed": "-", "added": "+", "changed": "~"}
_NAMES = {"macs": "MACs", "flops": "FLOPs", "activations": "elements of results"}


def render_diff(d: Difference, width: int) -> str:
    """The changes as text, `-`, `+` and `~` in front, and the counts that changed; whole blocks take one line."""
    lines = [
        *(f"{_SIGNS[s.kind]} set {s.name}: {s.what}" for s in d.settings),
        *_layers(d),
        *(f"{_SIGNS[o.kind]} output {o.name}: {o.what}" for o in d.outputs),
        *_renamed(d),
        *(
            f"  {_NAMES.get(name, name)}: {a:,} -> {b:,} ({b - a:+,})"
            for name, (a, b) in d.totals.items()
            if a != b
        ),
    ]
    heads = [f"--- {d.before.network}", f"+++ {d.after.network}"]
    texts = [*heads, *(lines or ["  the same layers, outputs, settings and counts"])]
    return "\n".join(line for text in texts for line in wrapped(text, width, indent=6))


def _renamed(d: Difference) -> Iterator[str]:
    """One line for the layers that differ in nothing but their names."""
    told = {c.after.name for c in d.changes if c.after is not None}
    names = [f"{old} is {new} now" for old, new in d.renamed if new not in told]
    if names:
        yield (
            f"  {names[0]}"
            if len(names) == 1
            else f"  {len(names)} layers are called otherwise, as {names[0]}"
        )


def _layers(d: Difference) -> Iterator[str]:
    """A line for each layer or whole block; in a block where very many stand in a row, one for all of them."""
    for (kind, inside), run in itertools.groupby(_parts(d), key=lambda p: (_group(p[1][0]), _parent(p[0]))):
        parts = list(run)
        if len(parts) > LONG_RUN and inside and kind in ("added", "removed"):
            first, last = parts[0][0], parts[-1][0].rpartition(".")[2]
            yield _series(f"{first} to {last}", [c for _, changes in parts for c in changes], "")
            continue
        for path, changes in parts:
            if path == _row(changes[0]).name:
                yield _line(changes[0])
            else:
                scopes = (d.before if kind == "removed" else d.after).scopes
                yield _series(path, changes, f"{scopes[path].name}, ")


def _parts(d: Difference) -> Iterator[tuple[str, list[Change]]]:
    """Layers, and the largest blocks that came, went or only follow as a whole: the path, and the changes in it."""
    groups: dict[str, list[Change]] = {}
    for change in d.changes:
        groups.setdefault(_group(change), []).append(change)
    groups.pop("changed", None)
    blocks: dict[tuple[str, str], str] = {}
    for kind, changes in groups.items():
        whole = _whole(d.before if kind == "removed" else d.after, [_row(c).name for c in changes])
        blocks |= {(kind, name): path for name, path in whole.items()}
    found: dict[tuple[str, str], list[Change]] = {}
    for change in d.changes:
        name = _row(change).name
        found.setdefault((_group(change), blocks.get((_group(change), name), name)), []).append(change)
    yield from ((path, changes) for (_, path), changes in found.items())


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _group(change: Change) -> str:
    return "follows" if change.kind == "changed" and not change.what else change.kind


def _row(change: Change) -> Row:
    row = change.after or change.before
    assert row is not None
    return row


def _whole(summary: Summary, names: list[str]) -> Mapping[str, str]:
    """For a layer the outermost block around it that has several layers, all of them among the names."""
    sizes = Counter(path for r in summary.rows for path in _paths(r.name))
    found = Counter(path for name in names for path in _paths(name))
    whole = {path for path, n in found.items() if n > 1 and n == sizes[path] and path in summary.scopes}
    return {name: path for name in names for path in reversed(_paths(name)) if path in whole}


def _paths(name: str) -> list[str]:
    """The blocks around a layer, the outermost first."""
    parts = name.split(".")
    return [".".join(parts[:k]) for k in range(1, len(parts))]


def _line(c: Change) -> str:
    row = _row(c)
    if c.before is not None and c.after is not None:
        was = f" (was {c.before.name})" if c.before.name != row.name and row.kind != "input" else ""
        return f"~ {row.name}{was}: {'; '.join((*c.what, *c.follows))}"
    parts = [f"{row.kind} {shape_text(row.shape)}"]
    parts += [counted(row.params, "param")] if row.params else []
    parts += [f"reads {', '.join(row.sources)}"] if row.sources else []
    return f"{_SIGNS[c.kind]} {row.name}: {', '.join(parts)}"


def _series(path: str, changes: list[Change], name: str) -> str:
    """Many layers in one line: what leaves them, and their parameters."""
    first, last = changes[0], _row(changes[-1])
    params = sum(_row(c).params for c in changes)
    if first.kind != "changed":
        text = f"{shape_text(last.shape)}" + (f", {counted(params, 'param')}" if params else "")
        return f"{_SIGNS[first.kind]} {path}: {name}{counted(len(changes), 'layer')}, {text}"
    olds = [c.before for c in changes if c.before is not None]
    parts = [f"{counted(len(changes), 'layer')} {'follows' if len(changes) == 1 else 'follow'}"]
    if olds[-1].shape != last.shape:
        parts.append(f"{shape_text(olds[-1].shape)} -> {shape_text(last.shape)}")
    for count, word in (("params", "params"), ("macs", "MACs")):
        old, new = sum(getattr(r, count) for r in olds), sum(getattr(_row(c), count) for c in changes)
        parts += [f"{old:,} -> {new:,} {word}"] if old != new else []
    return f"~ {path}: {name}{'; '.join(parts)}"


def diff_json(d: Difference) -> dict[str, Any]:
    """Plain data: `changes` with rows before and after and what is different in words, and the rest of it."""
    return {
        "before": d.before.network,
        "after": d.after.network,
        "settings": [dataclasses.asdict(s) for s in d.settings],
        "changes": [
            {
                "kind": c.kind,
                "before": _row_json(c.before),
                "after": _row_json(c.after),
                "what": list(c.what),
                "follows": list(c.follows),
            }
            for c in d.changes
        ],
        "outputs": [dataclasses.asdict(o) for o in d.outputs],
        "renamed": [{"before": old, "after": new} for old, new in d.renamed],
        "totals": {name: {"before": a, "after": b} for name, (a, b) in d.totals.items()},
    }


def _row_json(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    numbers = {name: getattr(row, name) for name in ("name", "kind", "settings", "params", "macs", "flops")}
    place = row.span.to_json() if row.span is not None else None
    return {**numbers, "shape": list(row.shape), "reads": list(row.sources), "span": place}
