"""A trained network from a file, and its outputs for samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.backend.registry import Device, find_target
from netdsl.data import Usage
from netdsl.elaborate.added import add_to_graph
from netdsl.ir import Graph, Node, TensorType
from netdsl.predict.layers import chosen_layers, layers_of
from netdsl.predict.samples import Samples, given_samples
from netdsl.primitives.builder import KEY, random_key
from netdsl.runtime import Gradient, Program
from netdsl.runtime.artifact import load_artifact
from netdsl.train import inference_program, restore_graph
from netdsl.train.inputs import label_check
from netdsl.train.restore import weights_of

Array = NDArray[Any]
BATCH = 64
"""Samples that are computed at a time, at most."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A network with its weights and what is known of its use; `usage` is None where the file does not say."""

    graph: Graph
    weights: Mapping[str, Array]
    usage: Usage | None

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The inputs by name, with their types."""
        return self.graph.leaves("input")

    @property
    def inputs_by_name(self) -> dict[str, TensorType]:
        """The types of the inputs, with a batch axis of any size."""
        return {leaf.id: leaf.types[0] for leaf in self.inputs}

    @property
    def outputs(self) -> dict[str, TensorType]:
        """The types of the outputs in inference, with a batch axis of any size."""
        kept = {n: v for n, v in self.graph.outputs.items() if n not in self.graph.aux}
        return {name: self.graph.type(value) for name, value in kept.items()}

    def run(
        self,
        feeds: Mapping[str, Array],
        outputs: str | Sequence[str] | None = None,
        *,
        seed: int = 0,
        device: Device = "cpu",
        threads: int | None = None,
    ) -> dict[str, Array]:
        """The outputs by name, [n, ...], for arrays [n, ...] by input, or one sample without the axis of samples.

        Arrays are as they are stored, 0 to 255 for bytes: they are prepared and normalised as in training.  `seed` is
        of dropout with monte_carlo.  `outputs` are names of layers as reports show them, `conv3` or `stage1.conv2`,
        or of outputs, auxiliary ones too, whose values are asked for instead.  Raises NetError for arrays that do not
        fit, and for names that are not there.
        """
        target = find_target(device, threads=threads)
        asked = self if outputs is None else self._giving(outputs)
        return predict(asked, given_samples(feeds, self.inputs, self.usage), seed, target)

    def _giving(self, outputs: str | Sequence[str]) -> Trained:
        """The same with the values of layers as its outputs."""
        chosen = chosen_layers(layers_of(self.graph), outputs)
        # Without outputs first: the name of an auxiliary head would be dropped with it.
        return replace(self, graph=self.graph.with_outputs({}).with_outputs(chosen))

    def prepare(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Arrays as the network is fed them: prepared and normalised as by `run`; one sample is a batch of one."""
        samples = given_samples(feeds, self.inputs, self.usage)
        return dict(next(samples.batches(len(samples))))

    def gradient(
        self,
        of: str,
        wrt: str | Sequence[str] = "weights",
        *,
        training: bool = False,
        device: Device = "cpu",
        threads: int | None = None,
    ) -> Gradient:
        """A program that computes a value and its gradients, and updates nothing; see `Network.gradient`.

        `of` is an output, or an expression over inputs and outputs such as "cross_entropy(logits, label)".  It is fed
        what the network is fed, which `prepare` makes of arrays as they are stored.  Raises NetError for what does
        not fit.
        """
        target = find_target(device, threads=threads)
        graph = add_to_graph(self.graph, of, "of")
        check = label_check(graph, {n.id for n in self.graph.leaves("input")})
        gradient = Gradient(graph, "of", wrt, of, training, target, check=check)
        for name in gradient.state_dict():
            gradient.set(name, self.weights[name])
        return gradient


def load_trained(path: Path) -> Trained:
    """Read an artifact or a checkpoint; raises NetError."""
    artifact = load_artifact(path)
    graph = restore_graph(artifact.model, path)
    usage = None if artifact.model.usage is None else Usage.from_json(artifact.model.usage)
    return Trained(graph, weights_of(graph, artifact.weights, str(path)), usage)


def predict(trained: Trained, samples: Samples, seed: int = 0, device: Device = "cpu") -> dict[str, Array]:
    """The outputs for all samples by name, [n, ...]; `seed` is of dropout with monte_carlo.

    Samples that cannot be read are left out and listed in `samples.problems`.  Raises NetError if none is left.
    """
    programs: dict[int, Program] = {}
    parts: dict[str, list[Array]] = {}
    for number, batch in enumerate(samples.batches(BATCH)):
        feeds = dict(batch)
        size = len(next(iter(feeds.values())))
        if size not in programs:
            programs[size] = _program(trained, size, device)
        if KEY in programs[size].inputs:
            feeds[KEY] = random_key(seed, number)
        needed = {
            name: feeds[name] for name in programs[size].inputs
        }  # a layer may not depend on every input
        for name, array in programs[size].run(needed).items():
            parts.setdefault(name, []).append(array)
    return {name: arrays[0] if len(arrays) == 1 else np.concatenate(arrays) for name, arrays in parts.items()}


def _program(trained: Trained, size: int, device: Device) -> Program:
    program = inference_program(trained.graph, size, device)
    for name in program.weights:
        program.set(name, trained.weights[name])
    return program
