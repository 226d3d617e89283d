"""Several trained networks that answer together: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from netdsl.arrays import Array
from netdsl.backend.registry import Device, find_target
from netdsl.data import Meaning, Usage
from netdsl.data.probability import PROBABILITIES, mean_outputs
from netdsl.ir import TensorType
from netdsl.predict.model import Trained, load_trained, predict
from netdsl.predict.samples import Samples, given_samples, read_samples
from netdsl.source import Diagnostic, NetError


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Trained networks with the same inputs and outputs; each sees samples prepared as in its own training.

    An output that says probabilities, or their logits or logarithms, becomes the mean of the probabilities; of other
    numbers it is the mean.  One network alone is what it is.

    Raises NetError for networks that do not fit each other.
    """

    members: tuple[Trained, ...]

    def __post_init__(self) -> None:
        for other in self.members[1:]:
            self._check(other)

    def __len__(self) -> int:
        return len(self.members)

    @property
    def outputs(self) -> dict[str, TensorType]:
        """The types of the outputs."""
        return self.members[0].outputs

    @cached_property
    def usage(self) -> Usage | None:
        """What the outputs say."""
        usage = self.members[0].usage
        if usage is None or len(self.members) == 1:
            return usage
        said = {
            n: replace(s, meaning=PROBABILITIES.get(Meaning(s.meaning), s.meaning))
            for n, s in usage.outputs.items()
        }
        return replace(usage, outputs=said)

    def run(
        self, feeds: Mapping[str, Array], *, seed: int = 0, device: Device = "cpu", threads: int | None = None
    ) -> dict[str, Array]:
        """The outputs by name, [n, ...], for arrays as they are stored; see `Trained.run`."""
        target = find_target(device, threads=threads)
        return self._mean(
            [predict(m, given_samples(feeds, m.inputs, m.usage), seed, target) for m in self.members]
        )

    def predict(
        self, paths: Sequence[Path], fit: bool = False, seed: int = 0, device: Device = "cpu"
    ) -> tuple[dict[str, Array], Samples]:
        """The outputs for the samples of files, and these samples; see `read_samples`."""
        samples = [read_samples(paths, m.inputs, m.usage, fit) for m in self.members]
        outputs = [predict(m, s, seed, device) for m, s in zip(self.members, samples, strict=True)]
        if len({len(s) for s in samples}) > 1:
            raise NetError(Diagnostic("data", "not every model can read the same samples"))
        return self._mean(outputs), samples[0]

    def _mean(self, outputs: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
        if len(outputs) == 1:
            return dict(outputs[0])
        usage = self.members[0].usage
        said = {} if usage is None else {n: Meaning(s.meaning) for n, s in usage.outputs.items()}
        return {n: mean_outputs([o[n] for o in outputs], said.get(n)).astype(np.float32) for n in outputs[0]}

    def _check(self, other: Trained) -> None:
        """Raise NetError where the mean of the outputs would make no sense."""
        first = self.members[0]
        for what, own, theirs in (
            ("inputs", _shapes(first.inputs_by_name), _shapes(other.inputs_by_name)),
            ("outputs", _shapes(first.outputs), _shapes(other.outputs)),
            ("classes", _said(first), _said(other)),
        ):
            if own != theirs:
                message = (
                    f"the models have other {what}, and their predictions have no mean: {own} and {theirs}"
                )
                raise NetError(Diagnostic("checkpoint", message))
        if any(t.dtype != "f32" for t in first.outputs.values()):
            raise NetError(
                Diagnostic("checkpoint", "outputs that are no numbers, such as class numbers, have no mean")
            )


def _shapes(types: Mapping[str, TensorType]) -> dict[str, list[int]]:
    return {name: list(t.shape[1:]) for name, t in types.items()}


def _said(trained: Trained) -> dict[str, tuple[str, tuple[str, ...] | None]]:
    usage = trained.usage
    return {} if usage is None else {name: (s.meaning, s.classes) for name, s in usage.outputs.items()}


def load_models(paths: Sequence[Path]) -> Ensemble:
    """Read artifacts or checkpoints; raises NetError for others, and for networks that do not fit each other."""
    return Ensemble(tuple(map(load_trained, paths)))
