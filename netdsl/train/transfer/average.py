"""The mean of the weights of several checkpoints of one network, as one network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from netdsl.arrays import Array
from netdsl.ops.rebatch import with_batch
from netdsl.runtime.artifact import Artifact, load_artifact
from netdsl.source import Diagnostic, NetError
from netdsl.train.restore import restore_graph, weights_of


def average(paths: Sequence[Path]) -> Artifact:
    """The network of checkpoints or artifacts with the mean of their weights and statistics, added up in float64.

    Running means and variances of a batch norm are averaged as weights are.  Raises NetError for fewer than two
    files, and where networks, or what becomes of samples before they see them, differ.
    """
    if len(paths) < 2:
        raise NetError(Diagnostic("checkpoint", f"{paths[0]} is one model; an average is of two or more"))
    found = [load_artifact(path) for path in paths]
    graphs = [restore_graph(a.model, path) for a, path in zip(found, paths, strict=True)]
    first, text = found[0].model, str(with_batch(graphs[0], 1))
    for path, artifact, graph in zip(paths, found, graphs, strict=True):
        if str(with_batch(graph, 1)) != text:
            raise _differs(path, paths[0], "another network")
        if artifact.model.usage != first.usage:
            raise _differs(path, paths[0], "samples prepared, or classes named, in another way")
    weights = [weights_of(g, a.weights, str(p)) for g, a, p in zip(graphs, found, paths, strict=True)]
    mean = {name: _mean([w[name] for w in weights]) for name in weights[0]}
    return Artifact(first, mean)


def _mean(arrays: Sequence[Array]) -> Array:
    return np.asarray(np.mean(arrays, axis=0, dtype=np.float64), np.float32)


def _differs(path: Path, first: Path, what: str) -> NetError:
    message = f"{path} has {what} than {first}: the mean of their weights would be of neither"
    return NetError(
        Diagnostic("checkpoint", message, fix="netdsl run A INPUT --with B averages their predictions")
    )
