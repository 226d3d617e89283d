"""What changed between two networks: layers, settings, shapes, parameters, costs.

Layers are aligned as the lines of two texts are, by what they are and where they stand, so that renaming or moving a
block does not make everything behind it new.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from netdsl.report.columns import shape_text
from netdsl.report.summary import Row, Summary

_COUNTS = ("params", "trainable", "macs", "flops", "activations")


@dataclass(frozen=True)
class Change:
    """A layer that was `added`, `removed` or `changed`: before and after, of which one may be missing."""

    kind: str
    before: Row | None
    after: Row | None

    @property
    def what(self) -> list[str]:
        """What differs, in words, for a changed layer."""
        if self.before is None or self.after is None:
            return []
        a, b = self.before, self.after
        texts = [
            f"{a.kind} -> {b.kind}" if a.kind != b.kind else "",
            f"{a.settings or 'defaults'} -> {b.settings or 'defaults'}" if a.settings != b.settings else "",
            f"{shape_text(a.shape)} -> {shape_text(b.shape)}" if a.shape != b.shape else "",
            f"{a.params:,} -> {b.params:,} params" if a.params != b.params else "",
        ]
        return [text for text in texts if text]


def diff(before: Summary, after: Summary) -> list[Change]:
    """The changes, in the order of the networks."""
    keys = [[(r.kind, r.name) for r in s.rows] for s in (before, after)]
    # Names alone decide where they can; where they cannot, neighbours of one kind are taken for each other.
    matcher = SequenceMatcher(None, keys[0], keys[1], autojunk=False)
    changes: list[Change] = []
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        old, new = before.rows[a0:a1], after.rows[b0:b1]
        changes += _same(old, new) if tag == "equal" else _replaced(old, new)
    return changes


def _same(old: tuple[Row, ...], new: tuple[Row, ...]) -> Iterator[Change]:
    for a, b in zip(old, new, strict=True):
        if (a.settings, a.shape, a.params) != (b.settings, b.shape, b.params):
            yield Change("changed", a, b)


def _replaced(old: tuple[Row, ...], new: tuple[Row, ...]) -> Iterator[Change]:
    matcher = SequenceMatcher(None, [r.kind for r in old], [r.kind for r in new], autojunk=False)
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        if tag == "equal":
            yield from _same(old[a0:a1], new[b0:b1])
        else:
            yield from (Change("removed", a, None) for a in old[a0:a1])
            yield from (Change("added", None, b) for b in new[b0:b1])


def totals(before: Summary, after: Summary) -> dict[str, tuple[int, int]]:
    """Counts before and after."""
    return {name: (getattr(before.totals, name), getattr(after.totals, name)) for name in _COUNTS}


def render_diff(before: Summary, after: Summary) -> str:
    """The changes as text, `-`, `+` and `~` in front, and the counts that changed; whole blocks take one line."""
    changes = diff(before, after)
    lines = [
        *(f"~ {c.after.name}: {'; '.join(c.what)}" for c in changes if c.before and c.after),
        *_blocks("-", before, [c.before for c in changes if c.before and not c.after]),
        *_blocks("+", after, [c.after for c in changes if c.after and not c.before]),
        *(
            f"  {name}: {a:,} -> {b:,} ({b - a:+,})"
            for name, (a, b) in totals(before, after).items()
            if a != b
        ),
    ]
    heads = [f"--- {before.network}", f"+++ {after.network}"]
    return "\n".join([*heads, *(lines or ["  the same layers, shapes and counts"])])


def _blocks(sign: str, summary: Summary, rows: Sequence[Row]) -> Iterator[str]:
    """A line for each layer, or for the largest block that came or went as a whole."""
    gone, done = {r.name for r in rows}, ""
    for row in rows:
        if done and row.name.startswith(f"{done}."):
            continue
        done = _largest(summary, row.name, gone)
        inside = [r for r in rows if r.name == row.name or (done and r.name.startswith(f"{done}."))]
        params = sum(r.params for r in inside)
        kind = f"{summary.scopes[done].name}, {len(inside)} layers," if done else row.kind
        text = f"{kind} {shape_text(inside[-1].shape)}" + (f", {params:,} params" if params else "")
        yield f"{sign} {done or row.name}: {text}"


def _largest(summary: Summary, name: str, rows: set[str]) -> str:
    """The outermost block around a layer all of whose layers are among the rows; empty if there is none."""
    parts = name.split(".")
    for depth in range(1, len(parts)):
        path = ".".join(parts[:depth])
        if all(r.name in rows for r in summary.rows if r.name.startswith(f"{path}.")):
            return path
    return ""


def diff_json(before: Summary, after: Summary) -> dict[str, Any]:
    """Plain data: `changes` with rows before and after, `totals`."""

    def row(r: Row | None) -> dict[str, Any] | None:
        if r is None:
            return None
        kept = ("name", "kind", "settings", "params", "macs", "flops")
        place = r.span.to_json() if r.span is not None else None
        return {
            **{k: v for k, v in dataclasses.asdict(dataclasses.replace(r, span=None)).items() if k in kept},
            "shape": list(r.shape),
            "span": place,
        }

    return {
        "before": before.network,
        "after": after.network,
        "changes": [
            {"kind": c.kind, "before": row(c.before), "after": row(c.after)} for c in diff(before, after)
        ],
        "totals": {name: {"before": a, "after": b} for name, (a, b) in totals(before, after).items()},
    }
