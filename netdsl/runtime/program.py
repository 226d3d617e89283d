"""A graph of primitives as machine code over memory of its own."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from netdsl.cpu import host
from netdsl.cpu.link import link
from netdsl.cpu.lower import LoweredCall
from netdsl.cpu.step import PACKED, SCRATCH, Step
from netdsl.cpu.threads.team import shared_team
from netdsl.cpu.verify import verify
from netdsl.ir import Graph, TensorType
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.runtime.layout import Footprint, Layout, lay_out
from netdsl.runtime.memory import Workspace, aligned_array, check_fits
from netdsl.runtime.profile import StepTime, measure
from netdsl.schedule import View

Array = NDArray[Any]


class Program:
    """Runs a primitive graph on the CPU.

    `share` is another program whose params and states this one uses, by leaf id, and its memory where that is large
    enough: an evaluation program sees what the training program learns (call `weights_changed` after it has).
    Programs that share exclude each other's runs; others may run from different threads.

    It is made for this process; one that is forked between two runs may go on with its copy.

    Errors: NetError when the memory, or the threads, are more than the machine has; LookupError for a primitive
    without a kernel.
    """

    _leaves: dict[str, Array]
    _workspace: Workspace

    def __init__(self, graph: Graph, threads: int | None = None, share: Program | None = None) -> None:
        self.graph = graph
        self.threads = host.threads(threads)
        self.layout: Layout = lay_out(graph, self.threads)
        self.footprint: Footprint = self.layout.footprint()
        shared_team(self.threads)  # its errors belong here, not into the first run
        verify(self.layout.lowered)
        self._allocate(share)
        self._bind()
        self._stale = True
        self._sharing: weakref.WeakSet[Program] = weakref.WeakSet() if share is None else share._sharing
        self._sharing.add(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a program is machine code and memory of this process, and cannot be pickled:"
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
        return self._run_steps

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Feed every input, run once, return every output as a new array; then apply the updates.

        Errors: KeyError for a missing or unknown input, ValueError for a wrong shape, TypeError for a type that
        does not convert safely (float64 to f32 does).
        """
        with self._workspace.lock:
            self._feed(feeds)
            self._execute()
            return {name: view.copy() for name, view in self._results.items()}

    def profile(self, feeds: Mapping[str, Array], repeats: int = 20) -> list[StepTime]:
        """Median time of each step over `repeats` runs; updates are applied each time."""
        with self._workspace.lock:
            self._feed(feeds)
            self._execute()
            return measure(
                shared_team(self.threads), self._run_table, self._run_calls, self._run_steps, repeats
            )

    def get(self, leaf: str) -> Array:
        """A copy of a param or state."""
        self._check_weight(leaf)
        return self._leaves[leaf].copy()

    def set(self, leaf: str, array: Array) -> None:
        """Replace a param or state, of all programs that share it.

        Raises KeyError or ValueError when there is no such leaf or shape.
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
        return {name: self._leaves[name].copy() for name in self.weights}

    def load_state_dict(self, arrays: Mapping[str, Array]) -> None:
        """Replace all params and states; raises KeyError when names are missing or left over."""
        wanted = self.weights.keys()
        if wanted != arrays.keys():
            missing, extra = sorted(wanted - arrays.keys()), sorted(arrays.keys() - wanted)
            raise KeyError(f"missing: {missing[:5]}, unknown: {extra[:5]}")
        for name, array in arrays.items():
            self.set(name, array)

    def _check_weight(self, leaf: str) -> None:
        if leaf not in self.graph or self.graph[leaf].op.name not in ("param", "state"):
            raise KeyError(f"no param or state is called {leaf}")

    def _feed(self, feeds: Mapping[str, Array]) -> None:
        if feeds.keys() != self._inputs.keys():
            wrong = sorted(feeds.keys() ^ self._inputs.keys())
            raise KeyError(
                f"a run takes {', '.join(self._inputs) or 'no inputs'}; missing or unknown: {wrong}"
            )
        for name, array in feeds.items():
            self._copy(name, array)

    def _copy(self, leaf: str, array: Array) -> None:
        target = self._leaves[leaf]
        if np.shape(array) != target.shape:
            raise ValueError(f"{leaf} takes shape {list(target.shape)}, not {list(np.shape(array))}")
        np.copyto(target, array, casting="same_kind")

    def _execute(self) -> None:
        team = shared_team(self.threads)
        if self._stale or self._workspace.user != id(self):
            team.run(self._prepare_table)
            self._stale, self._workspace.user = False, id(self)
        team.run(self._run_table)

    def _allocate(self, share: Program | None) -> None:
        """Ask for the memory that is not shared."""
        layout = self.layout
        types = {name: layout.schedule.buffers[b].type for name, b in layout.schedule.leaves.items()}
        kinds = {name: self.graph[name].op.name for name in types}
        theirs = share._leaves if share is not None else {}
        self._leaves = {
            name: theirs[name]
            for name, t in types.items()
            if kinds[name] in ("param", "state") and name in theirs and theirs[name].shape == t.shape
        }
        roomy = share is not None and share._workspace.memory.nbytes >= layout.size
        own = sum(t.nbytes for name, t in types.items() if name not in self._leaves)
        check_fits(own + (0 if roomy else layout.size), "the network")
        self._workspace = share._workspace if share is not None and roomy else Workspace(layout.size)
        for name, t in types.items():
            if name not in self._leaves:
                self._leaves[name] = aligned_array(t)
            if kinds[name] == "const":
                self._leaves[name][...] = self.graph[name].op.reference()[0]
        self._inputs = {n.id: self._leaves[n.id] for n in self.graph.leaves("input")}

    def _bind(self) -> None:
        """Give every buffer an address and write the addresses, of data and of code, into the argument blocks."""
        layout, lowered = self.layout, self.layout.lowered
        base = self._workspace.memory.ctypes.data
        where = {b: base + offset for b, offset in layout.offsets.items()}
        where |= {b: self._leaves[name].ctypes.data for name, b in layout.schedule.leaves.items()}
        calls = (*lowered.prepare, *lowered.run)
        for call, scratch in zip(calls, layout.scratch, strict=True):
            for step in call.steps:
                step.bind(functools.partial(_address, call, where, base + scratch))
        steps = [step for call in calls for step in call.steps]
        linked = link(steps)
        self.kernels = linked.kernels
        prepared = sum(len(call.steps) for call in lowered.prepare)
        self._prepare_table, self._run_table = linked.table[:prepared], linked.table[prepared:]
        self._run_steps = tuple(steps[prepared:])
        self._run_calls = tuple(call.node for call in lowered.run for _ in call.steps)
        self._results = {name: self._array(view) for name, view in layout.schedule.outputs.items()}

    def _array(self, view: View) -> Array:
        """What a view shows, as an array."""
        start, dtype = self.layout.offsets[view.buffer] + view.offset, NUMPY_DTYPE[view.type.dtype]
        return np.ndarray(view.shape, dtype, self._workspace.memory, start, view.strides)


def _address(call: LoweredCall, where: Mapping[int, int], scratch: int, buffer: int) -> int:
    if buffer == SCRATCH:
        return scratch
    return where[call.packed if buffer == PACKED and call.packed is not None else buffer]
