"""The weights and inputs of a network that names and patterns choose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from netdsl.ir import Graph
from netdsl.ir.types import WORDS
from netdsl.primitives.leaf import learns
from netdsl.source import Diagnostic, NetError, suggest


def called(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern with `*` and `?`; brackets, as those of `p[3]`, stand for themselves."""
    return name == pattern or fnmatchcase(name, pattern.replace("[", "[[]"))


def chooses(pattern: str, weight: str) -> bool:
    """Whether a pattern fits the name of a weight, or that of a layer or block that it is in: "stage*.conv1"."""
    return called(weight, pattern) or called(weight, f"{pattern}.*")


def nearest_weights(name: str, weights: Iterable[str], others: Iterable[str] = ()) -> str | None:
    """A hint with the weight, layer or block that is called like a name that fits none, also within a block."""
    names = list(weights)
    inside = [w.rsplit(".", k)[0] for k in range(1, 9) for w in names if w.count(".") >= k]
    near = suggest(name, [*others, *names, *inside])
    if near is None:
        last = {path.rpartition(".")[2]: path for path in reversed(inside)}
        near = last.get(suggest(name, last) or "")
    return f"did you mean {near}?" if near else None


def chosen_leaves(graph: Graph, wrt: str | Sequence[str]) -> tuple[str, ...]:
    """The leaves that `wrt` names, one or several: inputs by their names, weights that learn by their own names or
    those of layers or blocks, or patterns of them as in `l2(weights, "stage*.conv1")`; "weights" are all that learn.

    Raises NetError for a name that fits none, and for what is frozen, a statistic or not of numbers.
    """
    if not isinstance(wrt, str) and not (isinstance(wrt, Sequence) and all(isinstance(w, str) for w in wrt)):
        raise TypeError(f"wrt is a name or a list of names, not {wrt!r}")
    names = [wrt] if isinstance(wrt, str) else list(wrt)
    if not names:
        raise NetError(Diagnostic("name", "wrt names nothing", fix='wrt = "weights" are all that learn'))
    return tuple(dict.fromkeys(leaf for name in names for leaf in _chosen(graph, name)))


def _chosen(graph: Graph, name: str) -> list[str]:
    inputs = {n.id: n.types[0] for n in graph.leaves("input")}
    if name in inputs:
        if inputs[name].dtype != "f32":
            raise NetError(
                Diagnostic("type", f"{name} holds {WORDS[inputs[name].dtype]}, which have no gradient")
            )
        return [name]
    learning = {n.id: learns(n.op) for n in graph.leaves("param")}
    fit = [w for w in learning if name == "weights" or chooses(name, w)]
    if found := [w for w in fit if learning[w]]:
        return found
    if fit or name == "weights":
        message = f"{fit[0]} is frozen: it does not learn" if fit else "the network has no weights that learn"
        raise NetError(Diagnostic("name", message, fix="name weights that learn, or an input"))
    if statistics := [n.id for n in graph.leaves("state") if chooses(name, n.id)]:
        message = f"{statistics[0]} is a statistic, not a weight: it has no gradient"
        raise NetError(Diagnostic("name", message))
    fix = nearest_weights(name, learning, inputs) or f'there are {", ".join(inputs)} and "weights"'
    raise NetError(Diagnostic("name", f"no input, weight or layer with weights is called {name}", fix=fix))
