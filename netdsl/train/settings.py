"""The settings of `train { }`, with their types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

from netdsl.elaborate import Network, SectionSetting, shown
from netdsl.primitives.precision import PRECISIONS, Precision, wrong_precision
from netdsl.source import Diagnostic, Mistakes, NetError, Note, brief, counted
from netdsl.train.calls import each_named
from netdsl.train.freeze import weights_named
from netdsl.train.full_batch.names import FULL_BATCH
from netdsl.train.make import FLOAT32_MIN, check_number, make, name_in, place_of
from netdsl.train.optimizers import OPTIMIZERS, Optimizer
from netdsl.train.recipe import Recipe
from netdsl.train.schedules import SCHEDULES, RateSchedule
from netdsl.train.tables import AVERAGES, CONSTRAINTS, GROUPS, STAGES, STARTS, STOPS
from netdsl.train.transfer.stretch import Stretch, in_cycles, in_stages

if TYPE_CHECKING:
    from netdsl.train.average import Average
    from netdsl.train.constraints import Constraint
    from netdsl.train.full_batch.method import FullBatch
    from netdsl.train.group import Group
    from netdsl.train.transfer.stages import Stage
    from netdsl.train.transfer.start import Load
    from netdsl.train.transfer.stop import Patience

T = TypeVar("T")
LARGEST = 2**31 - 1
"""What counts may be; as a batch it has the whole training set."""


@dataclass(frozen=True)
class TrainSettings:
    """How to train: see docs/training.md for each.

    `evaluation_batch` is `batch` of the section `eval`, else that of `train`; `checkpoint_seconds` the time
    after which a checkpoint is written within an epoch.  `precision` is what contractions multiply in, where it is
    not that of the device.
    """

    optimizer: Optimizer | FullBatch = field(default_factory=lambda: OPTIMIZERS["sgd"]())
    schedule: RateSchedule = field(default_factory=lambda: SCHEDULES["constant"]())
    epochs: int = 10
    batch: int = 32
    evaluation_batch: int = 32
    seed: int = 0
    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: int = 1
    groups: tuple[Group, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    average: Average | None = None
    checkpoint_seconds: float = 30.0
    precision: Precision | None = None
    start: Load | None = None
    stages: tuple[Stage, ...] = ()
    snapshots: int = 0
    stop: Patience | None = None
    cache_features: bool = False

    @cached_property
    def stretches(self) -> tuple[Stretch, ...]:
        """The parts of the training that follow a schedule from its beginning to its end; one, as a rule."""
        if self.stages:
            return in_stages(self.stages, self.schedule)
        return in_cycles(self.epochs, max(1, self.snapshots), self.schedule)

    def stretch(self, epoch: int) -> Stretch:
        """The one of an epoch, from 0; the last one goes on."""
        return [s for s in self.stretches if s.first <= max(epoch, 0)][-1]

    @property
    def full_batch(self) -> FullBatch | None:
        """The method that takes the whole training set for a step; None where the optimiser takes one gradient."""
        return None if isinstance(self.optimizer, Optimizer) else self.optimizer

    @property
    def recipe(self) -> Recipe:
        """How gradients become new weights; raises TypeError for full-batch methods, which have none."""
        if self.full_batch is not None:
            raise TypeError("a full-batch method has no recipe")
        return Recipe(**{f.name: getattr(self, f.name) for f in fields(Recipe)})


def train_settings(network: Network) -> TrainSettings:
    """The sections `train` and `eval` of a network; raises NetError with every value that makes no sense."""
    given = {name: setting for name, setting in network.train.items() if setting.value is not None}
    if network.objective is None:
        message = "the file does not say how to train: it has no train section with a loss"
        raise NetError(Diagnostic("setting", message, fix="train { loss = cross_entropy(logits, label) }"))
    problems = Mistakes()
    values: dict[str, Any] = {}
    for name, read in _READERS.items():
        if name in given:
            with problems.at(given[name].span):
                values[name] = read(name, given[name])
    values["evaluation_batch"] = values.get("batch", TrainSettings.batch)
    evaluated = network.eval.get("batch")
    if evaluated is not None and evaluated.value is not None:
        with problems.at(evaluated.span):
            values["evaluation_batch"] = _integer("batch", evaluated)
    with problems.at():
        _check_lengths(values, given)
    problems.done()
    settings = TrainSettings(**values)
    if not isinstance(settings.optimizer, Optimizer):
        from netdsl.train.full_batch.check import check_settings

        check_settings(settings.optimizer, given)
        return settings if "batch" in given else _whole(settings, settings.optimizer.piece, network)
    for name, pattern in settings.recipe.patterns():
        with problems.at(given[name].span):
            weights_named(network.objective, (pattern,))
    problems.done()
    settings = _with_momentum(settings, settings.optimizer, given)
    _check_schedule(settings, given)
    return settings


def _whole(settings: TrainSettings, piece: int, network: Network) -> TrainSettings:
    """With the whole training set as a batch; it is evaluated in the pieces in which it is trained on."""
    evaluated = network.eval.get("batch")
    own = evaluated is not None and evaluated.value is not None
    evaluation = settings.evaluation_batch if own else piece
    return replace(settings, batch=LARGEST, evaluation_batch=evaluation)


def _check_lengths(values: dict[str, Any], given: Mapping[str, SectionSetting]) -> None:
    """Take the number of epochs from the stages; raises NetError where settings of the length contradict."""
    if stages := values.get("stages"):
        total = sum(stage.epochs for stage in stages)
        if values.setdefault("epochs", total) != total:
            message = f"the stages have {counted(total, 'epoch')} in all, not {values['epochs']}"
            raise NetError(
                Diagnostic(
                    "setting",
                    message,
                    given["epochs"].span,
                    fix=f"leave epochs out, or --set train.epochs={total}",
                )
            )
    snapshots, epochs = values.get("snapshots", 0), values.get("epochs", TrainSettings.epochs)
    if snapshots and stages:
        message = "snapshots end cycles of one training; with stages there are several"
        raise NetError(Diagnostic("setting", message, given["snapshots"].span))
    if snapshots and epochs % snapshots:
        message = f"{counted(epochs, 'epoch')} cannot be cut into {snapshots} equal cycles"
        low = max(1, epochs // snapshots) * snapshots
        fix = f"epochs = {low} or {low + snapshots}"
        raise NetError(Diagnostic("setting", message, given["snapshots"].span, fix=fix))


def _with_momentum(
    settings: TrainSettings, optimizer: Optimizer, given: Mapping[str, SectionSetting]
) -> TrainSettings:
    found = [stretch.schedule.highest_momentum for stretch in settings.stretches]
    momenta = [momentum for momentum in found if momentum is not None]
    try:
        return replace(settings, optimizer=optimizer.with_momentum(max(momenta))) if momenta else settings
    except ValueError as error:
        message, place = f"{name_in(OPTIMIZERS, optimizer)} {error}", given.get("schedule") or given["stages"]
        raise NetError(Diagnostic("setting", message, place.span)) from None


def _check_schedule(settings: TrainSettings, given: Mapping[str, SectionSetting]) -> None:
    """Raise NetError where a schedule does not fit the optimiser or the length of the training, stage or cycle."""
    for stretch in settings.stretches:
        try:
            stretch.schedule.check(stretch.lr or settings.optimizer.lr, stretch.epochs)
        except ValueError as error:
            raise _misfit(str(error), stretch, given) from None


def _misfit(message: str, stretch: Stretch, given: Mapping[str, SectionSetting]) -> NetError:
    if stretch.stage is not None:
        return NetError(Diagnostic("setting", message, given["stages"].place(stretch.number - 1)))
    setting = given["schedule"]
    place = place_of(message, setting.value, type(stretch.schedule)) or setting.span
    other = "epochs" if "epochs" in message else "optimizer"
    notes = (Note(f"{other} is set here", given[other].span),) if other in given else ()
    return NetError(Diagnostic("setting", message, place, notes=notes))


def settings_text(network: Network) -> dict[str, str]:
    """Every setting of `data`, `train` and `eval` by its full name, such as `train.batch`, as text."""
    sections = {"data": network.data, "train": network.train, "eval": network.eval}
    return {
        f"{name}.{key}": shown(s.value)
        for name, found in sections.items()
        for key, s in found.items()
        if s.value is not None  # as if it were not there
    }


def _chosen(known: Mapping[str, type], name: str, setting: SectionSetting) -> Any:
    made = make(setting.value, known, name, setting.span)
    if made is setting.value and not isinstance(made, tuple(known.values())):
        raise _wrong(name, setting, f"is one of {', '.join(known)}")
    return made


def _schedule(name: str, setting: SectionSetting) -> RateSchedule:
    """A schedule, or a list of them, one after the other."""
    if not isinstance(setting.value, (list, tuple)):
        found: RateSchedule = _chosen(SCHEDULES, name, setting)
        return found
    pieces = _several(SCHEDULES, "schedule", name, setting)
    if len(pieces) < 2:
        raise _wrong(name, setting, "is a schedule, or a list of two or more")
    from netdsl.train.schedules import Pieces

    return Pieces(pieces)


def _several(known: Mapping[str, type], what: str, name: str, setting: SectionSetting) -> tuple[Any, ...]:
    """What the calls of a list make."""

    def check(values: object) -> tuple[Any, ...]:
        (value,) = values if isinstance(values, list) else [values]
        if not isinstance(value, tuple(known.values())):
            raise _wrong(name, setting, f"is a list of {', '.join(known)}")
        return (value,)

    return each_named(setting, known, what, check)


def _integer(name: str, setting: SectionSetting, low: int = 1) -> int:
    value = setting.value
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value < 2**31:
        limit = " to 2**31 - 1" if isinstance(value, int) and value >= 2**31 else ""
        raise _wrong(name, setting, f"must be a whole number from {low}{limit}")
    return value


def _positive(name: str, setting: SectionSetting) -> float:
    return _at(setting, lambda: check_number(name, setting.value, FLOAT32_MIN))


def _start(name: str, setting: SectionSetting) -> Load:
    value = setting.value
    load: type[Load] = STARTS["load"]
    if isinstance(value, str):
        return _at(setting, lambda: load(value))
    made = make(
        value, STARTS, "way to start", setting.span, lambda name: f'a file stands in quotes: "{name}"'
    )
    if not isinstance(made, load):
        raise _wrong(name, setting, 'is a file, "best.safetensors", or load("best.safetensors", ...)')
    return made


def _stages(name: str, setting: SectionSetting) -> tuple[Stage, ...]:
    stages: tuple[Any, ...] = each_named(setting, SCHEDULES | STAGES, "stage", _as_entries)
    if not stages or not all(isinstance(stage, STAGES["stage"]) for stage in stages):
        raise _wrong(
            name, setting, 'is a list such as [stage(epochs = 3, train = "head"), stage(epochs = 5)]'
        )
    return stages


def _flag(name: str, setting: SectionSetting) -> bool:
    if not isinstance(setting.value, bool):
        raise _wrong(name, setting, "is true or false")
    return setting.value


def _precision(name: str, setting: SectionSetting) -> Precision:
    text = setting.value if isinstance(setting.value, str) else shown(setting.value)
    found: Precision | None = next((p for p in PRECISIONS if p == text), None)
    if found is None:
        message, fix = wrong_precision(text)
        raise NetError(Diagnostic("setting", message, setting.span, fix=fix))
    return found


def _as_entries(values: Any) -> tuple[Any, ...]:
    return tuple(values)


def _stop(name: str, setting: SectionSetting) -> Patience:
    made = make(setting.value, STOPS, "way to stop", setting.span)
    if not isinstance(made, STOPS["patience"]):
        raise _wrong(name, setting, "is patience(EPOCHS) or patience(EPOCHS, METRIC)")
    return made


def _at(setting: SectionSetting, made: Callable[[], T]) -> T:
    """What is made of a setting, its error at the setting."""
    try:
        return made()
    except ValueError as error:
        raise NetError(Diagnostic("setting", str(error), setting.span)) from None


def _wrong(name: str, setting: SectionSetting, rule: str) -> NetError:
    value, fix = setting.value, None
    if isinstance(value, str) and value in OPTIMIZERS | SCHEDULES:
        fix = f"without quotes: {value}"
    elif isinstance(value, (list, tuple)) and len(value) == 1:
        fix = f"without brackets: {brief(shown(value[0]))}"
    return NetError(Diagnostic("setting", f"{name} {rule}, not {brief(shown(value))}", setting.span, fix=fix))


#: what reads each setting; one that is none is as if it were not there
_READERS: Mapping[str, Callable[[str, SectionSetting], Any]] = {
    "optimizer": partial(_chosen, OPTIMIZERS | FULL_BATCH),
    "schedule": _schedule,
    "epochs": _integer,
    "batch": _integer,
    "seed": partial(_integer, low=0),
    "clip_norm": _positive,
    "clip_value": _positive,
    "accumulate": _integer,
    "groups": partial(_several, GROUPS, "group"),
    "constraints": partial(_several, CONSTRAINTS, "constraint"),
    "average": partial(_chosen, AVERAGES),
    "checkpoint_seconds": _positive,
    "precision": _precision,
    "start": _start,
    "stages": _stages,
    "snapshots": _integer,
    "stop": _stop,
    "cache_features": _flag,
}
