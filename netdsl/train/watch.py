"""What goes on inside of a network while it learns: `--watch gradients,weights,activations`.

At the end of an epoch, programs of their own look at one batch that is always the same: the first of the training
set, without augmentation.  The steps are what they are without.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Set
from typing import Any

import networkx
import numpy as np

from netdsl import passes
from netdsl.backend.target import Target
from netdsl.data import Batch, DataPlan
from netdsl.elaborate import Network
from netdsl.ir import Graph, Node, Value
from netdsl.ops.activation import ACTIVATIONS
from netdsl.ops.expand import expand
from netdsl.ops.rebatch import with_batch
from netdsl.primitives import PrimitiveBuilder
from netdsl.primitives.builder import KEY, random_key
from netdsl.primitives.leaf import learns
from netdsl.runtime import Gradient, Program
from netdsl.source import suggest
from netdsl.train.callback import Callback
from netdsl.train.checkpoint import EpochResult
from netdsl.train.loop import Loop
from netdsl.train.run_folder import RunFolder

KINDS = ("gradients", "weights", "activations")
"""What can be watched."""
RELUS = ("relu", "relu6")
_RMS, _LARGEST = "rms/", "largest/"

Watched = dict[str, dict[str, float]]


def need_kinds(kinds: Collection[str]) -> tuple[str, ...]:
    """The kinds in the order of `KINDS`, one of them as a text too; raises ValueError for one that there is not."""
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not isinstance(kinds, Collection) or not all(isinstance(kind, str) for kind in kinds):
        raise TypeError(f"watch is a list of names, of {', '.join(KINDS)}, not {kinds!r}")
    for kind in kinds:
        if kind not in KINDS:
            near = suggest(kind, KINDS)
            fix = f"did you mean {near}?" if near else f"there are {', '.join(KINDS)}"
            raise ValueError(f"{kind} cannot be watched; {fix}")
    return tuple(kind for kind in KINDS if kind in kinds)


class Watch(Callback):
    """Logs an event `watch` before each event `epoch`; all values are by layer.

    `gradients`: the L2 norm of the gradient of the loss by the weights of a layer, with dropout and batch norms as in
    training.  `weights`: the norm of the weights; `updates`: that of the change in the last step of the epoch,
    divided by it.  `activations`: the root of the mean square of what a layer gives in inference; `dead`: the share
    of the channels of a relu that are 0 everywhere in the batch.
    """

    def __init__(
        self, kinds: Collection[str], network: Network, data: DataPlan, target: Target[Any], output: RunFolder
    ) -> None:
        self.kinds = need_kinds(kinds)
        self.latest: Watched = {}
        self._network, self._data, self._target, self._output = network, data, target, output
        self._before: dict[str, np.ndarray[Any, Any]] = {}

    def on_train_begin(self, loop: Loop) -> None:
        """Make the programs."""
        learner = loop.learner
        self._layers = _by_layer(n for n in learner.objective.leaves("param") if learns(n.op))
        batches = self._data.evaluation_batches("train", loop.batches.batch, learner.inputs.feeds)
        self._batch: Batch = batches.make(0, 0)
        if "gradients" in self.kinds and self._layers:
            graph, share = learner.objective, learner.program
            self._gradient = Gradient(graph, "loss", "weights", "loss", True, self._target, share)
        if "activations" in self.kinds:
            read = networkx.ancestors(learner.objective.nx, learner.objective.outputs["loss"].node)
            graph = _activation_graph(with_batch(self._network.graph, self._batch.size), read)
            graph = passes.inference(self._target).run(graph)
            self._activations = Program(graph, self._target, learner.program)

    def on_batch_begin(self, loop: Loop) -> None:
        """Keep the weights before the last step of an epoch."""
        if "weights" in self.kinds and loop.progress.batch == len(loop.batches) - 1:
            self._before = {w: loop.learner.program.get(w) for ws in self._layers.values() for w in ws}

    def on_save(self, loop: Loop, result: EpochResult | None) -> None:
        """Log what an epoch came to; the log tells it before the epoch, so that none is without."""
        if result is None:
            return
        found: Watched = {}
        if "gradients" in self.kinds and self._layers:
            feeds = {name: self._batch[name] for name in self._gradient.inputs}
            _, gradients = self._gradient(feeds, seed=loop.learner.settings.seed)
            found["gradients"] = {name: _norm(gradients[w] for w in ws) for name, ws in self._layers.items()}
        if "weights" in self.kinds:
            found |= self._weights(loop.learner.program)
        if "activations" in self.kinds:
            found |= self._seen()
        self.latest = found
        self._output.log("watch", epoch=result.epoch, **found)

    def _weights(self, program: Program) -> Watched:
        now = {w: program.get(w) for ws in self._layers.values() for w in ws}
        norms = {name: _norm(now[w] for w in ws) for name, ws in self._layers.items()}
        moved = {
            name: _norm(now[w].astype(np.float64) - self._before[w] for w in ws)
            for name, ws in self._layers.items()
        }
        ratios = {name: moved[name] / norms[name] for name in norms if norms[name]}
        return {"weights": norms, "updates": ratios}

    def _seen(self) -> Watched:
        program = self._activations
        program.weights_changed()
        feeds = {**self._batch, KEY: random_key(0, 0)}
        found = program.run({name: feeds[name] for name in program.inputs})
        squares = {n.removeprefix(_RMS): float(x) for n, x in found.items() if n.startswith(_RMS)}
        largest = {n.removeprefix(_LARGEST): x for n, x in found.items() if n.startswith(_LARGEST)}
        return {
            "activations": {name: math.sqrt(square) for name, square in squares.items()},
            "dead": {name: float(np.mean(x <= 0)) for name, x in largest.items()},
        }


def _by_layer(weights: Iterator[Node]) -> dict[str, list[str]]:
    """The weights of each layer: a layer is what stands before the last dot."""
    layers: dict[str, list[str]] = {}
    for node in weights:
        layers.setdefault(node.id.rpartition(".")[0] or node.id, []).append(node.id)
    return layers


def _norm(arrays: Iterator[Any]) -> float:
    return math.sqrt(sum(float(np.sum(np.square(a, dtype=np.float64))) for a in arrays))


def _activation_graph(graph: Graph, read: Set[str]) -> Graph:
    """The mean square of each layer with weights and each activation, and of each relu the largest by channel.

    Those alone that the loss reads: of others no weights are learnt.
    """
    shown = {n.id: n for n in graph if n.id in read and _is_shown(graph, n)}
    primitives = expand(graph.with_outputs({name: Value(name) for name in shown}))
    b, found = PrimitiveBuilder(primitives), dict[str, Value]()
    for name, value in primitives.outputs.items():
        shape = b.type(value).shape
        scale, axes = 1.0 / math.prod(shape), range(len(shape))
        found[_RMS + name] = b.reduce("sum", lambda x, s=scale: x * x * s, value, axes=axes)
        if shown[name].op.name in RELUS:
            found[_LARGEST + name] = b.max(value, axes=axes[:-1])
    return b.finish(found)


def _is_shown(graph: Graph, node: Node) -> bool:
    if len(node.outputs) != 1 or node.types[0].dtype != "f32" or node.op.name in ("param", "state", "input"):
        return False
    weights = any(graph[v.node].op.name == "param" for v in node.inputs)
    return weights or (node.op.name in ACTIVATIONS and node.op.name != "identity")


def watch_text(found: Watched) -> str:
    """What was watched in a few words, the most striking layers by name."""
    parts = []
    if gradients := found.get("gradients"):
        low, high = (f(gradients, key=lambda n: gradients[n]) for f in (min, max))
        parts.append(f"gradients {gradients[low]:.2g} ({low}) to {gradients[high]:.2g} ({high})")
    if updates := found.get("updates"):
        low, high = (f(updates, key=lambda n: updates[n]) for f in (min, max))
        parts.append(f"update/weight {updates[low]:.2g} ({low}) to {updates[high]:.2g} ({high})")
    if dead := found.get("dead"):
        worst = max(dead, key=lambda n: dead[n])
        parts.append(f"dead {100 * dead[worst]:.0f} % ({worst})")
    elif seen := found.get("activations"):
        high = max(seen, key=lambda n: seen[n])
        parts.append(f"activations up to {seen[high]:.2g} ({high})")
    return "  ".join(parts)
