"""Runs planned steps on arrays, share by share, for tests of kernels without the rest of the house."""

import ctypes

import numpy as np

from netdsl.cpu.contract.words import WORKSPACE_BYTES
from netdsl.cpu.link import link
from netdsl.runtime.memory import aligned_bytes


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy that starts on a cache line and has room behind it."""
    raw = aligned_bytes(array.nbytes)
    copy = raw.view(array.dtype) if array.size else raw[:0].view(array.dtype)
    copy = copy.reshape(array.shape)
    copy[...] = array
    return copy


def run_steps(steps, places, parts: int = 1) -> None:
    """Run every share of every step; `places` maps (place, index) to an array."""
    for step in steps:
        step.bind(lambda slot: places[slot.place, slot.index].ctypes.data)
    workspace = aligned_bytes(WORKSPACE_BYTES)
    linked = link(steps)  # holds the code
    for code, args in linked.table:
        entry = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(int(code))
        for part in range(parts):
            entry(int(args), part, parts, workspace.ctypes.data)
