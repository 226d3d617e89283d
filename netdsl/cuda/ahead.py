"""Batches that are copied to a card ahead: by a second stream, from page-locked memory, while the step before runs.

A slot is page-locked memory of the host and as much of the card.  Whoever prepares batches fills its host side and
starts the copy; the step that takes the batch waits for it on the card, copies it to where the program reads, which
takes no time to speak of, and gives the slot back.  Two events order that: `landed`, behind which the host may write
again, and `used`, behind which the next copy may.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import numpy as np

from netdsl.backend.memory import Array, OutOfMemory, Staged, Tensor
from netdsl.compat import override
from netdsl.cuda.card import Card
from netdsl.cuda.memory import CudaMemory, CudaTensor
from netdsl.ir.types import NUMPY_DTYPE
from netdsl.schedule import Layout
from netdsl.schedule.memory_plan import ALIGNMENT

SPARE = 3
"""Times the size of an array that must be free where a slot for it is made.

Programs come later, for the last batch of an epoch and for evaluation, and need room for their inputs.
"""


class Ahead:
    """Starts to copy arrays; for one thread at a time.  There are as many slots as batches on their way."""

    def __init__(self, card: Card) -> None:
        self._card = card
        # No lock: whoever has one may be collecting garbage, among which are arrays that give their slots back.
        self._free: defaultdict[int, list[_Slot]] = defaultdict(list)

    def __call__(self, arrays: Mapping[str, Array]) -> dict[str, Staged]:
        """The arrays on their way; those without elements, and what the card has no room for, are left out.

        They may be changed afterwards: only one that is fed a second time is read again.
        """
        sent = {name: self._sent(array) for name, array in arrays.items() if array.nbytes}
        return {name: array for name, array in sent.items() if array is not None}

    def _sent(self, array: Array) -> _Sent | None:
        slot = self._slot(array.nbytes)
        if slot is None:
            return None
        slot.send(array)
        return _Sent(array, slot, self)

    def _slot(self, size: int) -> _Slot | None:
        """A slot that is free, or a new one; None where it would leave too little to others."""
        try:
            return self._free[size].pop()
        except IndexError:
            pass
        if self._card.available() < SPARE * size:
            return None
        try:
            return _Slot(self._card, size)
        except OutOfMemory:  # in pieces, or page-locked memory of the host
            return None

    def give_back(self, slot: _Slot) -> None:
        """Let others use a slot."""
        self._free[slot.size].append(slot)


class _Slot:
    """Room for an array on both sides."""

    def __init__(self, card: Card, size: int) -> None:
        self.card, self.size = card, size
        self.memory = CudaMemory(card, size)
        self.host = card.pinned(size)
        self.landed, self.used = self._event(), self._event()

    def _event(self) -> Any:
        event = self.card.event()
        weakref.finalize(self, self.card.forget_event, event).atexit = False
        return event

    def send(self, array: Array) -> None:
        """Copy an array to the host side, and start the copy to the card."""
        self.card.settle(self.landed)
        np.copyto(self.shown(array), array)
        self.card.send(self.memory.address, self.host, self.used, self.landed)

    def shown(self, like: Array) -> Array:
        """The host side as an array like another one."""
        found: Array = self.host.view(like.dtype).reshape(like.shape)
        return found


class _Sent(Staged):
    """An array in a slot, which is free again when the array was moved, or when nobody has this any more."""

    def __init__(self, array: Array, slot: _Slot, home: Ahead) -> None:
        self.array, self._slot = array, slot
        self._end = weakref.finalize(self, home.give_back, slot)
        self._end.atexit = False

    @override
    def move_to(self, tensor: Tensor) -> None:
        assert isinstance(tensor, CudaTensor)
        fits = self.array.dtype == NUMPY_DTYPE[tensor.type.dtype] and tensor.view.layout is Layout.DENSE
        card, slot = self._slot.card, self._slot
        if not (fits and self._end.alive and tensor.memory.card is card):
            tensor.copy_in(slot.shown(self.array) if self._end.alive else self.array)
            return
        card.follow(slot.landed)
        card.copy(tensor.address, slot.memory.address, slot.size)
        card.mark(slot.used)
        self._end()


class Results:
    """Reads what a run gives: all copies into one block of page-locked memory, and one wait for them."""

    def __init__(self, card: Card, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = {n: t for n, t in tensors.items() if isinstance(t, CudaTensor)}
        ends = [0, *accumulate(-(-t.span // ALIGNMENT) * ALIGNMENT for t in self._tensors.values())]
        host = card.pinned(max(1, ends[-1]))
        self._parts = {
            name: host[at : at + tensor.span]
            for at, (name, tensor) in zip(ends, self._tensors.items(), strict=False)
        }
        self._cards = list({id(c): c for c in (t.memory.card for t in self._tensors.values())}.values()) or [
            card
        ]

    def __call__(self) -> dict[str, Array]:
        """The results by name, as new arrays."""
        for name, tensor in self._tensors.items():
            if tensor.span:
                tensor.memory.card.fetch(self._parts[name], tensor.address, tensor.view)
        for card in self._cards:
            card.wait("a run")
        return {name: tensor.shown(self._parts[name]) for name, tensor in self._tensors.items()}
