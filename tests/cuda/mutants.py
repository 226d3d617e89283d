"""Kernels in use with one instruction changed: does a check notice, do the numbers differ, or neither?

`python -m tests.cuda.mutants` prints a table of all of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np

from netdsl.cuda.compiler import compile_ptx
from netdsl.cuda.contract import plan as planning
from netdsl.cuda.contract.plan import plan_contract
from netdsl.cuda.contract.tiles import TENSOR
from netdsl.cuda.emulator import EmulatorError, Trap
from netdsl.cuda.kernels import scatter_add
from netdsl.cuda.kernels.gather import plan_gather
from netdsl.cuda.kernels.map import plan_elementwise
from netdsl.cuda.kernels.non_max_suppression import plan_suppress
from netdsl.cuda.kernels.reduce import plan_reduce
from netdsl.cuda.kernels.reduce_window import plan_window
from netdsl.cuda.kernels.roi_reduce import plan_region
from netdsl.cuda.kernels.scatter_add import plan_scatter_add
from netdsl.cuda.kernels.top_k import plan_top
from netdsl.cuda.step import Launch
from netdsl.ir import TensorType
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.primitives import (
    Contract,
    Gather,
    Map,
    NonMaxSuppression,
    Reduce,
    ReduceWindow,
    RoiReduce,
    ScatterAdd,
    TopK,
)
from netdsl.scalar import Arg, exp
from netdsl.schedule import View
from tests.cuda.emulated import CAPABILITY, DTYPES, run_emulated

STEPS = 3_000
"""Basic blocks; those of the longest kernel here are 400."""


def _normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def _places(size: int, count: int) -> np.ndarray:
    return np.random.default_rng(size).integers(-1, size + 1, count)


def _boxes() -> np.ndarray:
    low = np.random.default_rng(2).integers(0, 8, (1, 2, 70))
    return np.concatenate([low, low + 3], axis=1).astype(np.float32)


def _bounds(*shape: int) -> np.ndarray:
    return (np.random.default_rng(3).random(shape) < 0.7).astype(np.float32)


def _on_tensor_cores(op: Contract, *views: Sequence[View]) -> list[Launch]:
    """The launches with the smallest tile of tensor cores, whatever the sizes."""
    tile = list(TENSOR[op.precision])[-1]
    with mock.patch.object(planning, "cut", lambda *_sizes: (tile, 1)):
        return plan_contract(op, *views)


def _sorted(op: ScatterAdd, *views: Sequence[View]) -> list[Launch]:
    """The launches that sort the index first, as they do for a long one."""
    with mock.patch.object(scatter_add, "SHORT", 0):
        return plan_scatter_add(op, *views)


X = Arg(0)
CONVOLVED = ((1, 1), ((1, 1), (1, 1)), (1, 1))
#: planner, primitive, operands: kernels of every kind, sizes a little past a tile
CASES: dict[str, tuple[Callable[..., Sequence[Launch]], Any, list[np.ndarray]]] = {
    "map": (plan_elementwise, Map((exp(X) + Arg(1),)), [_normal(7, 50), _normal(7, 50)]),
    "reduce rows": (plan_reduce, Reduce("sum", X, (1,)), [_normal(3, 700)]),
    "reduce columns": (plan_reduce, Reduce("sum", X, (0,)), [_normal(700, 6)]),
    "reduce all": (plan_reduce, Reduce("sum", X, (0, 1)), [_normal(130, 150)]),
    "product": (plan_contract, Contract("forward"), [_normal(37, 20), _normal(20, 41)]),
    "convolution": (
        plan_contract,
        Contract("forward", *CONVOLVED),
        [_normal(2, 5, 6, 4), _normal(3, 3, 4, 12)],
    ),
    "weights": (
        plan_contract,
        Contract("backward_weights", *CONVOLVED, 1, (3, 3)),
        [_normal(2, 6, 5, 4), _normal(2, 6, 5, 8)],
    ),
    "product, tf32": (
        _on_tensor_cores,
        Contract("forward", precision="tf32"),
        [_normal(37, 20), _normal(20, 41)],
    ),
    "convolution, bf16": (
        _on_tensor_cores,
        Contract("forward", *CONVOLVED, precision="bf16"),
        [_normal(2, 5, 6, 16), _normal(3, 3, 16, 68)],
    ),
    "depthwise": (
        plan_contract,
        Contract("forward", *CONVOLVED, 8),
        [_normal(1, 5, 6, 8), _normal(3, 3, 1, 8)],
    ),
    "window": (
        plan_window,
        ReduceWindow("max", (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), (0, 0), False),
        [_normal(2, 7, 8, 3)],
    ),
    "top k": (plan_top, TopK(5), [_normal(3, 300)]),
    "gather": (plan_gather, Gather(0), [_normal(9, 13), _places(9, 30)]),
    "scatter": (plan_scatter_add, ScatterAdd(0, 7), [_normal(600, 3), _places(7, 600)]),
    "sorted scatter": (_sorted, ScatterAdd(0, 300), [_normal(2100), _places(300, 2100)]),
    "suppression": (
        plan_suppress,
        NonMaxSuppression(100, 0.3),
        [_boxes(), _normal(1, 2, 70)],
    ),
    "regions": (
        plan_region,
        RoiReduce("sum"),
        [_normal(1, 6, 7, 3), _bounds(1, 4, 2, 6), _bounds(1, 4, 2, 7)],
    ),
}

_SWAPPED = {"ge": "gt", "gt": "ge", "lt": "le", "le": "lt"}
_PLACE = re.compile(r"\[([%\w$]+)(?:\+(-?\d+))?\]")


def _shifted(line: str) -> str:
    """An access moved by what it touches, so that it stays aligned."""
    width = int(re.search(r"\.[bfus](\d+)\s", line)[1]) // 8 * int((re.search(r"\.v(\d)", line) or "11")[1])
    return _PLACE.sub(lambda m: f"[{m[1]}+{int(m[2] or 0) + width}]", line, count=1)


#: kind, which lines it changes, how
KINDS: list[tuple[str, str, Callable[[str], str]]] = [
    ("barrier dropped", r"\bbar\.sync", lambda line: ""),
    ("warp barrier dropped", r"\bbar\.warp\.sync", lambda line: ""),
    ("wait for copies dropped", r"\bcp\.async\.wait", lambda line: ""),
    ("load shifted", r"\bld\.(global|shared)\S*\s", _shifted),
    ("store shifted", r"\bst\.(global|shared)\S*\s", _shifted),
    ("store dropped", r"\bst\.(global|shared)\S*\s", lambda line: ""),
    (
        "bound off by one",
        r"\bsetp\.(ge|gt|lt|le)\.[su]\d\d",
        lambda line: re.sub(r"setp\.(\w\w)", lambda m: f"setp.{_SWAPPED[m[1]]}", line),
    ),
    (
        "branch turned",
        r"@!?%p\d+ bra",
        lambda line: line.replace("@!", "@") if "@!" in line else line.replace("@", "@!"),
    ),
    (
        "shuffle dropped",
        r"\bshfl\.sync",
        lambda line: re.sub(r"shfl\S+\s+(%r\d+)(?:\|%p\d+)?, (%r\d+),.*;", r"mov.b32 \1, \2;", line),
    ),
]


@dataclass(frozen=True)
class Mutant:
    """A kernel's text with line `line`, from 1, changed in the way of `kind`; `probe` traps where that matters."""

    key: str
    kind: str
    line: int
    text: str
    probe: str


class Case:
    """A primitive with its operands, planned, and its right results."""

    def __init__(self, name: str) -> None:
        plan, op, self.arrays = CASES[name]
        types = [TensorType(a.shape, DTYPES[a.dtype.name]) for a in self.arrays]
        self.results = op.infer(*types)
        views = [View.dense(k, t) for k, t in enumerate((*types, *self.results))]
        self.launches = list(plan(op, views[: len(types)], views[len(types) :]))
        self.right = self.run()

    def run(self, key: str = "", text: str = "") -> bytes:
        """The results; the kernel `key` has another text."""
        outputs = [np.full(t.size, 77, NUMPY_DTYPE[t.dtype]) for t in self.results]
        buffers = dict(enumerate([*(a.copy().reshape(-1) for a in self.arrays), *outputs]))
        run_emulated(self.launches, buffers, steps=STEPS, texts={key: text})
        return b"".join(o.tobytes() for o in outputs)

    def mutants(self) -> Iterator[Mutant]:
        """All changes of all kernels, kind by kind and line by line."""
        for source in {launch.source.key: launch.source for launch in self.launches}.values():
            lines = compile_ptx(source, CAPABILITY).split("\n")
            for k, line in enumerate(lines):
                for kind, pattern, change in KINDS:
                    if re.search(pattern, line):
                        changed, probe = change(line), _probe(line, change(line))
                        texts = ["\n".join([*lines[:k], new, *lines[k + 1 :]]) for new in (changed, probe)]
                        yield Mutant(source.key, kind, k + 1, *texts)

    def outcome(self, mutant: Mutant) -> str:
        """`check`, `numbers` or `missed`; `""` where no thread comes to the change, or to a bound exactly."""
        try:
            self.run(mutant.key, mutant.probe)
            return ""
        except Trap:
            pass
        try:
            got = self.run(mutant.key, mutant.text)
        except EmulatorError:
            return "check"
        return "missed" if got == self.right else "numbers"


def _probe(line: str, changed: str) -> str:
    """A trap before a line for whoever executes it; with a comparison, for whom the change makes another result."""
    if found := re.match(r"\s*setp\S+\s+(%p\d+),", line):
        other = changed.replace(found[1], "%other", 1)
        return f"{line} {{ .reg .pred %other; {other} xor.pred %other, %other, {found[1]}; @%other trap; }}"
    guard = re.match(r"\s*(@!?%p\d+)?", line)[1] or ""
    return f"{guard} trap; {line}"


def main() -> None:
    """Print the outcomes by kind."""
    found: Counter[tuple[str, str]] = Counter()
    for name in CASES:
        case = Case(name)
        found.update((m.kind, case.outcome(m)) for m in case.mutants())
    print(f"{'change':25} check numbers missed")
    for kind, *_ in KINDS:
        print(f"{kind:25} {found[kind, 'check']:5} {found[kind, 'numbers']:7} {found[kind, 'missed']:6}")


if __name__ == "__main__":
    main()
