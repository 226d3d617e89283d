"""The loss and the metrics over many batches: sums that batches add to, and their values at the end.

Every loss and metric op is an accumulator (`netdsl.ops.accumulator`): a batch adds to its sums, and its value over
a set comes from the sums of all batches, in float64.  An expression over several, such as `a + 0.3 * b` or
`sqrt(mse(y, t))`, is computed once, from the values over the set.  So nothing depends on how the set is cut into
batches.  A number that depends on the weights alone, as a penalty does, is averaged over the samples, for the steps
of an epoch change it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from netdsl.arrays import Array, np
from netdsl.ir import Graph, Node, Value
from netdsl.ops.accumulator import Accumulator
from netdsl.ops.expand import expand
from netdsl.primitives import Const, Input, PrimitiveBuilder


def as_result(value: Any, depth: int = 2) -> Any:
    """Check a value of a metric that was read from JSON. Errors: ValueError."""
    if isinstance(value, list) and depth:
        return [as_result(v, depth - 1) for v in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("it is neither a number, nor a list or a table of numbers")
    return value if isinstance(value, float) else float(value)


Sums = dict[str, list[float]]
Values = dict[str, Annotated[Any, as_result]]
"""Values by the names that they are reported under: numbers, and of metrics of each class lists and tables."""
SUM, PLAIN, SAMPLES = "sum/", "plain/", "samples"


def report_outputs(graph: Graph) -> dict[str, Value]:
    """The loss and the metrics of an objective."""
    return {name: v for name, v in graph.outputs.items() if name == "loss" or name.startswith("metric/")}


class Measures:
    """The sums of the loss and the metrics of an objective, and the values computed from them.

    `Sums` start empty and are plain data, so that a checkpoint can hold them: the elements of each sum by its name,
    as many for every batch, `sizes`.
    """

    def __init__(self, objective: Graph) -> None:
        self._objective = objective
        self._reported = report_outputs(objective)
        self._accumulators: list[tuple[Node, Accumulator]] = []
        self._plain: list[Value] = []
        self._rest: list[Node] = []
        wanted = set(self._reported.values())
        for node in reversed(tuple(objective)):
            if any(value in wanted for value in node.outputs):
                wanted.update(self._sort(node))
        self._rest.reverse()
        self._known: dict[str, int] = {}
        self.sizes: dict[str, int] = {_plain(v): 1 for v in self._plain} | {SAMPLES: 1}
        for node, op in self._accumulators:
            self._count(node, op)

    def _count(self, node: Node, op: Accumulator) -> None:
        """Record the size of each sum, and the sums that the shapes determine, for one sample."""
        b = PrimitiveBuilder()
        types = [self._objective.type(v) for v in node.inputs]
        for k, part in enumerate(op.sums(b, *(b.add1(Input(t)) for t in types))):
            name = f"{SUM}{node.id}/{k}"
            self.sizes[name] = 1 if isinstance(part, int) else b.type(part).size
            if isinstance(part, int):
                self._known[name] = part // types[0].shape[0]

    def _sort(self, node: Node) -> tuple[Value, ...]:
        """Say how a scalar comes about over a set; returns the scalars that it is computed from, if it is."""
        if isinstance(node.op, Accumulator):
            self._accumulators.append((node, node.op))
        elif isinstance(node.op, Const) or (node.inputs and not any(self._rank(v) for v in node.inputs)):
            self._rest.append(node)
            return node.inputs
        else:
            self._plain.extend(node.outputs)
        return ()

    def _rank(self, value: Value) -> int:
        return self._objective.type(value).rank

    @property
    def signs(self) -> dict[str, int]:
        """The loss and the metrics that are numbers, and 1 where they are to grow, -1 where they are to fall.

        Expressions over several ops count as losses.
        """
        larger = {Value(node.id) for node, op in self._accumulators if op.larger_is_better}
        numbers = {name: value for name, value in self._reported.items() if not self._rank(value)}
        return {_short(name): 1 if value in larger else -1 for name, value in numbers.items()}

    @property
    def criterion(self) -> tuple[str, int]:
        """The value that defines the best epoch, and its sign: the first metric of a single op, else the loss."""
        single = {Value(node.id) for node, _ in self._accumulators if not self._rank(Value(node.id))}
        names = [_short(n) for n, v in self._reported.items() if n != "loss" and v in single]
        name = next(iter(names), "loss")
        return name, self.signs[name]

    def expanded(self, training: bool) -> tuple[Graph, dict[str, Value]]:
        """The objective in primitives, and what its runs have to put out for `update`."""
        parts: dict[str, tuple[Value | int, ...]] = {}
        plain = {_plain(v): v for v in self._plain}
        graph = expand(
            self._objective.with_outputs({**self._objective.outputs, **plain}), training, sums=parts
        )
        sums = {name: graph.outputs[name] for name in plain}
        for node, _ in self._accumulators:
            for k, part in enumerate(parts[node.id]):
                if isinstance(part, Value):
                    sums[f"{SUM}{node.id}/{k}"] = part
        return graph, sums

    def update(self, sums: Sums, results: Mapping[str, Array], samples: int) -> None:
        """Add the outputs of a run over so many samples."""
        for name, array in results.items():
            if name.startswith((SUM, PLAIN)):
                weight = samples if name.startswith(PLAIN) else 1
                _add(sums, name, [weight * x for x in array.ravel().tolist()])
        for name, number in self._known.items():
            _add(sums, name, [number * samples])
        _add(sums, SAMPLES, [samples])

    def result(self, sums: Sums) -> Values:
        """The loss and the metrics over all batches so far, by the names they are reported under."""
        found: dict[Value, Any] = {Value(n.id): op.result(*_parts(sums, n)) for n, op in self._accumulators}
        for v in self._plain:
            found[v] = sums[_plain(v)][0] / sums[SAMPLES][0]
        for node in self._rest:
            found.update(zip(node.outputs, _computed(node, [found[v] for v in node.inputs]), strict=True))
        values = {_short(name): found[v] for name, v in self._reported.items()}
        return {name: v if isinstance(v, list) else float(v) for name, v in values.items()}


def _short(name: str) -> str:
    """The name that an output of the objective is reported under."""
    return name.removeprefix("metric/")


def _plain(value: Value) -> str:
    return f"{PLAIN}{value.node}/{value.port}"


def _add(sums: Sums, name: str, more: Sequence[float]) -> None:
    sums[name] = (
        [a + b for a, b in zip(sums[name], more, strict=True)] if name in sums else [*map(float, more)]
    )


def _parts(sums: Sums, node: Node) -> Iterator[Sequence[float]]:
    """The sums of an accumulator, in order."""
    for k in itertools.count():
        name = f"{SUM}{node.id}/{k}"
        if name not in sums:
            return
        yield sums[name]


def _computed(node: Node, operands: Sequence[Any]) -> Sequence[Any]:
    """A scalar of the expression in float64."""
    if isinstance(node.op, Const):
        return (np.asarray(node.op.value, np.float64),)
    with np.errstate(all="ignore"):
        return node.op.reference(*map(np.asarray, operands))
