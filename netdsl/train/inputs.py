"""The inputs of a network that a data set can feed, and what must hold between the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netdsl.arrays import Array
from netdsl.data import Batch, Split
from netdsl.elaborate import Network
from netdsl.ir import Graph, Node, TensorType, Value
from netdsl.source import Diagnostic, NetError


@dataclass(frozen=True)
class Inputs:
    """The names and types of the input that takes the samples and of the one that takes the labels.

    `classes` is the smallest number of classes that a prediction compared with the labels has; None for targets
    that are not class numbers.  The label `ignored` counts nowhere.  The types have a batch axis of any size.
    """

    image: str
    target: str
    image_type: TensorType
    target_type: TensorType
    classes: int | None
    ignored: int | None

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample, without the batch axis."""
        return self.image_type.shape[1:]

    def feeds(self, batch: Batch) -> dict[str, Array]:
        """The samples of a batch without its padding, and their labels."""
        labels = batch.labels[: batch.size].reshape(batch.size, *self.target_type.shape[1:])
        return {self.image: batch.images[: batch.size], self.target: labels}

    def check(self, split: Split, name: str) -> None:
        """Raise NetError unless the labels of a split can be fed."""
        labels = split.labels
        if self.target_type.dtype == "i64" and labels.dtype.kind != "i":
            message = f"the labels of the {name} set are {labels.dtype}, the loss takes class numbers"
            raise _error(message)
        ours, wanted = labels.shape[1:], self.target_type.shape[1:]
        if [n for n in ours if n != 1] != [n for n in wanted if n != 1]:
            message = f"a label of the {name} set has shape {list(ours)}, the loss takes {list(wanted)}"
            one_hot = self.target_type.dtype == "i64" and len(ours) == len(wanted) + 1
            raise _error(message, "one-hot labels must be floats" if one_hot else None)
        if self.classes is not None:
            self._check_classes(labels, name, self.classes)

    def _check_classes(self, labels: Array, name: str, classes: int) -> None:
        wrong = labels[(labels >= classes) & (labels != (-1 if self.ignored is None else self.ignored))]
        if wrong.size:
            message = f"the {name} set has the label {int(wrong.max())}, the network {classes} classes"
            raise _error(message, "classes count from 0: the network needs one output for each")


def network_inputs(network: Network) -> Inputs:
    """The inputs of a network with an objective; raises NetError when there are more than data sets have."""
    objective = network.objective
    assert objective is not None
    images = [n.id for n in network.graph.leaves("input")]
    targets = [n.id for n in objective.leaves("input") if n.id not in images]
    if len(images) != 1 or len(targets) != 1:
        message = f"data sets have samples and labels; the network takes {', '.join([*images, *targets])}"
        raise _error(message, "train in Python, feeding a Program by name")
    (image,), (target,) = images, targets
    types = objective[image].types[0], objective[target].types[0]
    users = [node for node, operand in objective.users(Value(target)) if operand == 1]
    return Inputs(image, target, *types, _classes(objective, target, users), _ignored(users))


def _classes(objective: Graph, target: str, users: Sequence[Node]) -> int | None:
    """Losses and metrics compare class numbers with the last axis of their first operand."""
    if objective[target].types[0].dtype != "i64":
        return None
    return min((objective.type(node.inputs[0]).shape[-1] for node in users), default=None)


def _ignored(users: Sequence[Node]) -> int | None:
    """The label that every loss and metric leaves out."""
    left_out = {getattr(node.op, "ignore_index", None) for node in users}
    return left_out.pop() if len(left_out) == 1 else None


def _error(message: str, fix: str | None = None) -> NetError:
    return NetError(Diagnostic("data", message, fix=fix))
