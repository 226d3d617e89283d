"""The memory that a network needs, computed from the plans of its programs; nothing is compiled or allocated."""

from __future__ import annotations

import functools
from typing import Any, Literal

from netdsl import passes
from netdsl.backend.layout import Footprint, Layout, lay_out
from netdsl.backend.registry import Device, find_target
from netdsl.backend.target import Target
from netdsl.elaborate import Network
from netdsl.ir import Graph, Value
from netdsl.limits import MAX_ELEMENTS
from netdsl.ops.expand import expand
from netdsl.ops.rebatch import with_batch
from netdsl.primitives import PrimitiveBuilder
from netdsl.report.peak_memory import Memory, Peak
from netdsl.runtime.room import last_below
from netdsl.train.settings import train_settings
from netdsl.train.step import training_graph
from netdsl.train.whole_step import step_graph

Mode = Literal["inference", "training"]
WEIGHTS = ("param", "state", "const")
ASSUMED = "no train section: training is counted with sgd and the mean of the outputs as loss"
UNTRAINED = "no train section and no output with a gradient: training is not counted"


def predict_memory(network: Network, batch: int, limit: int | None = None, device: Device = "cpu") -> Memory:
    """The peaks of a run in inference and in training at `batch`, and the largest batches within `limit` bytes.

    A run's peak is that of the process beyond what it needs before there is a network; the caller's own arrays,
    such as the data set, come on top.  Of a network on several GPUs each has `limit` bytes.  Raises NetError for a
    device that is not there, and for train settings that make no sense.
    """
    device = find_target(device)
    modes: tuple[Mode, ...] = ("inference", "training")
    note = ASSUMED if network.objective is None else None
    if note and not _numbers(network.graph):
        modes, note = ("inference",), UNTRAINED
    peaks: dict[str, Peak] = {mode: _peak(network, batch, mode, limit, device) for mode in modes}
    return Memory(batch, peaks, limit, note)


def _peak(network: Network, batch: int, mode: Mode, limit: int | None, device: Target[Any]) -> Peak:
    plans = functools.cache(functools.partial(_layout, network, mode=mode, device=device))

    def totals(samples: int) -> dict[str, int]:
        layout = plans(samples)
        return {device.on(gpu).place: layout.footprint_on(gpu).total for gpu in layout.arenas}

    fits = None
    if limit is not None:
        fits = last_below(lambda n: max(totals(n).values()), limit, _largest_allowed(network))
    return Peak(plans(batch).footprint().parts, fits, totals(batch))


def footprint(network: Network, batch: int, mode: Mode, device: Device = "cpu") -> Footprint:
    """What the program for `batch` samples per run holds, on all GPUs together."""
    return _layout(network, batch, mode, find_target(device)).footprint()


def _layout(network: Network, batch: int, mode: Mode, device: Target[Any]) -> Layout:
    return lay_out(program_graph(network, batch, mode, device), device)


def program_graph(network: Network, batch: int, mode: Mode, device: Device = "cpu") -> Graph:
    """The primitives that a run of so many samples computes."""
    target = find_target(device)
    if mode == "inference":
        return passes.inference(target).run(expand(with_batch(network.graph, batch)))
    return passes.training(target).run(_step(network, batch))


def _largest_allowed(network: Network) -> int:
    """The largest batch with which no tensor is past the limits of the language."""
    values = (t for node in network.graph if node.op.name not in WEIGHTS for t in node.types)
    return MAX_ELEMENTS // max(t.size // network.batch for t in values)


def _step(network: Network, batch: int) -> Graph:
    """A training step, of the train section or an assumed one."""
    if network.objective is not None:
        settings = train_settings(network)
        return step_graph(with_batch(network.objective, batch), settings)
    return training_graph(_with_mean_loss(with_batch(network.graph, batch)))


def _with_mean_loss(graph: Graph) -> Graph:
    """The graph with one more output: the sum over the outputs of their means."""
    b = PrimitiveBuilder(graph)
    means = [b.mean(v, range(graph.type(v).rank)) for v in _numbers(graph)]
    loss = means[0]
    for mean in means[1:]:
        loss = b.map(lambda x, y: x + y, loss, mean)
    return b.finish({**graph.outputs, "loss": loss})


def _numbers(graph: Graph) -> list[Value]:
    """The outputs that a loss can be made of; indices and truth values have no gradient."""
    return [v for v in graph.outputs.values() if graph.type(v).dtype == "f32"]
