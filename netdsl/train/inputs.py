"""The inputs of a network that a data set can feed, and what must hold between the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from netdsl.arrays import Array, np
from netdsl.data.batches import Batch
from netdsl.data.dataset import check_sample_shape
from netdsl.data.outline import Outline
from netdsl.elaborate import Network
from netdsl.ir import Graph, Node, TensorType, Value
from netdsl.source import Diagnostic, Mistakes, NetError, Note, Span, counted, placed, suggest

#: losses that take targets within bounds
_RANGES: Mapping[str, tuple[float, float]] = {
    "binary_cross_entropy": (0.0, 1.0),
    "focal": (0.0, 1.0),
    "dice": (0.0, 1.0),
    "kl_divergence": (0.0, 1.0),
    "hinge": (-1.0, 1.0),
}


#: the label of cells without a class in most data sets of masks, such as PASCAL VOC and Cityscapes
VOID = 255


@dataclass(frozen=True)
class Inputs:
    """The names and types of the input that takes the samples and of the one that takes the labels.

    `classes` is the smallest number of classes that a prediction compared with the labels has; None for targets
    that are not class numbers.  The label `ignored` counts nowhere.  The types have a batch axis of any size.
    `users` are the losses and metrics that take the labels, `span` is where the labels are named first, `image_span`
    where the input of the samples is.  `counted_by` has, for each label that some of the users leave out, the first
    that counts it.
    """

    image: str
    target: str
    image_type: TensorType
    target_type: TensorType
    classes: int | None
    ignored: int | None
    users: tuple[str, ...] = ()
    span: Span | None = None
    image_span: Span | None = None
    counted_by: Mapping[int, Node] = field(default_factory=dict)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample, without the batch axis."""
        return self.image_type.shape[1:]

    def feeds(self, batch: Batch) -> dict[str, Array]:
        """The samples of a batch without its padding, and their labels."""
        labels = batch.labels[: batch.size].reshape(batch.size, *self.target_type.shape[1:])
        kind = np.int64 if self.target_type.dtype == "i64" else np.float32
        return {self.image: batch.images[: batch.size], self.target: labels.astype(kind, copy=False)}

    def check_all(self, sets: Sequence[tuple[str, Outline, Span | None]]) -> None:
        """Raise NetError with every mistake of several sets; one of all of them, for one cause, is told once."""
        problems, told = Mistakes(), set[str]()
        for name, outline, span in sets:
            try:
                self.check(outline, name, span)
            except NetError as error:
                causes = [d.message.replace(f"the {name} set", "the set") for d in error.diagnostics]
                problems.add(d for d, c in zip(error.diagnostics, causes, strict=True) if c not in told)
                told |= {*causes}
        problems.done()

    def check(self, outline: Outline, name: str, span: Span | None = None) -> None:
        """Raise NetError, at the place that names the set, unless its samples and labels can be fed."""
        with placed(span):
            self._check_samples(outline)
            self._check_shape(outline, name)
            if self.target_type.dtype == "i64":
                self._check_classes(outline, name)
            else:
                self._check_values(outline, name)

    def _check_samples(self, outline: Outline) -> None:
        try:
            check_sample_shape(outline.sample, self.sample_shape)
        except NetError as error:
            notes = () if self.image_span is None else (Note("the network takes them here", self.image_span),)
            raise NetError(*(replace(d, notes=notes) for d in error.diagnostics)) from None

    def _check_shape(self, outline: Outline, name: str) -> None:
        ours, wanted = outline.label, self.target_type.shape[1:]
        if [n for n in ours if n != 1] == [n for n in wanted if n != 1]:
            return
        mine = f"has shape {list(ours)}" if ours else "is a single number"
        message = f"a label of the {name} set {mine}, the loss takes {list(wanted) or 'single numbers'}"
        fix = None
        if self.target_type.dtype == "i64" and not ours:
            fix = "flatten or global_avg_pool before the last dense gives one prediction for a sample"
        elif self.target_type.dtype == "i64" and len(ours) == len(wanted) + 1:
            each = "class" if self.classes is None else f"of the {counted(self.classes, 'class')}"
            fix = f"shares of classes, such as one-hot rows, have one number for each {each}"
        elif not ours and outline.integers:
            fix = "cross_entropy compares predictions of classes with class numbers"
        raise self._error(message, fix)

    def _check_classes(self, outline: Outline, name: str) -> None:
        if not outline.integers:
            raise self._error(f"the labels of the {name} set are float32, the loss takes class numbers")
        if self.ignored is not None and outline.labels is not None and (outline.labels == self.ignored).all():
            message = f"every label of the {name} set is {self.ignored}, which counts nowhere"
            raise self._error(message, "other labels than ignore_index say what is to be learnt")
        low, high = outline.lowest(self.ignored), outline.highest(self.ignored)
        if low is None or high is None or self.classes is None:
            return
        wrong = low if low < 0 else high
        if wrong in self.counted_by and not 0 <= wrong < self.classes:
            node = self.counted_by[wrong]
            message = f"the {name} set has the label {wrong}, which {node.op.name} counts"
            notes = () if node.span is None else (Note("it is counted here", node.span),)
            missing = f"{node.op.name} needs ignore_index = {wrong}, too"
            raise NetError(Diagnostic("data", message, notes=notes, fix=missing))
        if low < 0:
            fix = "ignore_index leaves out one label" if self.ignored is None else None
            raise self._error(f"the {name} set has the label {low}; class numbers count from 0", fix)
        if high >= self.classes:
            classes = counted(self.classes, "class")
            fix = "classes count from 0: the network needs one output for each"
            if high == VOID and self.classes < VOID:
                fix = f"ignore_index = {VOID} leaves out cells of no class, in the loss and in every metric"
            if self.classes == 1:
                fix = "binary_cross_entropy and binary_accuracy take one logit for two classes"
            raise self._error(f"the {name} set has the label {high}, the network {classes}", fix)

    def _check_values(self, outline: Outline, name: str) -> None:
        bounded = [user for user in self.users if user in _RANGES]
        if not bounded:
            return
        low, high = outline.bounds()
        if low is None or high is None:
            return
        if "hinge" in bounded and outline.labels is not None and (outline.labels == 0).any():
            fix = "binary_cross_entropy takes 0 and 1"
            raise self._error(f"the {name} set has the label 0, hinge takes -1 and 1", fix)
        for user in bounded:
            least, most = _RANGES[user]
            if low < least or high > most:
                wrong = low if low < least else high
                message = f"the {name} set has the label {wrong:g}, {user} takes {least:g} to {most:g}"
                raise self._error(message)

    def _error(self, message: str, fix: str | None = None) -> NetError:
        notes = () if self.span is None else (Note("the labels are taken here", self.span),)
        return NetError(Diagnostic("data", message, notes=notes, fix=fix))


def network_inputs(network: Network) -> Inputs:
    """The inputs of a network with an objective; raises NetError when there are more than data sets have."""
    objective = network.objective
    assert objective is not None
    images = network.graph.leaves("input")
    targets = [n for n in objective.leaves("input") if n.id not in network.graph]
    if len(images) == 1 and len(targets) > 1:
        raise _two_labels(targets)
    if len(images) != 1 or len(targets) != 1:
        names = ", ".join(n.id for n in (*images, *targets))
        message = f"data sets have samples and labels; the network takes {names}"
        place = images[1].span if len(images) > 1 else objective[objective.outputs["loss"].node].span
        raise NetError(Diagnostic("data", message, place, fix="train in Python, feeding a Program by name"))
    (image,), (target,) = images, targets
    users = [node for node, operand in objective.users(Value(target.id)) if operand == 1]
    return Inputs(
        image.id,
        target.id,
        image.types[0],
        target.types[0],
        _classes(objective, target, users),
        _ignored(users),
        tuple(node.op.name for node in users),
        target.span,
        image.span,
        _counted_by(users),
    )


def _two_labels(targets: Sequence[Node]) -> NetError:
    first, second = targets[:2]
    message = f"a data set has one label for a sample; {first.id} and {second.id} are two"
    notes = (Note(f"{first.id} is named here", first.span),)
    near = suggest(second.id, [first.id])
    fix = f"did you mean {first.id}?" if near else f"a loss and its metrics take the same label: {first.id}"
    return NetError(Diagnostic("data", message, second.span, notes=notes, fix=fix))


def _classes(objective: Graph, target: Node, users: Sequence[Node]) -> int | None:
    """Losses and metrics compare class numbers with the last axis of their first operand."""
    if target.types[0].dtype != "i64":
        return None
    rows = (n for n, _ in objective.users(Value(target.id)) if n.op.name == "one_hot")
    counts = [n.types[0].shape[-1] for n in rows]
    return min((*counts, *(objective.type(node.inputs[0]).shape[-1] for node in users)), default=None)


def _counted_by(users: Sequence[Node]) -> dict[int, Node]:
    """The labels that some losses and metrics ignore, and the first that does not."""
    left_out = [(node, getattr(node.op, "ignore_index", None)) for node in users]
    labels = {label for _, label in left_out if label is not None}
    counting = {label: [node for node, own in left_out if own != label] for label in labels}
    return {label: nodes[0] for label, nodes in counting.items() if nodes}


def _ignored(users: Sequence[Node]) -> int | None:
    """The label that every loss and metric ignores."""
    left_out = {getattr(node.op, "ignore_index", None) for node in users}
    return left_out.pop() if len(left_out) == 1 else None
