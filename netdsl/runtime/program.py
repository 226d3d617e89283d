"""A graph of primitives, compiled for a device, over memory of its own."""

from __future__ import annotations

import statistics
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from netdsl.backend.layout import Footprint, Layout, lay_out
from netdsl.backend.memory import Staged, Tensor
from netdsl.backend.registry import Device, find_target
from netdsl.backend.step import Step
from netdsl.backend.target import Executable, Spot, Times
from netdsl.ir import Graph, TensorType
from netdsl.process import no_collection
from netdsl.runtime.names import check_names, no_weight
from netdsl.runtime.profile import StepTime
from netdsl.runtime.room import Demand, room_for
from netdsl.runtime.workspace import Workspace
from netdsl.schedule import View

Array = NDArray[Any]


class Program:
    """Runs a primitive graph on a device: one by name, or a target with its options.

    `threads` is the option of the CPU, for short.  `share` is another program on the same device whose params and
    states this one uses, by leaf id, and its memory where that is large enough: an evaluation program sees what the
    training program learns (call `weights_changed` after it has).  Programs that share exclude each other's runs;
    others may run from different threads.

    It is made for this process; one that is forked between two runs may go on with its copy.

    Errors: NetError when the device is not there, or the memory or the threads are more than it has; LookupError for
    a primitive without a kernel; ValueError for a program to share with on another device.
    """

    _leaves: dict[str, Tensor]
    _workspace: Workspace

    @no_collection()
    def __init__(
        self,
        graph: Graph,
        device: Device = "cpu",
        share: Program | None = None,
        *,
        threads: int | None = None,
    ) -> None:
        self.graph = graph
        self.device = find_target(device, threads=threads)
        if share is not None and share.device.place != self.device.place:
            raise ValueError(f"a program on {self.device.place} cannot share memory on {share.device.place}")
        self.layout: Layout = lay_out(graph, self.device)
        self.footprint: Footprint = self.layout.footprint()
        self._inputs = self.inputs
        self._leaves, lent = self._shared(share)
        self._workspace = lent or Workspace({})
        with ExitStack() as stack:
            shared = frozenset(self._leaves)
            for gpu in self.layout.arenas:
                demand = Demand.of(self.layout, self.device, gpu, shared, lent is not None)
                stack.enter_context(room_for(demand, self.device))
                self._allocate(gpu)
            self._link()
        self._stale = True
        self._sharing: weakref.WeakSet[Program] = weakref.WeakSet() if share is None else share._sharing
        self._sharing.add(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a program is code and memory of this process, and cannot be pickled:"
            " send its graph and state_dict(), and make a program of them there"
        )

    @property
    def inputs(self) -> dict[str, TensorType]:
        """What a run must be fed."""
        return {n.id: n.types[0] for n in self.graph.leaves("input")}

    @property
    def weights(self) -> dict[str, TensorType]:
        """Params and states."""
        return {n.id: n.types[0] for n in self.graph if n.op.name in ("param", "state")}

    @property
    def outputs(self) -> dict[str, TensorType]:
        """What a run returns."""
        return {name: self.graph.type(v) for name, v in self.graph.outputs.items()}

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of a run, in order."""
        return tuple(step for call in self.layout.lowered.run for step in call.steps)

    def run(self, feeds: Mapping[str, Array | Staged]) -> dict[str, Array]:
        """Feed every input, run once, return every output as a new array; then apply the updates.

        What the device's `sender` gave for an array may be fed in its place.

        Errors: UnknownName, a NetError and a KeyError, for a missing or unknown input, ValueError for a wrong shape,
        TypeError for a type that does not convert safely (float64 to f32 does).
        """
        with self._workspace.lock:
            self._feed(feeds)
            self._execute()
            return self._read()

    def profile(self, feeds: Mapping[str, Array], repeats: int = 20) -> list[StepTime]:
        """Median time of each step over `repeats` runs; updates are applied each time."""
        seconds = [
            statistics.median(b - a for a, b in times)
            for times in zip(*self.timeline(feeds, repeats), strict=True)
        ]
        steps = [(step.title, call.node) for call in self.layout.lowered.run for step in call.steps]
        return [
            StepTime(title, node.id, node.origin, time)
            for (title, node), time in zip(steps, seconds, strict=True)
        ]

    def timeline(self, feeds: Mapping[str, Array], repeats: int = 1) -> list[Times]:
        """When each step begins and ends in so many runs after a first one; updates are applied each time."""
        with self._workspace.lock:
            self._feed(feeds)
            self._execute()
            return self.executable.timeline(repeats)

    def get(self, leaf: str) -> Array:
        """A copy of a param or state."""
        self._check_weight(leaf)
        return self._leaves[leaf].copy_out()

    def set(self, leaf: str, array: Array) -> None:
        """Replace a param or state, of all programs that share it.

        Raises UnknownName or ValueError when there is no such leaf or shape.
        """
        self._check_weight(leaf)
        self._copy(leaf, array)
        for program in self._sharing:
            program.weights_changed()

    def weights_changed(self) -> None:
        """Say that a run of another program changed shared weights: what was computed from them is computed again."""
        self._stale = True

    def state_dict(self) -> dict[str, Array]:
        """Copies of all params and states by leaf id."""
        return {name: self._leaves[name].copy_out() for name in self.weights}

    def load_state_dict(self, arrays: Mapping[str, Array]) -> None:
        """Replace all params and states, or none.

        Raises UnknownName when names are missing or left over, ValueError for a wrong shape.
        """
        check_names("the program", arrays, self.weights)
        for name, array in arrays.items():
            self._check_shape(name, array)
        for name, array in arrays.items():
            self.set(name, array)

    def _check_weight(self, leaf: str) -> None:
        if leaf not in self.graph or self.graph[leaf].op.name not in ("param", "state"):
            raise no_weight(leaf, self.weights)

    def _feed(self, feeds: Mapping[str, Array | Staged]) -> None:
        check_names("a run", feeds, self._inputs)
        for name, given in feeds.items():
            if isinstance(given, Staged):
                self._check_shape(name, given.array)
                given.move_to(self._leaves[name])
            else:
                self._copy(name, given)

    def _check_shape(self, leaf: str, array: Array) -> None:
        wanted = self._leaves[leaf].type.shape
        if np.shape(array) != wanted:
            raise ValueError(f"{leaf} takes shape {list(wanted)}, not {list(np.shape(array))}")

    def _copy(self, leaf: str, array: Array) -> None:
        target = self._leaves[leaf]
        self._check_shape(leaf, array)
        try:
            target.copy_in(array)
        except TypeError:
            message = f"{leaf} takes {target.type.words}, not an array of {np.asarray(array).dtype}"
            raise TypeError(message) from None

    def _execute(self) -> None:
        if self._stale or self._workspace.user != id(self):
            self.executable.prepare()
            self._stale, self._workspace.user = False, id(self)
        self.executable.run()

    def _types(self) -> dict[str, TensorType]:
        """Those of all leaves."""
        return {name: self.layout.schedule.buffers[b].type for name, b in self.layout.schedule.leaves.items()}

    def _shared(self, share: Program | None) -> tuple[dict[str, Tensor], Workspace | None]:
        """The leaves that are those of another program, and its memory where that is large enough."""
        if share is None:
            return {}, None
        kept = {
            name: t for name, t in self._types().items() if self.graph[name].op.name in ("param", "state")
        }
        theirs = {name: tensor for name, tensor in share._leaves.items() if tensor.type == kept.get(name)}
        return theirs, share._workspace if share._workspace.holds(self._arenas()) else None

    def _arenas(self) -> dict[int | None, int]:
        """The bytes of memory to work in, of the device and of other GPUs."""
        return {gpu: arena.size for gpu, arena in self.layout.arenas.items()}

    def _gpu(self, leaf: str) -> int | None:
        return self.layout.schedule.buffers[self.layout.schedule.leaves[leaf]].gpu

    def _allocate(self, gpu: int | None) -> None:
        """Ask for the memory of the device, or of another GPU, that is not shared."""
        device, memories = self.device.on(gpu), self._workspace.memories
        if gpu not in memories:
            memories[gpu] = device.allocate(self.layout.arenas[gpu].size)
        for name, t in self._types().items():
            if self._gpu(name) == gpu and name not in self._leaves:
                self._leaves[name] = device.allocate(t.nbytes).tensor(View.dense(0, t))
                if self.graph[name].op.name == "const":
                    self._leaves[name].copy_in(self.graph[name].op.reference()[0])

    def _link(self) -> None:
        """Give every buffer its place, and the steps their code."""
        layout, arenas, lowered = self.layout, self._workspace.memories, self.layout.lowered
        where = {b: Spot(arenas[lowered.buffers[b].gpu], offset) for b, offset in layout.offsets.items()}
        where |= {b: Spot(self._leaves[name].memory) for name, b in layout.schedule.leaves.items()}
        places = zip(lowered.calls, layout.scratch, strict=True)
        scratch = [Spot(arenas[call.node.gpu], offset) for call, offset in places]
        self.executable: Executable = self.device.link(lowered, where, scratch)
        results = {
            name: where[view.buffer].memory.tensor(view, where[view.buffer].offset)
            for name, view in layout.schedule.outputs.items()
        }
        self._read = self.device.reader(results)
