"""Values and their gradients as programs of their own: nothing is updated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import networkx
import numpy as np
from numpy.typing import NDArray

from netdsl import passes
from netdsl.autodiff import gradients, hessian_vector, vector_jacobian
from netdsl.backend.registry import Device, find_target
from netdsl.ir import Graph, ShapeError, TensorType, Value
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.ops.batch_size import check_batch_size
from netdsl.ops.choose import chosen_leaves
from netdsl.ops.expand import expand
from netdsl.ops.rebatch import with_batch
from netdsl.primitives import Input, Map, PrimitiveBuilder
from netdsl.primitives.builder import KEY, random_key
from netdsl.runtime.names import check_names
from netdsl.runtime.program import Program
from netdsl.runtime.room import advising
from netdsl.source import Diagnostic, NetError, counted

Array = NDArray[Any]
Arrays = Mapping[str, Array]
OUTPUT_GRADIENT, VECTOR = "gradient/output", "gradient/vector/"
"""Names of inputs beside those of the network, whose names have no slash."""


class Gradient:
    """The value of an expression over a network, and its gradients by weights and inputs; nothing is updated.

    `graph` are ops with an output `of`, whose value goes by `name`; `wrt` is as `chosen_leaves` has it.
    In `training` batch norms use the statistics of the batch, and dropout drops; else they do what they do in
    inference.  The weights are those of `share`, or zeros until they are set.  `check` may refuse what is fed.

    A call takes batches of any size: each size has programs of its own, made at its first call, over the same
    weights.  The same feeds and seeds give the same bits, whatever the number of threads.
    """

    def __init__(
        self,
        graph: Graph,
        of: str,
        wrt: str | Sequence[str],
        name: str,
        training: bool = False,
        device: Device = "cpu",
        share: Program | None = None,
        check: Callable[[Arrays], None] | None = None,
    ) -> None:
        self._of, self._name, self._training, self._check = of, name, training, check
        self._target = find_target(device)
        self.wrt = chosen_leaves(graph, wrt)
        self._graph = _needed(graph, of, self.wrt, name)
        _check_moves(self._graph, of, self.wrt, name, training)
        self._shared = share is not None
        if share is not None and share.device.place != self._target.place:
            message = f"a gradient on {self._target.place} cannot share weights on {share.device.place}"
            raise NetError(Diagnostic("device", message))
        leaves = [n for n in self._graph if n.op.name in ("param", "state")]
        self._weights = share or Program(passes.placed(Graph(leaves, {}), self._target.limits), self._target)
        for leaf in leaves:
            if self._weights.weights.get(leaf.id) != leaf.types[0]:
                message = f"the program that is shared has no {leaf.id}, {leaf.types[0]}"
                raise NetError(Diagnostic("gradient", message))
        self._programs: dict[tuple[int, bool], Program] = {}

    @property
    def inputs(self) -> dict[str, TensorType]:
        """What a call must be fed, with a batch axis of any size."""
        return {n.id: n.types[0] for n in self._graph.leaves("input")}

    def __call__(
        self, feeds: Arrays, *, output_gradient: Array | None = None, seed: int = 0
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """`{name: value}` and `{name: gradient}`, each gradient in the shape of its weight or input.

        A value that is not one number takes `output_gradient`, an array of its shape: then the gradients are those of
        the sum of `value * output_gradient`.  Of one number for each sample, such as `logits[3]`, it is ones if left
        out: the gradient by an input is then each sample's own.  `seed` is that of dropout and the like.  Raises
        NetError for arrays that do not fit.
        """
        found = self._run(feeds, {}, output_gradient, seed)
        return {self._name: found[self._of]}, {name: found[f"grad/{name}"] for name in self.wrt}

    def hvp(
        self, feeds: Arrays, vectors: Arrays, *, output_gradient: Array | None = None, seed: int = 0
    ) -> dict[str, Array]:
        """`{name: product}`: the Hessian, all second derivatives, times `vectors`, an array for each of `wrt`.

        It takes as long as two or three gradients, about five with the batch norms of training; the Hessian itself is
        never made.  See `__call__`.
        """
        check_names("the product", vectors, self.wrt)
        given = {f"{VECTOR}{name}": np.asarray(v) for name, v in vectors.items()}
        found = self._run(feeds, given, output_gradient, seed)
        return {name: found[f"grad/{name}"] for name in self.wrt}

    def get(self, name: str) -> Array:
        """A copy of a weight or statistic; raises UnknownName for another name."""
        return self._weights.get(name)

    def set(self, name: str, array: Array) -> None:
        """Replace a weight or statistic; raises UnknownName or ValueError where there is no such name or shape."""
        self._weights.set(name, array)

    def state_dict(self) -> dict[str, Array]:
        """Copies of all weights and statistics that the value depends on."""
        return self._weights.state_dict()

    def load_state_dict(self, arrays: Arrays) -> None:
        """Replace all of them; raises UnknownName where names are missing or left over."""
        self._weights.load_state_dict(arrays)

    def _run(
        self, feeds: Arrays, vectors: Arrays, output_gradient: Array | None, seed: int
    ) -> dict[str, Array]:
        program = self._program(self._samples(feeds), bool(vectors))
        given = {**feeds, **vectors}
        if KEY in program.inputs:
            given[KEY] = random_key(seed, 0)
        seeded = OUTPUT_GRADIENT in program.inputs
        if seeded and output_gradient is None:
            t = program.inputs[OUTPUT_GRADIENT]
            if t.size == t.shape[0]:
                output_gradient = np.ones(t.shape, np.float32)
        if seeded and output_gradient is None:
            fix = f"output_gradient, an array {list(t.shape)}, weights its elements; or take a number, such as a loss"
            raise NetError(Diagnostic("gradient", f"{self._name} is not one number but {t.words}", fix=fix))
        if output_gradient is not None:
            if not seeded:
                raise NetError(
                    Diagnostic("gradient", f"{self._name} is one number and takes no output_gradient")
                )
            given[OUTPUT_GRADIENT] = np.asarray(output_gradient)
        for name, t in program.inputs.items():
            shown = name.removeprefix(VECTOR).replace(OUTPUT_GRADIENT, "output_gradient")
            dtype = np.asarray(given[name]).dtype
            if not np.can_cast(dtype, NUMPY_DTYPE[t.dtype], "same_kind"):
                raise NetError(Diagnostic("type", f"{shown} takes {t.words}, not an array of {dtype}"))
            if np.shape(given[name]) != t.shape:
                message = f"{shown} takes {list(t.shape)}, not {list(np.shape(given[name]))}"
                raise NetError(Diagnostic("shape", message))
        if self._check is not None:
            self._check(feeds)
        if self._shared:
            program.weights_changed()
        return program.run({name: given[name] for name in program.inputs})

    def _samples(self, feeds: Arrays) -> int:
        """The size of the batch; raises NetError for names that are missing or unknown, and for no samples."""
        check_names("the gradient", feeds, self.inputs)
        for name, t in self.inputs.items():
            if np.ndim(feeds[name]) != t.rank or np.shape(feeds[name])[1:] != t.shape[1:]:
                wanted = ", ".join(map(str, ("N", *t.shape[1:])))
                raise NetError(
                    Diagnostic("shape", f"{name} takes [{wanted}], not {list(np.shape(feeds[name]))}")
                )
        sizes = {len(feeds[name]) for name in self.inputs}
        if len(sizes) != 1 or not min(sizes):
            shapes = ", ".join(f"{n} {list(np.shape(x))}" for n, x in feeds.items())
            raise NetError(Diagnostic("shape", f"the inputs are not one batch of samples: {shapes}"))
        return sizes.pop()

    def _program(self, samples: int, products: bool) -> Program:
        key = (samples, products)
        if key not in self._programs:
            if self._training:
                check_batch_size(self._graph, samples, "take a batch of 2 or more, or training = False")
            try:
                graph = with_batch(self._graph, samples)
            except ShapeError as error:
                message = f"the network cannot take {counted(samples, 'sample')} at a time: {error.message}"
                raise NetError(Diagnostic("graph", message)) from None

            def make(samples: int) -> Graph:
                ops = with_batch(graph, samples)
                primitives = _gradient_graph(ops, self._of, self.wrt, self._training, products)
                return passes.training(self._target).run(primitives)

            with advising(samples, make, self._target, "{} samples at a time fit"):
                self._programs[key] = Program(make(samples), self._target, self._weights)
        return self._programs[key]


def _gradient_graph(graph: Graph, of: str, wrt: Sequence[str], training: bool, products: bool) -> Graph:
    """The outputs `of` and `grad/NAME`, or products with the Hessian, as primitives."""
    primitives = expand(graph, training)
    b = PrimitiveBuilder(primitives)
    value, leaves = primitives.outputs[of], [Value(name) for name in wrt]
    if b.type(value).rank == 0:
        found = gradients(b, value, leaves)
    else:
        weights = b.add1(Input(b.type(value)), name=OUTPUT_GRADIENT)
        found = vector_jacobian(b, [(value, weights)], leaves)
    if products:
        vectors = {v: b.add1(Input(b.type(v)), name=f"{VECTOR}{v.node}") for v in leaves}
        found = hessian_vector(b, found, vectors)
    return b.finish({of: value, **{f"grad/{v.node}": g for v, g in found.items()}})


def _needed(graph: Graph, of: str, wrt: Sequence[str], name: str) -> Graph:
    """The leaves that a value depends on, and `wrt`; raises NetError for an input that it does not depend on."""
    value = graph.outputs[of]
    before = networkx.ancestors(graph.nx, value.node) | {value.node}
    for leaf in wrt:
        if leaf not in before and graph[leaf].op.name == "input":
            raise NetError(Diagnostic("gradient", f"{name} does not depend on {leaf}"))
    kept = before | set(wrt)
    return Graph((n for n in graph if n.id in kept), {of: value})


def _check_moves(graph: Graph, of: str, wrt: Sequence[str], name: str, training: bool) -> None:
    """Raise NetError where the value has no gradient by any of the leaves, as an accuracy has none."""
    found = _gradient_graph(graph, of, wrt, training, products=False)
    nodes = (found[found.outputs[f"grad/{leaf}"].node] for leaf in wrt)
    if all(isinstance(node.op, Map) and not node.inputs for node in nodes):
        message = f"{name} has no gradient by {', '.join(wrt[:3])}: a small change of them changes nothing"
        raise NetError(Diagnostic("gradient", message))
