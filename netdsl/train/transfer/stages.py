"""`stages = [stage(epochs = 3, train = "head"), ...]` and `snapshots = 5`: a training in stretches of epochs.

Each stretch follows its schedule from the beginning to the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netdsl.elaborate import shown
from netdsl.ir import Graph
from netdsl.primitives.leaf import learns
from netdsl.source import Diagnostic, NetError, brief
from netdsl.train.freeze import weights_named
from netdsl.train.make import check_rate, listed
from netdsl.train.schedules import Clock, RateSchedule


@dataclass(frozen=True)
class Stage:
    """Some epochs in which only `train` learns: layers, weights or patterns, "stage4, head"; by default everything.

    `lr` and `schedule` are those of the optimiser and of the training by default.  The optimiser begins anew.
    """

    epochs: int
    train: str | Sequence[str] | None = None
    lr: float | None = None
    schedule: RateSchedule | None = None

    def __post_init__(self) -> None:
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or not 1 <= self.epochs < 2**31:
            raise ValueError(f"epochs must be a whole number from 1, not {brief(shown(self.epochs))}")
        check_rate("lr", self.lr)
        if self.schedule is not None and not isinstance(self.schedule, RateSchedule):
            raise ValueError(f"schedule is a schedule such as cosine, not {brief(shown(self.schedule))}")
        _ = self.patterns

    @property
    def patterns(self) -> tuple[str, ...] | None:
        """The patterns of `train`."""
        return None if self.train is None else listed(self.train, "train")

    def frozen(self, graph: Graph) -> frozenset[str]:
        """The weights that do not learn in it, though the network lets them.

        Raises NetError for a name that fits no weight that learns.
        """
        if self.patterns is None:
            return frozenset()
        learning = {n.id for n in graph.leaves("param") if learns(n.op)}
        for name in self.patterns:
            if not weights_named(graph, [name]) & learning:
                raise NetError(
                    Diagnostic("setting", f"the weights of {name} are frozen by the net, and stay so")
                )
        return frozenset(learning - weights_named(graph, self.patterns))


STAGES: Mapping[str, type[Stage]] = {"stage": Stage}
"""What the list `train.stages` may hold."""


@dataclass(frozen=True)
class Stretch:
    """The epochs from `first` (from 0) on that follow one schedule, from the rate `lr` (None: the optimiser's).

    `number`, of `count`, is that of a stage or of a cycle that ends in a snapshot.
    """

    first: int
    epochs: int
    schedule: RateSchedule
    number: int = 1
    count: int = 1
    lr: float | None = None
    stage: Stage | None = None

    def clock(self, whole: Clock) -> Clock:
        """The place within the stretch."""
        return whole.part(self.first * whole.per_epoch, self.epochs * whole.per_epoch)


def in_stages(stages: Sequence[Stage], schedule: RateSchedule) -> tuple[Stretch, ...]:
    """The stretches of stages, in order."""
    first, found = 0, list[Stretch]()
    for number, s in enumerate(stages, 1):
        found.append(Stretch(first, s.epochs, s.schedule or schedule, number, len(stages), s.lr, s))
        first += s.epochs
    return tuple(found)


def in_cycles(epochs: int, count: int, schedule: RateSchedule) -> tuple[Stretch, ...]:
    """Cycles of equal length, each with the whole schedule."""
    each = epochs // count
    return tuple(Stretch(k * each, each, schedule, k + 1, count) for k in range(count))


def never_trained(stages: Sequence[Stage], graph: Graph) -> frozenset[str]:
    """The weights that no stage trains: the network may as well have them frozen."""
    sets = [stage.frozen(graph) for stage in stages]
    return frozenset.intersection(*sets) if sets else frozenset()
