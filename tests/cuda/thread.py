"""Runs the source of a kernel thread by thread in Python: its meaning, apart from any compiler and GPU.

Numbers are NumPy's scalars of the types that the source names, so that a literal without a type shows as a float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from netdsl.cuda.step import Launch
from netdsl.ir.types import NUMPY_DTYPE


def _rounded(function, *kinds):
    """A function of libdevice, computed in float64 and rounded."""

    def call(*values):
        for v in values:
            assert type(v) is np.float32, f"{function} of a {type(v)}"
        return np.float32(function(*map(np.float64, values)))

    return call


def _to_integer(x):
    if not np.isfinite(x) or abs(float(x)) >= 2.0**63:
        return np.int64(-(2**63) if x < 0 else 2**63 - 1)
    return np.int64(int(x))


LIBDEVICE = SimpleNamespace(
    **{
        f"{n}f": _rounded(getattr(np, n))
        for n in ("exp", "expm1", "log", "log1p", "sqrt", "tanh", "floor", "ceil", "rint")
    },
    erff=_rounded(math.erf),
    fabsf=_rounded(np.abs),
    powf=_rounded(np.power),
    fmaf=_rounded(lambda a, b, c: a * b + c),
    float_as_int=lambda x: x.view(np.int32),
    float2ll_rz=_to_integer,
    ll2float_rn=lambda n: np.float32(n),
)


def run_by_thread(launches: Sequence[Launch], arrays: Mapping[int, np.ndarray]) -> None:
    """Run launches over flat arrays by buffer; every element that is stored must have the type of its array."""
    for launch in launches:
        cuda = SimpleNamespace(blockIdx=SimpleNamespace(x=0), threadIdx=SimpleNamespace(x=0))
        names: dict[str, Any] = {"cuda": cuda, "libdevice": LIBDEVICE, "math": math, "boolean": np.bool_}
        names |= {n: getattr(np, n) for n in ("float32", "int32", "int64", "uint8", "uint32", "uint64")}
        exec(compile(launch.source.text, "kernel", "exec"), names)
        arguments = [_argument(launch, p, arrays) for p in launch.source.parameters]
        with np.errstate(all="ignore"):
            for block in range(launch.blocks):
                for thread in range(launch.threads):
                    cuda.blockIdx.x, cuda.threadIdx.x = block, thread
                    names["kernel"](*arguments)


class _Elements:
    """Elements from an address on, refusing what lies outside of the array and values of another type."""

    def __init__(self, array: np.ndarray, first: int) -> None:
        self.array, self.first = array, first

    def __getitem__(self, k):
        return self.array[self._at(k)]

    def __setitem__(self, k, value):
        assert type(value) is self.array.dtype.type, f"a {type(value)} is stored as {self.array.dtype}"
        self.array[self._at(k)] = value

    def _at(self, k) -> int:
        at = self.first + int(k)
        assert 0 <= at < self.array.size, f"element {at} of {self.array.size}"
        return at


def _argument(launch: Launch, p, arrays):
    if p.to is None:
        assert type(launch.values[p.name]) is int
        return {"u32": np.uint32, "i64": np.int64}[p.kind](launch.values[p.name])
    view = launch.slots[p.name].view
    array = arrays[view.buffer]
    assert array.dtype == ("uint8" if p.to == "bool" else NUMPY_DTYPE[p.to])
    return _Elements(array, view.offset // array.itemsize)
