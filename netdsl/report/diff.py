"""What changed between two networks: layers and what they read, settings, weights, costs, outputs, training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from netdsl.elaborate import Network, shown
from netdsl.ir import Graph
from netdsl.report.align import align
from netdsl.report.layer_diff import consequences, settings_changed, weights_changed
from netdsl.report.rewiring import Wiring
from netdsl.report.summary import Row, Summary, summarize

COUNTS = ("params", "trainable", "macs", "flops", "activations")


@dataclass(frozen=True)
class Change:
    """A layer that was `added`, `removed` or `changed`: before and after, of which one may be missing.

    `what` has the differences of the layer itself in words, `follows` the consequences of changes elsewhere.
    """

    kind: str
    before: Row | None
    after: Row | None
    what: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()


@dataclass(frozen=True)
class NamedChange:
    """A setting or an output that was `added`, `removed` or `changed`, and what is different, in words."""

    kind: str
    name: str
    what: str


@dataclass(frozen=True)
class Difference:
    """All changes, layers and outputs in order.

    `renamed` has the layers that are the same under another name, old and new.  The rows of `before` and `after`
    hold the objective too; `totals` are those of the nets alone.
    """

    before: Summary
    after: Summary
    settings: tuple[NamedChange, ...]
    changes: tuple[Change, ...]
    outputs: tuple[NamedChange, ...]
    renamed: tuple[tuple[str, str], ...]
    totals: Mapping[str, tuple[int, int]]


def diff(before: Network, after: Network) -> Difference:
    """Compare two networks and what they are trained on, layer by layer."""
    graphs = before.objective or before.graph, after.objective or after.graph
    a, b = summarize(before.name, graphs[0]), summarize(after.name, graphs[1])
    match = align(a.rows, b.rows)
    wiring = Wiring(*graphs, match)
    counts = [summarize(n.name, n.graph).totals for n in (before, after)]
    return Difference(
        before=a,
        after=b,
        settings=tuple(_settings(before, after)),
        changes=tuple(_changes(graphs, (a, b), match, wiring)),
        outputs=tuple(_outputs(*graphs, wiring)),
        renamed=tuple((match[r.name], r.name) for r in b.rows if match.get(r.name, r.name) != r.name),
        totals={name: (getattr(counts[0], name), getattr(counts[1], name)) for name in COUNTS},
    )


def _changes(
    graphs: tuple[Graph, Graph], summaries: tuple[Summary, Summary], match: Mapping[str, str], wiring: Wiring
) -> Iterator[Change]:
    """The changed layers, in order."""
    back = {was: now for now, was in match.items()}
    for was, row in _merged(summaries[0].rows, summaries[1].rows, match):
        if was is None or row is None:
            yield Change("added" if was is None else "removed", was, row)
            continue
        nodes = graphs[0][was.name], graphs[1][row.name]
        what = (
            *settings_changed(*nodes),
            *wiring.layer(row.name),
            *weights_changed(graphs, *nodes, back),
        )
        follows = tuple(consequences(graphs, *nodes, (was, row)))
        if what or follows:
            yield Change("changed", was, row, what, follows)


def _merged(
    before: Sequence[Row], after: Sequence[Row], match: Mapping[str, str]
) -> Iterator[tuple[Row | None, Row | None]]:
    """Rows side by side in the order after; those that went stand where they were, before those that came."""
    old, place = {r.name: r for r in before}, {r.name: k for k, r in enumerate(before)}
    kept = set(match.values())
    gone = [r for r in before if r.name not in kept]
    # The old position of the next row that existed before.
    limits, limit = [], len(before)
    for row in reversed(after):
        limit = place[match[row.name]] if row.name in match else limit
        limits.append(limit)
    for row in after:
        limit = limits.pop()
        while gone and place[gone[0].name] < limit:
            yield gone.pop(0), None
        yield old[match[row.name]] if row.name in match else None, row
    yield from ((row, None) for row in gone)


def _outputs(before: Graph, after: Graph, wiring: Wiring) -> Iterator[NamedChange]:
    """Outputs that were added, removed, renamed or read another value; loss and metrics are outputs too."""
    new = [name for name in after.outputs if name not in before.outputs]
    for name, value in before.outputs.items():
        if name in after.outputs:
            words = wiring.output(name)
            if (name in before.aux) != (name in after.aux):
                words.append("there in training only" if name in after.aux else "there in inference too")
            if words:
                yield NamedChange("changed", name, "; ".join(words))
            continue
        other = next((n for n in new if wiring.same(value, after.outputs[n])), None)
        if other is not None:
            new.remove(other)
            yield NamedChange("changed", name, f"called {other} now")
        else:
            yield NamedChange("removed", name, f"read {wiring.text_before(value)}")
    yield from (NamedChange("added", name, f"reads {wiring.text_after(after.outputs[name])}") for name in new)


def _settings(before: Network, after: Network) -> Iterator[NamedChange]:
    """Settings of the net and of the sections, as `--set` names them."""
    old, new = _named(before), _named(after)
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            yield NamedChange("removed", name, old[name])
        elif name not in old:
            yield NamedChange("added", name, new[name])
        elif old[name] != new[name]:
            yield NamedChange("changed", name, f"{old[name]} -> {new[name]}")


def _named(network: Network) -> dict[str, str]:
    found = {name: shown(value) for name, value in network.settings.items()}
    for section in ("data", "train", "eval"):
        for name, setting in getattr(network, section).items():
            found[f"{section}.{name}"] = shown(setting.value)
    return found
