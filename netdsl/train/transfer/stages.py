"""`stages = [stage(epochs = 3, train = "head"), ...]`: a training of which each part lets other weights learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netdsl.elaborate import shown
from netdsl.ir import Graph
from netdsl.primitives.leaf import learns
from netdsl.source import Diagnostic, NetError, brief
from netdsl.train.freeze import weights_named
from netdsl.train.make import check_rate, listed
from netdsl.train.schedules import RateSchedule


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


def never_trained(stages: Sequence[Stage], graph: Graph) -> frozenset[str]:
    """The weights that no stage trains: the network may as well have them frozen."""
    sets = [stage.frozen(graph) for stage in stages]
    return frozenset.intersection(*sets) if sets else frozenset()
