"""The sections `data`, `train` and `eval` together: every command checks them here.

`netdsl check` reports the same mistakes as `netdsl train`, without reading a data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.data.dataset import Split
from netdsl.data.plan import DataPlan
from netdsl.data.usage import Usage
from netdsl.elaborate import Network
from netdsl.ir import Graph, Node, Value
from netdsl.ops.batch_size import FULL_BATCH, LAST_BATCH, check_batch_size
from netdsl.primitives.leaf import learns
from netdsl.source import Diagnostic, Mistakes, NetError, Note, Span, placed, suggest
from netdsl.train.data_settings import data_plan
from netdsl.train.doubts import doubts
from netdsl.train.freeze import frozen
from netdsl.train.inputs import network_inputs
from netdsl.train.labels import fit_labels
from netdsl.train.misspelt import check_targets
from netdsl.train.settings import LARGEST, TrainSettings, train_settings

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from netdsl.train.transfer.start import Start


Data = DataPlan | Split | Mapping[str, "ArrayLike"] | None
"""What a network may be trained on: a data section, a training set alone or its arrays by name; None: its own."""


@dataclass(frozen=True)
class Sections:
    """What the sections ask for, found to fit each other, the network and the data.

    `network` takes labels in the form that the data has; no batch of `settings` is larger than the training set;
    `data` is None where the file names none; `warnings` are
    what is probably not meant.
    """

    network: Network
    settings: TrainSettings
    data: DataPlan | None
    warnings: tuple[Diagnostic, ...]


def check_sections(network: Network) -> tuple[Diagnostic, ...]:
    """Every mistake that keeps a file from being trained, as NetError; returns warnings.

    A file need not say how to train, nor on what.
    """
    if network.objective is not None or network.train:
        sections = training_sections(network)
        start_of(sections.network, sections.settings)
        missing = () if sections.data is None else sections.data.missing()
        return (*sections.warnings, *missing)
    if network.data:
        plan = data_plan(network, 0)
        plan.check(batch=1)
        return plan.missing()
    return ()


def training_sections(network: Network, data: Data = None) -> Sections:
    """The sections of a network to train, on its own data or on `data`; raises NetError with every mistake."""
    problems = Mistakes()
    settings = None
    plan = data if isinstance(data, DataPlan) else None
    with problems.at():
        settings = train_settings(network)
    if plan is None:
        seed = 0 if settings is None else settings.seed
        with problems.at():
            if data is not None:
                plan = DataPlan({"train": _named(data)}, seed=seed)
            elif network.data:
                plan = data_plan(network, seed)
    with problems.at():
        _check_loss(network)
    problems.done()
    assert settings is not None
    network = _staged(network, settings)
    _check_cache(network, settings)
    if settings.full_batch is not None:
        from netdsl.train.full_batch.check import check_network

        check_network(settings.full_batch, network)
    if plan is None:
        check_targets(network, ())
    else:
        _check_watched(network, settings, plan)
        if settings.batch == LARGEST and "train" in plan.splits:
            settings = replace(settings, batch=plan.outline("train").count)
        network = _fitted(network, settings, plan)
        if "train" in plan.splits:
            settings = replace(settings, batch=min(settings.batch, plan.outline("train").count))
    _check_batches(network, settings, plan)
    found = () if plan is None else plan.doubts(network_inputs(network).feeds)
    return Sections(network, settings, plan, (*doubts(network, settings), *found))


def _named(data: object) -> object:
    """Training data from Python; raises NetError for arrays without names."""
    if isinstance(data, Split | Mapping | str) or hasattr(data, "load"):
        return data
    message = f"data is a {type(data).__name__}; it takes arrays by name, a Split or a DataPlan"
    raise NetError(Diagnostic("data", message, fix='data={"image": images, "label": labels}'))


def _staged(network: Network, settings: TrainSettings) -> Network:
    """The network in which what no stage trains is frozen; raises NetError for stages that train nothing."""
    if not settings.stages:
        return network
    from netdsl.train.transfer.stages import never_trained

    assert network.objective is not None
    problems = Mistakes()
    for number, stage in enumerate(settings.stages):
        with problems.at(network.train["stages"].place(number)):
            stage.frozen(network.objective)
    problems.done()
    never = never_trained(settings.stages, network.objective)
    return replace(network, objective=frozen(network.objective, never))


def _check_cache(network: Network, settings: TrainSettings) -> None:
    """Raise NetError where no sample is the same in two epochs, or no part of the net."""
    if not settings.cache_features:
        return
    from netdsl.train.transfer.trunk import trunk_values

    assert network.objective is not None
    place, inputs = network.train["cache_features"].span, {n.id for n in network.graph.leaves("input")}
    if "augment" in network.data and network.data["augment"].value:
        message = "cache_features computes a sample once, and augment makes another one of it in each epoch"
        notes = (Note("augment is set here", network.data["augment"].span),)
        raise NetError(Diagnostic("setting", message, place, notes=notes, fix="leave one of the two out"))
    stages = [s.stage.frozen(network.objective) for s in settings.stretches if s.stage is not None]
    if not any(
        trunk_values(frozen(network.objective, names), inputs) for names in stages or [frozenset[str]()]
    ):
        message = "there is nothing to compute once: no frozen layers come before the first one that learns"
        fix = 'stages = [stage(epochs = 5, train = "head")], or @freeze behind the layers'
        raise NetError(Diagnostic("setting", message, place, fix=fix))


def _check_watched(network: Network, settings: TrainSettings, data: DataPlan) -> None:
    """Raise NetError where nothing can tell when to stop, or to lower the rate."""
    assert network.evaluation is not None
    watched = [] if settings.stop is None else [("stop", settings.stop.metric)]
    schedule = "schedule" if "schedule" in network.train else "stages"
    watched += [(schedule, name) for s in settings.stretches for name in s.schedule.watched]
    if not watched:
        return
    from netdsl.train.measures import Measures

    values = Measures(network.evaluation).signs
    for setting, name in watched:
        place = network.train[setting].span
        if not data.has_validation:
            message = f"{setting} watches the validation set, and there is none"
            raise NetError(Diagnostic("data", message, place, fix="set data.validation, for example to 0.1"))
        if name is not None and name not in values:
            near = suggest(name, values)
            fix = f"did you mean {near}?" if near else f"there are {', '.join(values)}"
            message = f"{setting} watches {name}, which is no value of the validation set"
            raise NetError(Diagnostic("setting", message, place, fix=fix))


def start_of(network: Network, settings: TrainSettings, place: Span | None = None) -> Start | None:
    """The weights to start from; raises NetError where they do not fit the network.

    `place` is where the file is named, if not by the setting.
    """
    if settings.start is None:
        return None
    from netdsl.train.transfer.start import find_start

    assert network.objective is not None
    if place is None and "start" in network.train:
        place = network.train["start"].span
    with placed(place):
        return find_start(settings.start, Path(network.source.name).parent, network.objective)


def evaluation_sections(network: Network, split: str, seed: int, given: Usage | None) -> Sections:
    """The sections of a network to evaluate on a split, prepared as in a training; raises NetError."""
    problems = Mistakes()
    with problems.at():
        settings = train_settings(network)
    with problems.at():
        data = data_plan(network, seed, given)
    problems.done()
    if split != "test":
        need_fold(data)
    place = data.place(split)
    network = fit_labels(network, data.outline(split, network_inputs(network).feeds), split, place)
    inputs = network_inputs(network)
    inputs.check(data.outline(split, inputs.feeds), split, place)
    return Sections(network, settings, data, ())


def _fitted(network: Network, settings: TrainSettings, data: DataPlan) -> Network:
    """The network for the labels of the training set; raises NetError for sets that do not fit it."""
    problems = Mistakes()
    feeds = network_inputs(network).feeds
    with problems.at():
        data.check(settings.batch, feeds)
    if data.mixture is not None:
        problems.done()
        _check_mixture(network, data)
    with problems.at():
        network = fit_labels(network, data.outline("train", feeds), "train", data.place("train"))
    problems.done()
    check_targets(network, data.outline("train").arrays)
    if data.balanced:
        from netdsl.train.class_weights import check_class_weights

        check_class_weights(network, data)
    inputs = network_inputs(network)
    sets = [(split, data.outline(split, inputs.feeds), data.place(split)) for split in data.splits]
    inputs.check_all(sets)
    return network


def _check_mixture(network: Network, data: DataPlan) -> None:
    """Raise NetError for class numbers that are wrong before they become shares, and for what takes no shares."""
    inputs, objective = network_inputs(network), network.objective
    assert objective is not None
    sets = [(split, data.stored_outline(split, inputs.feeds), data.place(split)) for split in data.splits]
    inputs.check_all(sets)
    for target in inputs.targets:
        for node, _ in objective.users(Value(target.name)):
            if target.classes is not None and node.op.name == "one_hot":
                message = f"one_hot takes class numbers, and {data.mixture} makes shares of the classes {target.name}"
                fix = "cross_entropy compares with shares"
                raise NetError(Diagnostic("loss", message, node.span, fix=fix))


def _check_loss(network: Network) -> None:
    """Raise NetError for a loss that reaches the weights through a metric alone."""
    if network.objective is None:
        return
    node = _without_gradient(network.objective)
    if node is not None:
        message = f"{node.op.name} is no loss: it has no gradient, and nothing would be learnt"
        raise NetError(Diagnostic("loss", message, node.span, fix="cross_entropy and mse are losses"))


def _without_gradient(objective: Graph) -> Node | None:
    """The metric that keeps the loss from every weight that learns; None where one is reached, or there is none."""
    waiting, seen, found = [objective[objective.outputs["loss"].node]], set[str](), None
    while waiting:
        node = waiting.pop()
        if learns(node.op):
            return None
        if not getattr(node.op, "has_gradient", True):
            found = found or node
            continue
        new = {value.node for value in node.inputs} - seen
        seen |= new
        waiting += map(objective.__getitem__, sorted(new))
    return found


def _check_batches(network: Network, settings: TrainSettings, data: DataPlan | None) -> None:
    """Raise NetError where a layer cannot be trained on a batch, or on the last, smaller one of an epoch."""
    assert network.objective is not None
    if settings.full_batch is not None:
        from netdsl.train.full_batch.check import check_pieces

        check_pieces(settings.full_batch, network.objective, settings.batch)
        return
    check_batch_size(network.objective, settings.batch, FULL_BATCH)
    if data is not None and "train" in data.splits:
        last = data.last_batch(settings.batch)
        if last != settings.batch:
            check_batch_size(network.objective, last, LAST_BATCH)


def need_fold(data: DataPlan | None) -> None:
    """Raise NetError for data in folds of which none is chosen."""
    if data is not None and data.shares.folds is not None and data.shares.fold is None:
        message = f"the data is in {data.shares.folds} folds, and a training takes one of them for validation"
        fix = "netdsl train and netdsl.cross_validate train for each; data.fold = 1 chooses one"
        raise NetError(Diagnostic("data", message, data.place("folds"), fix=fix))
