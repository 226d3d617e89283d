"""What planners return: launches of kernels, whose source is text and whose addresses are still open."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from netdsl.backend.step import Slot
from netdsl.backend.tape import Tape
from netdsl.scalar.operators import Dtype

Kind = Literal["f32", "i32", "i64", "u32"]
Element: TypeAlias = Dtype | Literal["u32"]
"""What an address leads to: elements of a tensor, or the words of a kernel's own tables."""

FORMATS: Mapping[Kind, str] = {"f32": "f", "i32": "i", "i64": "q", "u32": "I"}
"""The kinds of numbers as `struct` writes them."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a kernel: a number, or the address of elements."""

    name: str
    kind: Kind | None = None
    to: Element | None = None


@dataclass(frozen=True)
class Source:
    """The source of a kernel: the Python function `kernel` over its parameters, which `numba.cuda` compiles.

    It computes the tapes by the names `tape0`, `tape1`, ..., of a tuple of what they take, as a tuple.
    `bounds` are the most threads of a block, and how many blocks of them a multiprocessor shall hold: what a thread
    may have of registers follows from these.
    """

    text: str
    parameters: tuple[Parameter, ...]
    bounds: tuple[int, int] | None = None
    tapes: tuple[Tape, ...] = ()

    @cached_property
    def key(self) -> str:
        """A hash of the content."""
        content = (self.text, self.parameters, self.bounds, self.tapes)
        return hashlib.sha256(repr(content).encode()).hexdigest()[:24]

    def pack(self, values: Mapping[str, int | float]) -> bytes:
        """The block of arguments as a launch takes it: each on a multiple of its size."""
        block = b""
        for p in self.parameters:
            form = FORMATS[p.kind] if p.kind is not None else "Q"
            data = struct.pack(f"<{form}", values[p.name])
            block += bytes(-len(block) % len(data)) + data
        return block


@dataclass(frozen=True)
class Copy:
    """A copy of `size` bytes from the slot `source` to the slot `target`, which is on another GPU."""

    title: str
    slots: Mapping[str, Slot]
    size: int
    scratch: int = 0


@dataclass(frozen=True)
class Launch:
    """A kernel over a grid of blocks of threads; `values` are its arguments by name but for the addresses.

    `shared` is the dynamic shared memory of a block, `scratch` the memory that launches of a call share, in bytes.
    """

    title: str
    source: Source
    blocks: int
    threads: int
    values: Mapping[str, int | float]
    slots: Mapping[str, Slot]
    scratch: int = 0
    shared: int = 0


CudaStep: TypeAlias = Launch | Copy
"""What a call is made of."""
