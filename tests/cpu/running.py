"""Runs planned steps on arrays, share by share, for tests of kernels without the rest of the house."""

import ctypes

import numpy as np

from netdsl.backend.memory import aligned_bytes
from netdsl.backend.step import PACKED, SCRATCH
from netdsl.cpu.contract.arguments import WORKSPACE_BYTES
from netdsl.cpu.contract.plan import plan_contract
from netdsl.cpu.contract.problem import Options
from netdsl.cpu.link import link
from netdsl.ir import TensorType
from netdsl.primitives.epilogue import NOTHING
from netdsl.schedule import View


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy that starts on a cache line and has room behind it."""
    raw = aligned_bytes(array.nbytes)
    copy = raw.view(array.dtype) if array.size else raw[:0].view(array.dtype)
    copy = copy.reshape(array.shape)
    copy[...] = array
    return copy


TWO_THREADS = Options(2)


def contraction(op, arrays, shape, epilogue=NOTHING, options=TWO_THREADS):
    """The plan of a contraction of arrays, memory for its steps by number, and its result."""
    places = dict(enumerate(map(aligned, (*arrays, np.full(shape, np.nan, np.float32)))))
    *operands, result = [View.dense(k, TensorType(array.shape)) for k, array in places.items()]
    plan = plan_contract(op, operands, result, options, epilogue)
    scratch = max([0, *(s.scratch for s in (*plan.pack, *plan.steps))])
    places[SCRATCH] = aligned(np.full(scratch // 4 + 64, np.nan, np.float32))
    places[PACKED] = aligned(np.full(plan.packed // 4 + 64, np.nan, np.float32))
    return plan, places, places[result.buffer]


def run_steps(steps, places, parts: int = 1) -> None:
    """Run every share of every step; `places` maps the number of a buffer to an array."""
    for step in steps:
        step.args.bind(lambda buffer: places[buffer].ctypes.data)
    workspace = aligned_bytes(WORKSPACE_BYTES)
    linked = link(steps)  # holds the code
    for code, args, *_ in linked.table:
        entry = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(int(code))
        for part in range(parts):
            entry(int(args), part, parts, workspace.ctypes.data)
