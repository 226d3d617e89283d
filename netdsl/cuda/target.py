"""CUDA: one GPU, whose kernels are written by this package and compiled by `numba.cuda`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from netdsl.backend.lower import Lowered
from netdsl.backend.memory import Array, Send, Tensor
from netdsl.backend.step import Plan
from netdsl.backend.target import Executable, Kernels, Listing, Room, Spot, Target
from netdsl.compat import override
from netdsl.cuda import planners, views
from netdsl.cuda.ahead import Ahead, Results
from netdsl.cuda.card import Bound, BoundStep, Card
from netdsl.cuda.cards import count_cards, find_card
from netdsl.cuda.compiler import compile_ptx
from netdsl.cuda.limits import CudaLimits
from netdsl.cuda.link import Owners, bound, merged, works
from netdsl.cuda.many import AnyWork, LaunchWork
from netdsl.cuda.memory import CudaMemory
from netdsl.cuda.ranges import Ranges, need_ranges
from netdsl.cuda.step import CudaStep
from netdsl.ir import Node, Op
from netdsl.primitives.precision import Precision
from netdsl.schedule import Side, View
from netdsl.source import Diagnostic, NetError

TENSOR_CORES = (8, 0)
"""The compute capability of the oldest cards whose tensor cores take tf32 and bf16 (Ampere, 2020)."""


@dataclass(frozen=True)
class CudaTarget(Target[CudaStep]):
    """A GPU of this machine by its number, `index`, or as `cuda:1`; emulated where NETDSL_CUDA=emulated says so.

    With `nvtx` launches start one by one, each in a range that NVIDIA's profilers show by its name.
    What is tagged with the number of another card is on that one; the streams of all cards are one program.
    Errors: NetError where there is no such card, and where numba-cuda, or nvtx if it is wanted, is missing.
    """

    name: ClassVar[str] = "cuda"
    alignment: ClassVar[int] = 256

    index: int = 0
    nvtx: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.index, bool) or not isinstance(self.index, int) or self.index < 0:
            text = f"a card is chosen by a whole number from 0, not {self.index!r}"
            raise NetError(Diagnostic("device", text))
        if not isinstance(self.nvtx, bool):
            raise NetError(Diagnostic("device", f"nvtx is True or False, not {self.nvtx!r}"))
        if self.nvtx:
            need_ranges()
        find_card(self.index)  # its errors belong here, not into the first program
        super().__post_init__()

    @override
    def lacks(self, precision: Precision) -> str | None:
        if precision == "f32" or self.card.capability >= TENSOR_CORES:
            return None
        found, first = (".".join(map(str, c)) for c in (self.card.capability, TENSOR_CORES))
        return f"cards multiply in {precision} from compute capability {first} on, this one has {found}"

    @property
    @override
    def place(self) -> str:
        return f"{self.name}:{self.index}"

    @property
    @override
    def label(self) -> str:
        return f"{self.place} ({self.card.name})"

    @property
    @override
    def limits(self) -> CudaLimits:
        return CudaLimits(gpus=count_cards(), index=self.index)

    @override
    def on(self, gpu: int | None) -> CudaTarget:
        return self if gpu is None else replace(self, index=gpu)

    @property
    def card(self) -> Card:
        """The card."""
        return find_card(self.index)

    def plan(self, op: Op, operands: Sequence[View], results: Sequence[View], fixed: bool) -> Plan[CudaStep]:
        """The steps of a primitive; LookupError for one, or a case of one, without a kernel."""
        return planners.plan(op, operands, results)

    @override
    def accepts(self, node: Node, side: Side, index: int, view: View) -> bool:
        return views.accepts(node, side, index, view)

    def capacity(self) -> int:
        """Bytes of memory of the card."""
        return self.card.capacity()

    @override
    def room(self) -> Room:
        card = self.card
        return Room(card.capacity(), card.available(), self.label)

    @override
    def taken(self, sizes: Sequence[int]) -> int:
        return self.card.taken(sizes)

    def allocate(self, size: int) -> CudaMemory:
        """Zeroed memory."""
        return CudaMemory(self.card, size)

    def link(
        self, lowered: Lowered[CudaStep], where: Mapping[int, Spot], scratch: Sequence[Spot]
    ) -> Executable:
        """Compile and load the kernels, and give them their addresses."""
        cards = [self.on(gpu).card for gpu in lowered.gpus]
        return _Executable(cards, *works(lowered, where, scratch), self.nvtx)

    @override
    def sender(self) -> Send:
        return Ahead(self.card)

    @override
    def reader(self, results: Mapping[str, Tensor]) -> Callable[[], dict[str, Array]]:
        return Results(self.card, results)

    def facts(self) -> dict[str, Any]:
        """The card, its driver and the compilers."""
        return dict(self.card.facts())


class _Executable(Executable):
    """Steps of both phases; those of a run are recorded once and replayed, some of them as one."""

    def __init__(
        self,
        cards: Sequence[Card],
        prepare: Sequence[AnyWork],
        run: Sequence[AnyWork],
        owners: Owners,
        ranges: bool,
    ) -> None:
        before = [card.compiled for card in cards]
        self._card, self._works, self._owners, self._ranges = cards[0], run, owners, ranges
        launches, self._tables = merged(run, owners)
        self._prepare = self._bound(bound(prepare, owners), "prepare")
        self._run = self._bound(launches, "run")
        found = (w for w in (*prepare, *run) if isinstance(w, LaunchWork))
        self._sources = list({w.source.key: w.source for w in found}.values())
        self.count, self.launches = len(run), len(launches)
        self.kernels = Kernels(len(self._sources), [card.compiled for card in cards] == before)

    def _bound(self, launches: Sequence[BoundStep], name: str) -> Bound:
        """Steps ready to run: recorded, or in ranges of their names."""
        if self._ranges:
            return Ranges(self._card, launches, name)
        return self._card.bind(launches, replayed=name == "run")

    @cached_property
    def _steps(self) -> Bound:
        """The launches of a run one by one, for whoever wants to know what each takes."""
        return self._bound(bound(self._works, self._owners), "steps")

    def prepare(self) -> None:
        """Compute what depends on weights alone."""
        self._prepare.run()

    def run(self) -> None:
        """Run all steps once."""
        self._run.run()

    def run_step(self, number: int) -> None:
        """Run one step."""
        self._steps.run_one(number)

    def listing(self, form: Listing) -> str:
        """The source of the kernels, or their PTX."""
        if form == "ir":
            return "\n".join(source.text for source in self._sources)
        return "\n".join(compile_ptx(source, self._card.capability) for source in self._sources)


TARGET = CudaTarget
