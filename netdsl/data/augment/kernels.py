"""The kernels of changes: Python functions that Numba compiles, one library each, so that only those in use are."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

#: the module of each kernel, and how many int64s it takes
KERNELS: Mapping[str, tuple[str, int]] = {
    **dict.fromkeys(("planes_of_bytes", "planes_of_floats"), ("pixels_kernels", 5)),
    **dict.fromkeys(("bytes_of_planes", "floats_of_planes"), ("pixels_kernels", 5)),
    **dict.fromkeys(("nearest", "bilinear", "bicubic"), ("sample_kernels", 12)),
    "places": ("sample_kernels", 10),
    "steps": ("elastic_kernels", 9),
    **dict.fromkeys(("brightness", "contrast", "saturation", "gamma", "invert"), ("tone_kernels", 8)),
    **dict.fromkeys(("pca_lighting", "hue"), ("tone_kernels", 8)),
    **dict.fromkeys(("gaussian_noise", "salt_and_pepper", "cutout"), ("noise_kernels", 8)),
    "blur": ("blur_kernels", 8),
    "jpeg": ("jpeg_kernels", 8),
}


@cache
def kernel(name: str) -> Callable[..., None]:
    """A kernel as a function of int64s that holds no lock of Python's; compiled where the user's cache has none."""
    from netdsl.native.library import once

    return once(_made)(name)


def _made(name: str) -> Callable[..., None]:
    from netdsl.backend.kernel_cache import Sources
    from netdsl.native.library import Library, NumbaKernel

    class Loops(Library):
        """Loops over pixels, which LLVM turns into vector code."""

        vectorize = True

    module, arguments = KERNELS[name]

    def load() -> Any:
        return getattr(importlib.import_module(f"netdsl.data.augment.{module}"), name)

    here = Path(__file__).parent
    library = Loops(name, {name: NumbaKernel(load, arguments)}, Sources([here, here.parents[1] / "native"]))
    made = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * arguments)(library.address(name))
    made.library = library  # type: ignore[attr-defined]  # the code lives as long as what calls it
    return made
