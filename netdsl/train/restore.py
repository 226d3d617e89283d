"""Restore networks from checkpoints, to evaluate or to run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netdsl import passes
from netdsl.backend.registry import Device, find_target
from netdsl.backend.target import Target
from netdsl.data import DataPlan, Usage
from netdsl.elaborate import Network
from netdsl.ir import Graph, ShapeError
from netdsl.ir.parse import parse_graph
from netdsl.ops import OPS
from netdsl.ops.expand import expand
from netdsl.ops.rebatch import with_batch
from netdsl.runtime import Program
from netdsl.runtime.artifact import Model
from netdsl.runtime.container import Array, read_container
from netdsl.runtime.room import advising
from netdsl.source import Diagnostic, NetError, counted, warn
from netdsl.train.checkpoint import Run, check_arrays
from netdsl.train.evaluator import Evaluator
from netdsl.train.folds import folds_of, in_fold
from netdsl.train.sections import evaluation_sections
from netdsl.train.settings import settings_text, train_settings
from netdsl.train.transfer.ensemble import EnsembleEvaluator


@dataclass(frozen=True)
class _Member:
    """A checkpoint, or an artifact, which does not say how it was trained."""

    path: Path
    model: Model
    arrays: Mapping[str, Array]
    run: Run | None

    @property
    def usage(self) -> Usage | None:
        return None if self.model.usage is None else Usage.from_json(self.model.usage)


def evaluate_checkpoint(
    network_of: Callable[[int], Network], path: Path | Sequence[Path], split: str, device: Device = "cpu"
) -> dict[str, float]:
    """Loss and metrics of trained weights on a split; `network_of` elaborates for a batch size.

    Of several files it is the mean of their predictions that is evaluated; see `EnsembleEvaluator`.
    """
    return restore_models(network_of, path, split, device).evaluate()


@dataclass(frozen=True)
class Models:
    """A network with sets of weights, each with the data that they are evaluated on, prepared as in training."""

    network: Network
    members: Sequence[tuple[DataPlan, Mapping[str, Array]]]
    split: str
    batch: int
    target: Target[Any]

    def evaluate(self) -> dict[str, float]:
        """Loss and metrics on the split."""
        if len(self.members) > 1:
            return EnsembleEvaluator(self.network, self.members, self.batch, self.target).run(self.split)
        ((data, weights),) = self.members
        evaluator = Evaluator(self.network, data, self.batch, device=self.target)
        program = evaluator.program(self.batch)
        for name in program.weights:  # those of an output that no loss reads are not in it
            program.set(name, weights[name])
        return evaluator.run(self.split)


def restore_models(
    network_of: Callable[[int], Network], path: Path | Sequence[Path], split: str, device: Device = "cpu"
) -> Models:
    """The weights of one or several files, to evaluate; raises NetError where they do not fit."""
    members = [_member(p) for p in ([path] if isinstance(path, Path) else path)]
    network = _in_their_fold(network_of(1), members, split)
    plans: list[DataPlan] = []
    for member in members:
        _say_what_holds(member, network)
        seed = train_settings(network).seed if member.run is None else member.run.seed
        sections = evaluation_sections(network, split, seed, member.usage)
        assert sections.data is not None
        _say_what_was_seen(member, network, sections.data, split)
        plans.append(sections.data)
    _check_seeds(members, split, plans[0])
    network = sections.network
    weights = [weights_of(network.graph, m.arrays, str(m.path)) for m in members]
    pairs = list(zip(plans, weights, strict=True))
    return Models(network, pairs, split, sections.settings.evaluation_batch, find_target(device))


def _member(path: Path) -> _Member:
    file = read_container(path, "checkpoint", "artifact")
    run = file.record("run", Run) if file.kind == "checkpoint" else None
    return _Member(path, file.record("model", Model), file.arrays, run)


def _in_their_fold(network: Network, members: Sequence[_Member], split: str) -> Network:
    """The network with the fold that checkpoints had for validation, where the file names none.

    Errors: NetError where they had several, or others than the file.
    """
    told = [m.run.settings for m in members if m.run and "data.fold" in m.run.settings]
    folds = {settings["data.fold"] for settings in told}
    if split == "test" or not folds:
        return network
    if len(folds) > 1:
        message = (
            f"the checkpoints had other folds for validation, and so other parts of the data than {split}"
        )
        raise NetError(Diagnostic("checkpoint", message, fix="evaluate them one by one, or on the test set"))
    now = settings_text(network)
    if folds_of(network) is not None:
        now["data.fold"] = told[0]["data.fold"]
    place = network.data["fold"].span if "fold" in network.data else None
    for name in ("data.folds", "data.fold"):
        was, given = told[0].get(name), now.get(name, "none")
        if was != given:
            message = (
                f"the checkpoint was trained with {name} = {was}, not {given}: its {split} set is another"
            )
            raise NetError(Diagnostic("checkpoint", message, place, fix=f"--set {name}={was}"))
    return network if folds_of(network) is None else in_fold(network, int(now["data.fold"]))


def _check_seeds(members: Sequence[_Member], split: str, data: DataPlan) -> None:
    """Raise NetError where checkpoints had other samples for validation."""
    seeds = {member.run.seed for member in members if member.run is not None}
    if len(seeds) > 1 and split != "test" and "validation" not in data.sources and data.has_validation:
        message = (
            f"the checkpoints were trained with other seeds, and so on other parts of the data than {split}"
        )
        raise NetError(Diagnostic("checkpoint", message, fix="evaluate them on the test set"))


def _say_what_holds(member: _Member, network: Network) -> None:
    """Warn of settings of the file that the checkpoint's own replace."""
    if member.run is None:
        return
    then, now = member.run.settings, settings_text(network)
    for name in ("data.preprocess", "data.normalize"):
        was, given = then.get(name, "its default"), now.get(name, "its default")
        if was != given:
            message = f"the weights were trained with {name} = {was}: that holds, not {given}"
            warn(Diagnostic("setting", message, fix="train again to change it"))


def _say_what_was_seen(member: _Member, network: Network, data: DataPlan, split: str) -> None:
    """Warn where a share of the training set is another one than the checkpoint had for validation."""
    if member.run is None or split != "validation" or not data.shares.sets_aside:
        return
    then, now = member.run.settings, settings_text(network)
    for name in ("data.train", "data.subset", "data.validation", "data.folds"):
        was, given = then.get(name, "its default"), now.get(name, "its default")
        if was != given:
            message = (
                f"the weights were trained with {name} = {was}, not {given}: they may have seen these samples"
            )
            warn(Diagnostic("setting", message, fix="evaluate them with the settings of their training"))


def restore_graph(model: Model, path: Path) -> Graph:
    """The graph of ops that an artifact or checkpoint holds, checked; raises NetError with the place in its text."""
    graph = parse_graph(model.graph, OPS, f"graph of {path}")
    if own := [n.id for n in graph if "/" in n.id]:
        raise NetError(Diagnostic("graph", f"{own[0]} in {path} is a name that netdsl keeps for itself"))
    shapes = {n.types[0].shape for n in graph.leaves("input")}
    if () in shapes or len({shape[0] for shape in shapes}) > 1:
        raise NetError(Diagnostic("graph", f"the inputs of the network in {path} are not of one batch"))
    if not graph.outputs.keys() - graph.aux:
        raise NetError(Diagnostic("graph", f"the network in {path} has no output"))
    return graph


def inference_program(graph: Graph, batch: int, device: Device = "cpu") -> Program:
    """A program that predicts `batch` samples at a time; auxiliary heads go, and weights are zeros until set.

    Raises NetError where the network does not take so many samples.
    """
    target = find_target(device)

    def make(samples: int) -> Graph:
        return inference_graph(graph, samples, target)

    with advising(batch, make, target, "{} samples at a time fit"):
        return Program(make(batch), target)


def inference_graph(graph: Graph, batch: int, target: Target[Any]) -> Graph:
    """The primitives of that program; errors likewise."""
    try:
        primitives = expand(with_batch(graph, batch))
    except ShapeError as error:
        message = f"the network cannot take {counted(batch, 'sample')} at a time: {error.message}"
        raise NetError(Diagnostic("graph", message)) from None
    return passes.inference(target).run(primitives)


def restored_program(
    graph: Graph, arrays: Mapping[str, Array], batch: int, device: Device = "cpu"
) -> Program:
    """The inference program with the given weights.

    Raises NetError where some are missing or do not fit; see also `inference_program`.
    """
    weights = weights_of(graph, arrays, "the file")
    program = inference_program(graph, batch, device)
    for name in program.weights:
        program.set(name, weights[name])
    return program


def weights_of(graph: Graph, arrays: Mapping[str, Array], what: str) -> dict[str, Array]:
    """The weights and statistics of a graph among `arrays`, which may hold optimiser slots too; checked."""
    wanted = {n.id: n.types[0].shape for n in (*graph.leaves("param"), *graph.leaves("state"))}
    present = {name: array for name, array in arrays.items() if name in wanted}
    check_arrays(present, wanted, what)
    return present
