"""A graph of primitives as machine code over memory of its own."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.cpu.lower import Lowered, LoweredCall, lower
from netdsl.cpu.pool import shared_pool
from netdsl.cpu.step import Step
from netdsl.ir import Graph, TensorType
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.runtime.memory import aligned_array, aligned_bytes, check_fits
from netdsl.runtime.profile import StepTime, measure
from netdsl.schedule import Lifetime, Schedule, check_plan, make_schedule, plan_memory

Array = NDArray[Any]


class Program:
    """Runs a primitive graph on the CPU.

    `share` is another program whose params and states this one uses, by leaf id: an evaluation program sees
    what the training program learns (call `weights_changed` after it has).  Runs of one program exclude each
    other; different programs may run from different threads.

    Errors: NetError when the memory is more than the machine has; LookupError for a primitive without a kernel.
    """

    def __init__(self, graph: Graph, threads: int | None = None, share: Program | None = None) -> None:
        self.graph = graph
        self.schedule: Schedule = make_schedule(graph)
        lowered = lower(self.schedule)
        self._pool = shared_pool(threads)
        self._leaves = self._allocate_leaves(share)
        self._bind(lowered)
        self.kernels = lowered.kernels
        self._stale = True
        self._lock = threading.Lock()

    @property
    def inputs(self) -> dict[str, TensorType]:
        """What a run must be fed."""
        return {n.id: n.types[0] for n in self.graph.leaves("input")}

    @property
    def outputs(self) -> dict[str, TensorType]:
        """What a run returns."""
        return {name: self.graph.type(v) for name, v in self.graph.outputs.items()}

    @property
    def arena_bytes(self) -> int:
        """Size of the block that all intermediate values share."""
        return int(self._arena.nbytes)

    @property
    def weight_bytes(self) -> int:
        """Bytes of params and states."""
        return sum(self._leaves[n].nbytes for n in self._weights())

    @property
    def kept_bytes(self) -> int:
        """Bytes of what is computed from the weights once: folded and packed kernels."""
        return sum(a.nbytes for a in self._kept.values())

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of a run, in order."""
        return self._run_steps

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Feed every input, run once, return every output as a new array; then apply the updates.

        Errors: KeyError for a missing or unknown input, ValueError for a wrong shape, TypeError for a type that
        does not convert safely (float64 to f32 does).
        """
        with self._lock:
            self._feed(feeds)
            self._execute()
            return {name: view.copy() for name, view in self._results.items()}

    def profile(self, feeds: Mapping[str, Array], repeats: int = 20) -> list[StepTime]:
        """Median time of each step over `repeats` runs; updates are applied each time."""
        with self._lock:
            self._feed(feeds)
            self._execute()
            return measure(self._pool, self._run_table, self._run_calls, self._run_steps, repeats)

    def get(self, leaf: str) -> Array:
        """A copy of a param or state."""
        self._check_weight(leaf)
        return self._leaves[leaf].copy()

    def set(self, leaf: str, array: Array) -> None:
        """Replace a param or state; raises KeyError or ValueError when there is no such leaf or shape."""
        self._check_weight(leaf)
        self._copy(leaf, array)
        self._stale = True

    def weights_changed(self) -> None:
        """Say that shared weights changed, so that what was computed from them is computed again."""
        self._stale = True

    def state_dict(self) -> dict[str, Array]:
        """Copies of all params and states by leaf id."""
        return {name: self._leaves[name].copy() for name in self._weights()}

    def load_state_dict(self, arrays: Mapping[str, Array]) -> None:
        """Replace all params and states; raises KeyError when names are missing or left over."""
        wanted = set(self._weights())
        if wanted != arrays.keys():
            missing, extra = sorted(wanted - arrays.keys()), sorted(arrays.keys() - wanted)
            raise KeyError(f"missing: {missing[:5]}, unknown: {extra[:5]}")
        for name, array in arrays.items():
            self.set(name, array)

    def _weights(self) -> list[str]:
        return [n.id for n in self.graph if n.op.name in ("param", "state")]

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
        if self._stale:
            self._pool.run(self._prepare_table)
            self._stale = False
        self._pool.run(self._run_table)

    def _allocate_leaves(self, share: Program | None) -> dict[str, Array]:
        types = {name: self.schedule.buffers[b].type for name, b in self.schedule.leaves.items()}
        shared = share._leaves if share is not None else {}
        own = [t for name, t in types.items() if name not in shared]
        check_fits(sum(t.nbytes for t in own), "the network's weights")
        leaves: dict[str, Array] = {}
        for name, t in types.items():
            kind = self.graph[name].op.name
            if kind in ("param", "state") and name in shared and shared[name].shape == t.shape:
                leaves[name] = shared[name]
            else:
                leaves[name] = aligned_array(t)
            if kind == "const":
                leaves[name][...] = self.graph[name].op.reference()[0]
        self._inputs = {n.id: leaves[n.id] for n in self.graph.leaves("input")}
        return leaves

    def _bind(self, lowered: Lowered) -> None:
        """Give every buffer an address and write the addresses into the argument blocks."""
        prepare, run = lowered.prepare, lowered.run
        lives = self.schedule.lifetimes()
        scratch = [Lifetime(call.scratch, k, k) for k, call in enumerate(run)]
        self.plan = plan_memory([*lives.values(), *scratch])
        check_plan([*lives.values(), *scratch], self.plan)
        kept = {k: b for k, b in enumerate(lowered.buffers) if b.kind in ("kept", "packed")}
        check_fits(self.plan.size + sum(b.type.nbytes for b in kept.values()), "one run")
        self._arena = aligned_bytes(self.plan.size)
        self._kept = {k: aligned_array(b.type) for k, b in kept.items()}
        base = self._arena.ctypes.data
        where = {b: base + self.plan.offsets[k] for k, b in enumerate(lives)}
        where |= {b: self._leaves[name].ctypes.data for name, b in self.schedule.leaves.items()}
        where |= {k: array.ctypes.data for k, array in self._kept.items()}
        scratch_at = [base + offset for offset in self.plan.offsets[len(lives) :]]
        self._scratch = aligned_bytes(max((call.scratch for call in prepare), default=0))
        self._prepare_table = self._table(prepare, where, [self._scratch.ctypes.data] * len(prepare))
        self._run_table = self._table(run, where, scratch_at)
        self._run_steps = tuple(step for call in run for step in call.steps)
        self._run_calls = tuple(call.node for call in run for _ in call.steps)
        self._prepared = tuple(step for call in prepare for step in call.steps)
        self._results = {
            name: self._view(b, where[b] - base, name) for name, b in self.schedule.outputs.items()
        }

    @staticmethod
    def _table(
        calls: Sequence[LoweredCall], where: Mapping[int, int], scratch: Sequence[int]
    ) -> NDArray[np.int64]:
        rows = []
        for call, at in zip(calls, scratch, strict=True):
            buffers = {"operand": call.operands, "result": call.results, "packed": (call.packed,)}
            for step in call.steps:
                for word, slot in step.slots.items():
                    start = at if slot.place == "scratch" else where[buffers[slot.place][slot.index] or 0]
                    step.args[word] = start + slot.offset
                rows.append((step.entry, step.args.ctypes.data))
        return np.array(rows, np.int64).reshape(-1, 2)

    def _view(self, buffer: int, offset: int, name: str) -> Array:
        """The output as an array over its buffer, under the shape the output has."""
        shape = self.schedule.graph.type(self.schedule.graph.outputs[name]).shape
        b = self.schedule.buffers[buffer]
        if b.kind == "kept":
            return self._kept[buffer].reshape(shape)
        raw = self._arena[offset : offset + b.type.nbytes]
        return raw.view(NUMPY_DTYPE[b.type.dtype]).reshape(shape)
