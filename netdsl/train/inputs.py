"""What a network and its losses have to be fed, and what must hold between that and a data set."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from netdsl.arrays import Array, np
from netdsl.data.dataset import check_sample_shape
from netdsl.data.feeds import Feed, Kind
from netdsl.data.outline import ArrayOutline, Outline
from netdsl.elaborate import Network
from netdsl.ir import Graph, Node, Value
from netdsl.source import Diagnostic, Mistakes, NetError, Note, Span, counted, placed

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


_LISTED = 20
"""So many classes are named in a hint."""


@dataclass(frozen=True)
class Target:
    """What losses and metrics take besides what the network computes: labels, or weights of samples.

    shape: of one sample.  integers: whether they are class numbers, or other whole numbers.
    `classes` is the smallest number of classes that a prediction compared with the labels has; None for targets
    that are not class numbers.  The label `ignored` counts nowhere.
    `users` are the losses and metrics that take the labels, `span` is where they are named first.  `counted_by` has,
    for each label that some of the users leave out, the first that counts it.  `room` is that of the shortest
    `sequence_mask` which takes the target as counts.
    """

    name: str
    shape: tuple[int, ...]
    integers: bool
    classes: int | None
    ignored: int | None
    users: tuple[str, ...] = ()
    span: Span | None = None
    counted_by: Mapping[int, Node] = field(default_factory=dict)
    room: int | None = None

    @property
    def kind(self) -> Kind:
        """Weights are what no loss and no metric compares with a prediction."""
        return Kind.TARGET if self.users else Kind.WEIGHT

    @property
    def _noun(self) -> str:
        if self.room is not None:
            return "count"
        return "label" if self.kind is Kind.TARGET else "weight"

    def check(self, outline: ArrayOutline, name: str) -> None:
        """Raise NetError unless these labels can be fed; `name` is what they are called, such as `the test set`."""
        self._check_shape(outline, name)
        if self.room is not None or (self.kind is Kind.WEIGHT and not self.integers):
            self._check_weights(outline, name)
        elif self.integers:
            self._check_classes(outline, name)
        else:
            self._check_values(outline, name)

    def _check_shape(self, outline: ArrayOutline, name: str) -> None:
        ours, wanted = outline.label, self.shape
        if [n for n in ours if n != 1] == [n for n in wanted if n != 1]:
            return
        mine = f"has shape {list(ours)}" if ours else "is a single number"
        message = f"a {self._noun} of {name} {mine}, the loss takes {list(wanted) or 'single numbers'}"
        fix = None
        if self.integers and not ours:
            fix = "flatten or global_avg_pool before the last dense gives one prediction for a sample"
        elif self.integers and len(ours) == len(wanted) + 1:
            each = "class" if self.classes is None else f"of the {counted(self.classes, 'class')}"
            fix = f"shares of classes, such as one-hot rows, have one number for each {each}"
        elif not ours and outline.integers:
            fix = "cross_entropy compares predictions of classes with class numbers"
        raise self._error(message, fix)

    def _check_weights(self, outline: ArrayOutline, name: str) -> None:
        """Weights are 0 or more, and counts no more than there is room for."""
        low, high = outline.bounds()
        if self.room is not None and not outline.integers:
            raise self._error(f"the counts of {name} are float32; they must be whole numbers")
        if low is not None and low < 0:
            raise self._error(f"{name} has the {self._noun} {low:g}; {self._noun}s are 0 or more")
        if self.room is not None and high is not None and high > self.room:
            fix = f"sequence_mask({self.name}, {high:g}) has room for all"
            raise self._error(f"{name} has the count {high:g}, sequence_mask room for {self.room}", fix)

    def _check_classes(self, outline: ArrayOutline, name: str) -> None:
        if not outline.integers:
            raise self._error(
                f"the labels of {name} are float32, the loss takes class numbers", self._of_floats(outline)
            )
        if self.ignored is not None and outline.values is not None and (outline.values == self.ignored).all():
            message = f"every label of {name} is {self.ignored}, which counts nowhere"
            raise self._error(message, "other labels than ignore_index say what is to be learnt")
        low, high = outline.lowest(self.ignored), outline.highest(self.ignored)
        if low is None or high is None or self.classes is None:
            return
        wrong = low if low < 0 else high
        if wrong in self.counted_by and not 0 <= wrong < self.classes:
            node = self.counted_by[wrong]
            message = f"{name} has the label {wrong}, which {node.op.name} counts"
            notes = () if node.span is None else (Note("it is counted here", node.span),)
            missing = f"{node.op.name} needs ignore_index = {wrong}, too"
            raise NetError(Diagnostic("data", message, notes=notes, fix=missing))
        if low < 0:
            fix = "ignore_index leaves out one label" if self.ignored is None else None
            fix = self._anew(outline) or fix
            raise self._error(f"{name} has the label {low}; class numbers count from 0", fix)
        if high >= self.classes:
            classes = counted(self.classes, "class")
            fix = self._anew(outline) or "classes count from 0: the network needs one output for each"
            if high == VOID and self.classes < VOID:
                fix = f"ignore_index = {VOID} leaves out cells of no class, in the loss and in every metric"
            if self.classes == 1:
                fix = "binary_cross_entropy and binary_accuracy take one logit for two classes"
            raise self._error(f"{name} has the label {high}, the network {classes}", fix)
        named = outline.classes or 0
        if named - (self.ignored == named - 1) > max(self.classes, 2):
            message = f"{name} has {counted(named, 'class')} with names, the network {self.classes}"
            raise self._error(message, "the network needs one output for each")

    def _of_floats(self, outline: ArrayOutline) -> str:
        """What to do about labels that are no whole numbers, or are stored as if they were none."""
        if outline.values is not None and (outline.values == np.round(outline.values)).all():
            return "they are whole numbers: store them as such, with astype(numpy.int64)"
        numbers = "mse and mae take numbers"
        return f"{numbers}; {self._anew(outline)}" if self._anew(outline) and outline.as_names else numbers

    def _anew(self, outline: ArrayOutline) -> str | None:
        """How to number labels from 0 which are as many as there are classes, but not these; None: they are not."""
        if outline.values is None or outline.label:
            return None
        found = np.unique(outline.values).tolist()
        if not 1 < len(found) <= min(self.classes or 2, _LISTED):
            return None
        if outline.as_names is not None:
            return (
                f"{outline.as_names} takes these {len(found)} for names of classes, and numbers them from 0"
            )
        if not outline.in_python:
            return f"only(..., {found}) around the source numbers these classes from 0"
        start = int(found[0])
        if found != [*range(start, start + len(found))]:
            return f"numpy.unique({self.name}, return_inverse=True)[1] numbers these classes from 0"
        return f"{self.name} {'-' if start > 0 else '+'} {abs(start)} numbers these classes from 0"

    def _check_values(self, outline: ArrayOutline, name: str) -> None:
        bounded = [user for user in self.users if user in _RANGES]
        if not bounded:
            return
        low, high = outline.bounds()
        if low is None or high is None:
            return
        if "hinge" in bounded and outline.values is not None and (outline.values == 0).any():
            fix = "binary_cross_entropy takes 0 and 1"
            raise self._error(f"{name} has the label 0, hinge takes -1 and 1", fix)
        for user in bounded:
            least, most = _RANGES[user]
            if low < least or high > most:
                wrong = low if low < least else high
                message = f"{name} has the label {wrong:g}, {user} takes {least:g} to {most:g}"
                raise self._error(message, self._anew(outline) if least == 0 else None)

    def _error(self, message: str, fix: str | None = None) -> NetError:
        notes = () if self.span is None else (Note(f"the {self._noun}s are taken here", self.span),)
        return NetError(Diagnostic("data", message, notes=notes, fix=fix))


@dataclass(frozen=True)
class Inputs:
    """The inputs of a network and the targets of its losses and metrics; `feeds` are both, as data sets know them."""

    feeds: tuple[Feed, ...]
    targets: tuple[Target, ...]

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
        """Raise NetError, at the place that names the set, unless its samples and labels can be fed.

        The outline is that of what the feeds take.
        """
        with placed(span):
            inputs = [feed for feed in self.feeds if feed.kind is Kind.INPUT]
            for feed in inputs:
                _check_samples(feed, outline.arrays[feed.name], f"{feed.name}: " if len(inputs) > 1 else "")
            for target in self.targets:
                what = f"the {name} set" if len(self.targets) == 1 else f"{target.name} in the {name} set"
                target.check(outline.arrays[target.name], what)


def _check_samples(feed: Feed, outline: ArrayOutline, which: str) -> None:
    try:
        check_sample_shape(outline.shape, feed.shape or ())
    except NetError as error:
        notes = () if feed.span is None else (Note("the network takes them here", feed.span),)
        found = (replace(d, message=which + d.message, notes=notes) for d in error.diagnostics)
        raise NetError(*found) from None


def network_inputs(network: Network) -> Inputs:
    """What a network with an objective has to be fed."""
    objective = network.objective
    assert objective is not None
    targets = tuple(_target(objective, n) for n in objective.leaves("input") if n.id not in network.graph)
    found = [*_input_feeds(network)]
    found += [Feed(t.name, t.kind, t.shape, t.integers, t.span, t.ignored, t.classes) for t in targets]
    return Inputs(tuple(found), targets)


def label_check(graph: Graph, own: Collection[str]) -> Callable[[Mapping[str, Array]], None]:
    """What raises NetError for class numbers in a batch that a loss of a graph of ops has no class for.

    own: the inputs of the network, whose whole numbers are no labels.
    """
    targets = [_target(graph, n) for n in graph.leaves("input") if n.id not in own]
    classes = [t for t in targets if t.integers and t.classes is not None]

    def check(feeds: Mapping[str, Array]) -> None:
        for target in classes:
            if target.name in feeds:  # what is computed need not depend on it
                labels = np.asarray(feeds[target.name])
                target.check(ArrayOutline(labels.shape[1:], True, values=labels), "the batch")

    return check


def _input_feeds(network: Network) -> Iterator[Feed]:
    for node in network.graph.leaves("input"):
        yield Feed(node.id, Kind.INPUT, node.types[0].shape[1:], node.types[0].dtype == "i64", node.span)


def _target(objective: Graph, node: Node) -> Target:
    users = [user for user, operand in objective.users(Value(node.id)) if operand == 1]
    t = node.types[0]
    return Target(
        node.id,
        t.shape[1:],
        t.dtype == "i64",
        _classes(objective, node, users),
        _ignored(users),
        tuple(user.op.name for user in users),
        node.span,
        _counted_by(users),
        _room(objective, node),
    )


def _room(objective: Graph, target: Node) -> int | None:
    """The shortest mask that a target says the counts of."""
    masks = (n for n, _ in objective.users(Value(target.id)) if n.op.name == "sequence_mask")
    return min((n.types[0].shape[-1] for n in masks), default=None)


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
