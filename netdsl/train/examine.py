"""What trained weights say of each sample of a set, beside what its label says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from netdsl.data import Batch, Loader, Meaning
from netdsl.data.probability import mean_outputs
from netdsl.ir import Node
from netdsl.primitives.builder import KEY, random_key
from netdsl.runtime import Program
from netdsl.runtime.container import Array
from netdsl.source import Diagnostic, NetError
from netdsl.train.inputs import network_inputs
from netdsl.train.meaning import compared, meanings, usage_of
from netdsl.train.restore import Models, inference_program

_BINARY = (Meaning.binary_logits, Meaning.binary_probabilities)


@dataclass(frozen=True, eq=False)
class Judged:
    """What an output says of the samples of a set.

    `true` are class numbers [n], or [n, ...] of a map of classes; `probabilities` [n, ..., classes], two for an
    output that is one number; `ignored` is a label that counts nowhere; `samples` says which of the set
    each is, `name` what such a one is called: its file, or its number.
    """

    output: str
    classes: tuple[str, ...]
    true: Array
    probabilities: Array
    ignored: int | None
    samples: Array
    name: Callable[[int], str] = "sample {}".format

    @property
    def predicted(self) -> Array:
        """The most likely class of each."""
        return np.asarray(self.probabilities.argmax(axis=-1))

    @property
    def _counts(self) -> Array:
        return np.ones(self.true.shape, bool) if self.ignored is None else self.true != self.ignored

    @property
    def confusion(self) -> Array:
        """How often each class, the rows, was taken for each, the columns: [classes, classes]."""
        count = len(self.classes)
        true, said = self.true.ravel(), self.predicted.ravel()
        kept = self._counts.ravel()
        return np.bincount(true[kept] * count + said[kept], minlength=count * count).reshape(count, count)

    def mistakes(self) -> list[int]:
        """Which samples are wrong, the least likely true class first; none of a map."""
        if self.true.ndim > 1:
            return []
        wrong = np.flatnonzero((self.predicted != self.true) & self._counts)
        sure = self.probabilities[wrong, self.true[wrong]]
        return [int(k) for k in wrong[np.argsort(sure, kind="stable")]]


def examine(models: Models) -> list[Judged]:
    """What each output about classes says of every sample, the mean over the members.

    Errors: NetError where no output is about classes, or where their labels are not class numbers or rows of shares.
    """
    network, members = models.network, models.members
    said = {name: m for name, m in meanings(network).items() if name not in network.graph.aux}
    nodes = {name: node for name in said if (node := compared(network, name)) is not None}
    if not nodes:
        fix = "cross_entropy and binary_cross_entropy compare outputs with classes"
        raise NetError(Diagnostic("data", "no output of the network is about classes", fix=fix))
    parts: dict[str, list[tuple[Array, Array]]] = {name: [] for name in nodes}
    order: list[Array] = []
    programs: dict[int, Program] = {}
    feeds = network_inputs(network).feeds
    with ExitStack() as stack:
        batches = (data.evaluation_batches(models.split, models.batch, feeds) for data, _ in members)
        loaders = [stack.enter_context(Loader(b, epochs=1)) for b in batches]
        for own in zip(*loaders, strict=True):
            outputs = [_outputs(models, w, b, programs) for (_, w), b in zip(members, own, strict=True)]
            order.append(own[0].indices)
            for name, node in nodes.items():
                values = mean_outputs([o[name] for o in outputs], said[name])
                parts[name].append((own[0][node.inputs[1].node], values))
    samples = np.concatenate(order)
    usage, called = usage_of(network, members[0][0]), members[0][0].split(models.split).name
    return [
        _judged(name, said[name], nodes[name], found, usage.outputs[name].classes, samples, called)
        for name, found in parts.items()
    ]


def _outputs(
    models: Models, weights: Mapping[str, Array], batch: Batch, programs: dict[int, Program]
) -> Mapping[str, Array]:
    if batch.size not in programs:
        programs[batch.size] = inference_program(models.network.graph, batch.size, models.target)
    program = programs[batch.size]
    for name in program.weights:
        program.set(name, weights[name])
    feeds = {**batch, KEY: random_key(0, batch.number)}
    return program.run({name: feeds[name] for name in program.inputs})


def _judged(
    name: str,
    meaning: Meaning,
    node: Node,
    parts: Sequence[tuple[Array, Array]],
    names: tuple[str, ...] | None,
    samples: Array,
    called: Callable[[int], str],
) -> Judged:
    labels, values = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    if meaning in _BINARY:
        if values.shape[-1] != 1:
            message = (
                f"{name} says of several classes by itself whether each is there: there is no one matrix"
            )
            raise NetError(Diagnostic("data", message, fix="a matrix needs one class for each sample"))
        values = np.concatenate([1 - values, values], axis=-1)
        labels = np.rint(labels.reshape(values.shape[:-1])).astype(np.int64)
    elif labels.dtype.kind == "f":
        labels = labels.argmax(axis=-1)
    labels = labels.reshape(values.shape[:-1])
    count = values.shape[-1]
    classes = names if names is not None and len(names) == count else tuple(map(str, range(count)))
    return Judged(name, classes, labels, values, getattr(node.op, "ignore_index", None), samples, called)
