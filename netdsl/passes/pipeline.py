"""The pipelines: which passes run, in which order, and what happens between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from netdsl.ir import Graph, Interpreted, verify
from netdsl.passes import check
from netdsl.passes.base import Pass
from netdsl.passes.common_subexpressions import CommonSubexpressions
from netdsl.passes.constant_folding import ConstantFolding
from netdsl.passes.dead_code import DeadCode
from netdsl.passes.drop_aux import DropAux
from netdsl.passes.fold_batch_norm import FoldBatchNorm
from netdsl.passes.fuse_epilogue import FuseEpilogue
from netdsl.passes.fuse_maps import FuseMaps
from netdsl.passes.limits import PLAIN, Computer, Limits
from netdsl.passes.log import Log, Timing
from netdsl.passes.merge_maps import MergeMaps
from netdsl.passes.multiply_in import MultiplyIn
from netdsl.passes.place_on_gpus import PlaceOnGpus
from netdsl.passes.simplify import Simplify
from netdsl.passes.sink_reshapes import SinkReshapes
from netdsl.process import no_collection
from netdsl.source import Diagnostic, NetError, suggest

PASSES: tuple[type[Pass], ...] = (
    MultiplyIn,
    DropAux,
    DeadCode,
    PlaceOnGpus,
    ConstantFolding,
    Simplify,
    CommonSubexpressions,
    FoldBatchNorm,
    SinkReshapes,
    FuseEpilogue,
    FuseMaps,
    MergeMaps,
)
"""All passes, in the order in which they first run."""


@dataclass
class Hooks:
    """What happens between passes; every graph is verified in any case.

    `print_after` names passes whose result `write` gets as text; `check` compares what the graph computes
    before and after each pass on random numbers drawn with `seed` (slow: for small graphs); `log` collects
    events and times.
    """

    log: Log = field(default_factory=Log)
    print_after: tuple[str, ...] = ()
    write: Callable[[str], object] = print
    check: bool = False
    seed: int = 0


@dataclass(frozen=True)
class FixedPoint:
    """Passes that run in turn until none of them changes the graph, at most `limit` times."""

    passes: tuple[Pass, ...]
    limit: int = 10


@dataclass(frozen=True)
class Pipeline:
    """Passes in order."""

    stages: tuple[Pass | FixedPoint, ...]

    def __iter__(self) -> Iterator[Pass]:
        """The passes, those that repeat once."""
        for stage in self.stages:
            yield from stage.passes if isinstance(stage, FixedPoint) else (stage,)

    def without(self, names: Iterable[str]) -> Pipeline:
        """The pipeline with the named passes left out; raises NetError for a name that is no pass."""
        skip = set(known(names))
        stages: list[Pass | FixedPoint] = []
        for stage in self.stages:
            if isinstance(stage, FixedPoint):
                stages.append(FixedPoint(tuple(p for p in stage.passes if p.name not in skip), stage.limit))
            elif stage.name not in skip:
                stages.append(stage)
        return Pipeline(tuple(stages))

    @no_collection()
    def run(self, graph: Graph, hooks: Hooks | None = None) -> Graph:
        """The graph after all passes.

        Raises NetError for an unknown name in `hooks.print_after`; VerifyError and PassError for a faulty pass.
        """
        between = _Between(graph, hooks or Hooks())
        for stage in self.stages:
            if isinstance(stage, FixedPoint):
                graph = _repeat(stage, graph, between)
            else:
                graph = between.run(stage, graph)
        return graph


def inference(device: Computer = PLAIN) -> Pipeline:
    """For programs that only predict: weights are fixed, auxiliary heads go, batch norms fold into kernels.

    `device` is the one that will run them.
    """
    first = (MultiplyIn(device.precision), DropAux(), DeadCode(), PlaceOnGpus(device.limits))
    return Pipeline((*first, _clean(), FoldBatchNorm(), _clean(), *_fuse(device.limits)))


def training(device: Computer = PLAIN) -> Pipeline:
    """For programs that learn: a graph with gradients and updates; what is frozen folds as in inference."""
    first = (MultiplyIn(device.precision), DeadCode(), PlaceOnGpus(device.limits))
    return Pipeline((*first, _clean(), FoldBatchNorm(), _clean(), *_fuse(device.limits)))


def _clean() -> FixedPoint:
    return FixedPoint((ConstantFolding(), Simplify(), CommonSubexpressions()))


def _fuse(limits: Limits) -> tuple[Pass | FixedPoint, ...]:
    """Epilogues first: a map that joins a contraction is worth more than one that joins another map."""
    fusion = FixedPoint((SinkReshapes(limits), FuseEpilogue(limits), FuseMaps(limits=limits), Simplify()))
    return (fusion, MergeMaps(limits=limits), DeadCode())


def known(names: Iterable[str]) -> tuple[str, ...]:
    """Check names of passes; raises NetError with a suggestion for an unknown one."""
    passes = [p.name for p in PASSES]
    given = tuple(names)
    wrong = [name for name in given if name not in passes]
    if wrong:
        raise NetError(*(_unknown(name, passes) for name in wrong))
    return given


def _unknown(name: str, passes: list[str]) -> Diagnostic:
    near = suggest(name, passes)
    fix = f"did you mean {near}?" if near else f"the passes are {', '.join(passes)}"
    return Diagnostic("pass", f"no pass is called {name}", fix=fix)


def _repeat(stage: FixedPoint, graph: Graph, between: _Between) -> Graph:
    unchanged = 0
    for _ in range(stage.limit):
        for p in stage.passes:
            new = between.run(p, graph)
            unchanged = unchanged + 1 if new is graph else 0
            graph = new
            if unchanged == len(stage.passes):
                return graph
    return graph


class _Between:
    """Runs one pass after the other, with the hooks."""

    def __init__(self, graph: Graph, hooks: Hooks) -> None:
        self.hooks = hooks
        known(hooks.print_after)
        verify(graph)
        self.feeds = check.random_feeds(graph, hooks.seed) if hooks.check else {}
        self.computed: Interpreted | None = check.run(graph, self.feeds) if hooks.check else None

    def run(self, p: Pass, graph: Graph) -> Graph:
        """The graph after a pass: timed, verified, compared, printed."""
        log = self.hooks.log
        log.begin(p.name)
        start = time.perf_counter()
        new = p.run(graph, log)
        log.timings.append(Timing(p.name, time.perf_counter() - start, len(graph), len(new)))
        if new is not graph:
            verify(new, known=graph)
            self._compare(p, new)
        if p.name in self.hooks.print_after:
            self.hooks.write(f"# after {p.name}\n{new}")
        return new

    def _compare(self, p: Pass, graph: Graph) -> None:
        if self.computed is not None:
            after = check.run(graph, self.feeds)
            if p.keeps_values:
                check.compare(p.name, self.computed, after)
            self.computed = after
