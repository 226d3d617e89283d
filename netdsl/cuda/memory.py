"""Memory of a card, and tensors in it."""

from __future__ import annotations

import weakref

import numpy as np

from netdsl.backend.memory import Array, Memory, Tensor
from netdsl.cuda.card import Card
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.schedule import Layout, View


class CudaMemory(Memory):
    """Bytes of a card from `address` on; they go back with this object."""

    def __init__(self, card: Card, size: int) -> None:
        self.size, self.card = size, card
        self.address = card.allocate(size)
        # At exit the driver may be gone already, and takes all memory with it.
        weakref.finalize(self, card.free, self.address).atexit = False

    def tensor(self, view: View, offset: int = 0) -> CudaTensor:
        """What a view shows of a buffer that begins at byte `offset`."""
        return CudaTensor(view, self, offset)


class CudaTensor(Tensor):
    """A view of the memory of a card."""

    memory: CudaMemory

    def __init__(self, view: View, memory: CudaMemory, offset: int) -> None:
        super().__init__(view.type, memory)
        self.view, self.address = view, memory.address + offset + view.offset
        distances = (max(0, n - 1) * s for n, s in zip(view.shape, view.strides, strict=True))
        #: bytes from the first element to behind the last
        self.span = sum(distances) + view.item if view.type.size else 0

    def copy_in(self, array: Array) -> None:
        """Replace all elements of a dense view."""
        if self.view.layout is not Layout.DENSE:
            raise ValueError(f"elements of {self.view} with gaps between them cannot be replaced")
        dtype = NUMPY_DTYPE[self.type.dtype]
        given = np.asarray(array)
        if not np.can_cast(given.dtype, dtype, "same_kind"):
            raise TypeError(f"{given.dtype} does not convert to {dtype} safely")
        self.memory.card.write(
            self.address, np.ascontiguousarray(np.broadcast_to(given, self.type.shape), dtype)
        )

    def copy_out(self) -> Array:
        """All elements, as a new array."""
        host = np.empty(self.span, np.uint8)
        if self.span:
            self.memory.card.fetch(host, self.address, self.view)
            self.memory.card.wait("a run")
        return self.shown(host)

    def shown(self, host: Array) -> Array:
        """The elements in a copy of the bytes from the first one on, as a new array."""
        dtype = NUMPY_DTYPE[self.type.dtype]
        return np.array(np.ndarray(self.type.shape, dtype, host, 0, self.view.strides))
