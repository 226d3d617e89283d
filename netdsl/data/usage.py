"""How to use a trained network: the preparation of its samples, and the meaning of its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Annotated, Any

from netdsl import records
from netdsl.data.dataset import check_classes
from netdsl.data.normalize import Normalization
from netdsl.data.preprocess import steps_from_json, steps_to_json
from netdsl.data.reading import Reading
from netdsl.records import Count, to_json
from netdsl.source import Diagnostic, NetError


class Meaning(StrEnum):
    """The meaning of an output with one number per class along its last axis."""

    logits = "logits"  # softmax turns them into probabilities
    probabilities = "probabilities"
    log_probabilities = "log probabilities"
    binary_logits = "binary logits"  # sigmoid turns each into the probability of its class
    binary_probabilities = "binary probabilities"
    scores = "scores"  # only their order has a meaning


@dataclass(frozen=True)
class Preparation:
    """What becomes of the samples of an input before the network sees them.

    sample: the shape of a sample of the data, after preprocessing; it may be [28, 28, 1] where the network takes
    [784].
    """

    sample: tuple[Count, ...]
    preprocess: Annotated[Any, steps_from_json] = ()
    normalization: Normalization = field(default_factory=Normalization)


@dataclass(frozen=True)
class Said:
    """What an output says of classes, and their names; None where nobody said them."""

    meaning: Annotated[str, Meaning]
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Usage:
    """What checkpoints and artifacts hold beside the network.

    inputs: what becomes of the samples of each input, by name. outputs: what the outputs say, by name; those that are
    not about classes are missing. reading: how files become samples.
    """

    inputs: Mapping[str, Preparation] = field(default_factory=dict)
    outputs: Mapping[str, Said] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)

    def preparation(self, name: str) -> Preparation:
        """That of an input; the only one there is, whatever it was called. Errors: NetError when there is none."""
        if name not in self.inputs and len(self.inputs) == 1:
            return next(iter(self.inputs.values()))
        if name not in self.inputs:
            known = ", ".join(self.inputs)
            raise _unusable(f"it tells of the inputs {known}, not of {name}")
        return self.inputs[name]

    def to_json(self) -> dict[str, Any]:
        """JSON values; `from_json` reads them back exactly."""
        plain = asdict(self)
        for name, given in self.inputs.items():
            plain["inputs"][name]["preprocess"] = steps_to_json(given.preprocess)
        return plain

    @staticmethod
    def from_json(value: object) -> Usage:
        """What `to_json` made plain. Errors: NetError when it is not of that form."""
        try:
            usage = records.from_json(Usage, _with_reading(value), "usage")
            for said in usage.outputs.values():
                if said.classes is not None:
                    check_classes(said.classes)
        except NetError as error:
            raise _unusable(error.diagnostics[0].message) from None
        except ValueError as error:
            raise _unusable(str(error)) from None
        return usage


def _with_reading(value: object) -> object:
    """Plain values with all of `reading`: files that were written before it, or a part of it, was kept have less."""
    if not isinstance(value, dict):
        return value
    found = value.get("reading", {})
    return {**value, "reading": {**to_json(Reading()), **found} if isinstance(found, dict) else found}


def _unusable(why: str) -> NetError:
    return NetError(Diagnostic("artifact", f"the file does not say how the network is used: {why}"))
