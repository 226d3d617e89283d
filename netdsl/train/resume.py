"""Whether training can be resumed from a checkpoint: what must be the same, and what may have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress

from netdsl.elaborate import Network
from netdsl.ir import Node, ShapeError
from netdsl.ir.parse import parse_graph
from netdsl.ir.text import format_node
from netdsl.ops import OPS
from netdsl.ops.rebatch import with_batch
from netdsl.runtime.artifact import Model
from netdsl.source import Diagnostic, NetError, counted, warn
from netdsl.train.checkpoint import Checkpoint, Run, check_arrays
from netdsl.train.full_batch.names import FULL_BATCH
from netdsl.train.make import name_in
from netdsl.train.optimizers import OPTIMIZERS, Optimizer
from netdsl.train.run_folder import LAST
from netdsl.train.settings import TrainSettings, settings_text
from netdsl.train.tables import AVERAGES

_LEAVES = ("param", "state", "input", "const")


def describe_run(network: Network, settings: TrainSettings, samples: int, before: Run | None = None) -> Run:
    """What identifies a run of these settings on `samples` training samples, that goes on from `before`."""
    assert network.objective is not None
    text = str(with_batch(network.objective, settings.batch))
    digest = hashlib.sha256(text.encode()).hexdigest()
    optimizer = _optimizer(settings)
    text_of = settings_text(network)
    if settings.precision not in (None, "f32"):  # the device's own, which no section names
        text_of["train.precision"] = str(settings.precision)
    if settings.start is not None:
        text_of["train.start"] = settings.start.text
    elif before is not None and "train.start" in before.settings:
        text_of["train.start"] = before.settings["train.start"]
    return Run(settings.seed, settings.batch, samples, digest, optimizer, text_of)


def check_resume(
    checkpoint: Checkpoint,
    now: Run,
    model: Model,
    epochs: int,
    shapes: Mapping[str, tuple[int, ...]],
    sums: Mapping[str, int],
) -> dict[str, tuple[str | None, str | None]]:
    """Raise NetError when a run cannot go on from a checkpoint; returns the settings that differ, old and new.

    `model` is the network that is to go on, to so many epochs, `shapes` has the shape of every array of the
    checkpoint by name, `sums` the size of each sum of an epoch.  Epochs, learning rate and schedule may differ,
    because users change them on purpose.
    """
    then = checkpoint.run
    _check_same_network(checkpoint.model, model)
    for name, old, new in (("seed", then.seed, now.seed), ("batch", then.batch, now.batch)):
        if old != new:
            raise _differs(f"was trained with {name} = {old}, not {new}", f"--set train.{name}={old}")
    names = sorted(then.settings.keys() | now.settings.keys())
    changed = {name: (then.settings.get(name), now.settings.get(name)) for name in names}
    changed = {name: (old, new) for name, (old, new) in changed.items() if old != new}
    if then.optimizer != now.optimizer:
        raise _differs(f"was trained with {then.optimizer}, not {now.optimizer}")
    for name, (was, given) in changed.items():
        staged = name == "train.stages" and then.objective != now.objective
        if staged or (name.startswith("data.") and name != "data.test"):
            raise _differs(f"was trained with {name} = {was or 'its default'}, not {given or 'its default'}")
    if then.samples != now.samples:
        raise _differs(f"was trained on {counted(then.samples, 'sample')}; now there are {now.samples}")
    was, given = changed.get("train.start", (None, None))
    if was is not None and given is None:
        del changed["train.start"]  # it is the run's own all the same, and nobody asks for another
    elif given is not None:
        raise _differs(f"was started from {was or 'the initialisers'}, not from {given}")
    check_arrays(checkpoint.arrays, shapes, "the checkpoint")
    if then.objective != now.objective:
        raise _differs("was trained with another loss or list of metrics")
    found = {name: len(parts) for name, parts in checkpoint.progress.sums.items()}
    if found != (sums if checkpoint.progress.batch else {}):
        raise _differs("adds up other numbers within an epoch than its loss and metrics do")
    done = checkpoint.progress.epoch
    if done > epochs:
        fix = f"--set train.epochs={done + 1} goes on; netdsl eval and netdsl run take it as it is"
        raise _differs(f"has {counted(done, 'epoch')} behind it, and there are to be {epochs}", fix)
    was, given = (word or "f32" for word in changed.get("train.precision", (None, None)))
    if was != given:  # which is easily forgotten, and nothing else shows
        text = f"{LAST} was trained with precision = {was}, the run goes on with {given}"
        warn(Diagnostic("checkpoint", text, fix=f"--precision {was} goes on as it was"))
    return changed


def _check_same_network(then: Model, now: Model) -> None:
    """Raise NetError that says what differs, where a checkpoint is of another network, whatever the batch."""
    if then.graph == now.graph:
        return
    graphs = [parse_graph(model.graph, OPS, f"graph of {model.name}") for model in (then, now)]
    with suppress(ShapeError):  # not every network takes a single sample
        graphs = [with_batch(graph, 1) for graph in graphs]
    old, new = ({node.id: node for node in graph} for graph in graphs)
    lost, added = ([n for n in one if n not in two] for one, two in ((old, new), (new, old)))
    other = [n for n in old if n in new and format_node(old[n]) != format_node(new[n])]
    if not (lost or added or other) and graphs[0].outputs == graphs[1].outputs:
        return
    if lost or added:
        parts = [("has", old, lost), ("lacks", new, added)]
        what = "it " + " and ".join(f"{verb} {_layer(_first(in_, ids))}" for verb, in_, ids in parts if ids)
    elif other:
        first = _first(old, other)
        what = f"{_layer(first)}, which here is {_kind(new[first.id])}"
    else:
        what = f"its outputs are {', '.join(graphs[0].outputs)}, not {', '.join(graphs[1].outputs)}"
    whose = f"another network, {then.name}" if then.name != now.name else f"another {now.name}"
    fix = "name the run of this network by --out, or start anew without --resume"
    raise _differs(f"is of {whose}: {what}", fix)


def _first(nodes: Mapping[str, Node], ids: Sequence[str]) -> Node:
    """The first layer of some nodes, else the first of them."""
    found = [nodes[n] for n in ids]
    return next((node for node in found if node.op.name not in _LEAVES), found[0])


def _layer(node: Node) -> str:
    return f"{node.id} ({_kind(node)})"


def _kind(node: Node) -> str:
    """`conv{filters=16}`, or of leaves, which are known by their names, the shape."""
    return str(list(node.types[0].shape)) if node.op.name in _LEAVES else str(node.op)


def _optimizer(settings: TrainSettings) -> str:
    """What the arrays of a checkpoint beside the weights are there for."""
    optimizer = settings.optimizer
    if not isinstance(optimizer, Optimizer):
        return name_in(FULL_BATCH, optimizer)
    name = name_in(OPTIMIZERS, optimizer)
    slots = optimizer.used_slots()
    text = f"{name} (which keeps {', '.join(slots)})" if slots else f"{name} without momentum"
    if settings.accumulate > 1:
        text += f", accumulate = {settings.accumulate}"
    return text if settings.average is None else f"{text}, average = {name_in(AVERAGES, settings.average)}"


def _differs(what: str, fix: str | None = None) -> NetError:
    fix = fix or "use the same settings, or start anew without --resume"
    return NetError(Diagnostic("checkpoint", f"the checkpoint {what}", fix=fix))
