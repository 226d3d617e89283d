"""What all plans of contractions share: the plan itself, its epilogue, and the library of kernels and drivers."""

from __future__ import annotations

import functools
from collections.abc import Callable

from netdsl.backend.arguments import Arguments
from netdsl.backend.step import SCRATCH, Slot, start_of
from netdsl.cpu.codegen.library import AnyKernel, KernelLibrary, NumbaKernel, once
from netdsl.cpu.contract import depthwise, gemm, pack, winograd
from netdsl.cpu.contract.arguments import AddParts
from netdsl.cpu.contract.geometry import Geometry
from netdsl.cpu.step import Code, Step
from netdsl.native import host
from netdsl.schedule import View


def library() -> KernelLibrary:
    """The micro-kernels, and the drivers of roles "forward" and "backward_data": one set for every network."""
    return _library("contract", host.lanes())


def gradient_library() -> KernelLibrary:
    """The driver of weight gradients, which only training needs."""
    return _library("contract_gradient", host.lanes())


def depthwise_library() -> KernelLibrary:
    """The kernels and drivers of depthwise convolutions."""
    return _library("depthwise", host.lanes())


def winograd_library() -> KernelLibrary:
    """The kernels and drivers of Winograd's algorithm."""
    return _library("winograd", host.lanes())


def code(key: str) -> Code:
    """A kernel or driver of `library`."""
    return Code(library, key)


@once
def _library(name: str, lanes: int) -> KernelLibrary:
    kernels: dict[str, AnyKernel]
    if name == "contract":
        kernels = {**gemm.kernels(), **pack.kernels(), **_drivers("correlate", "pack", "add_parts_driver")}
    elif name == "contract_gradient":
        kernels = dict(_drivers("weight_gradient", "band_gradient"))
    elif name == "winograd":
        kernels = {**winograd.kernels(), **_drivers("winograd", "winograd_weights")}
    else:
        kernels = {**depthwise.kernels(), **_drivers("depthwise", "depthwise_gradient")}
    return KernelLibrary(name, kernels)


def _drivers(*names: str) -> dict[str, NumbaKernel]:
    return {name: NumbaKernel(functools.partial(_driver, name)) for name in names}


def _driver(name: str) -> Callable[..., None]:
    """A driver by name; importing them imports Numba, which only a cold cache needs."""
    from netdsl.cpu.contract import band_gradient_driver, depthwise_drivers, drivers, winograd_drivers

    special = {"band": band_gradient_driver, "depthwise": depthwise_drivers, "winograd": winograd_drivers}
    return getattr(special.get(name.partition("_")[0], drivers), name)  # type: ignore[no-any-return]


def sum_step(g: Geometry, result: View, parts: int, size: int) -> Step:
    """The step that adds the parts of a gradient of `size` bytes, which are in scratch; zeros when there are none."""
    block = Arguments(AddParts, parts=parts, count=size // 4, stride=size, kernel=code("add_parts"))
    block.fill(to=Slot(result, written=True), source=Slot(start_of(SCRATCH)))
    title = g.title("backward_weights").replace("contract", "add parts of")
    return Step(title, code("add_parts_driver"), block)
