"""What all plans of contractions share: the plan itself, its epilogue, and the library of kernels and drivers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from netdsl.cpu import contract_words as w
from netdsl.cpu import depthwise, gemm, pack
from netdsl.cpu.contract_geometry import Geometry
from netdsl.cpu.library import KernelLibrary, NumbaKernel
from netdsl.cpu.step import Slot, Step


@dataclass(frozen=True)
class Epilogue:
    """What the micro-kernels add while storing: operand numbers of a bias `[F]` and a residual, and bounds."""

    bias: int | None = None
    residual: int | None = None
    low: float = -math.inf
    high: float = math.inf


NOTHING = Epilogue()


@dataclass(frozen=True)
class ContractPlan:
    """Steps that pack the weights (place "packed", `packed` bytes) and those that compute."""

    pack: tuple[Step, ...]
    steps: tuple[Step, ...]
    packed: int
    scratch: int


@functools.cache
def library() -> KernelLibrary:
    """The micro-kernels and their drivers: one set for every network."""
    space = w.CALL_BYTES + w.BUFFER_BYTES
    drivers = {
        "depthwise": NumbaKernel(functools.partial(_driver, "depthwise"), 3, space),
        "depthwise_gradient": NumbaKernel(functools.partial(_driver, "depthwise_gradient"), 3, space),
        "correlate": NumbaKernel(functools.partial(_driver, "correlate"), 3, space),
        "weight_gradient": NumbaKernel(functools.partial(_driver, "weight_gradient"), 3, space),
        "pack": NumbaKernel(functools.partial(_driver, "pack")),
        "add": NumbaKernel(functools.partial(_driver, "add_parts")),
    }
    return KernelLibrary("contract", {**gemm.kernels(), **pack.kernels(), **depthwise.kernels(), **drivers})


def _driver(name: str) -> Callable[..., None]:
    """A driver by name; importing them imports Numba, which only a cold cache needs."""
    from netdsl.cpu import contract_drivers, depthwise_drivers

    module = depthwise_drivers if name.startswith("depthwise") else contract_drivers
    return getattr(module, name)  # type: ignore[no-any-return]


def sum_step(g: Geometry, source: Slot, parts: int, size: int) -> Step:
    """The step that adds the parts of a gradient of `size` bytes; zeros when there are none."""
    words = np.zeros(w.SUM_WORDS, np.int64)
    words[[w.S_PARTS, w.S_COUNT, w.S_STRIDE]] = [parts, size // 4, size]
    words[w.S_KERNEL] = library().address("add_parts")
    slots = {w.S_TO: Slot("result"), w.S_FROM: source}
    return Step(g.title("kernel").replace("contract", "add parts of"), library().address("add"), words, slots)


def bits(x: float) -> int:
    """The bits of an f32."""
    return int(np.float32(x).view(np.uint32))
