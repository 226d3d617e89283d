"""Memory with a state for every byte: what a GPU holds, what it says of a wrong access, and the host's way to it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from netdsl.cuda.emulator.errors import HostAccessError, OutOfMemory

Array: TypeAlias = Any
"""A NumPy array with an element for each lane, or a NumPy scalar where all lanes agree."""

ALLOCATED, INITIALISED, WRITABLE, IN_FLIGHT, FREED = 1, 2, 4, 8, 16
FRESH: Final = ALLOCATED | WRITABLE
WRITTEN: Final = ALLOCATED | WRITABLE | INITIALISED
POISON: Final = 0xCD

#: a device's global memory begins at GLOBAL + device * DEVICE
GLOBAL: Final = 0x7000_0000_0000
DEVICE: Final = 0x0100_0000_0000

ALIGNMENT: Final = 256
GUARD: Final = 4096
"""Bytes before, between and after allocations, where every access is out of bounds."""


class Space:
    """Bytes, a state for each, and views of both as elements of 1, 2, 4 or 8 bytes."""

    def __init__(self, size: int) -> None:
        self.data: np.ndarray[Any, Any] = np.zeros(size + (-size) % 16, np.uint8)
        self.state: np.ndarray[Any, Any] = np.zeros(self.data.size, np.uint8)
        self._views: dict[tuple[str, np.dtype[Any]], np.ndarray[Any, Any]] = {}

    def view(self, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """The bytes as elements of a type."""
        return self._view("data", dtype)

    def states(self, width: int) -> np.ndarray[Any, Any]:
        """The states of `width` bytes as one word."""
        return self._view("state", np.dtype(f"u{width}"))

    def common(self, low: int, high: int, rows: int = 1) -> int:
        """The flags that bytes `low` to `high` have in all of `rows` equal parts; perhaps fewer, never more."""
        parts = self.states(8).reshape(rows, -1)[:, low >> 3 : (high + 7) >> 3]
        flags = int(np.bitwise_and.reduce(parts, axis=None))
        for shift in (32, 16, 8):
            flags &= flags >> shift
        return flags & 0xFF

    def _view(self, name: str, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        key = (name, dtype)
        if key not in self._views:
            self._views[key] = getattr(self, name).view(dtype)
        return self._views[key]


def pattern(flags: int, width: int) -> np.unsignedinteger[Any]:
    """The state `flags` for each of `width` bytes, as one word."""
    word: np.unsignedinteger[Any] = np.dtype(f"u{width}").type(
        int.from_bytes(bytes([flags]) * width, "little")
    )
    return word


@dataclass(frozen=True)
class Allocation:
    """A range of bytes that somebody asked for."""

    offset: int
    size: int

    @property
    def room(self) -> int:
        """Bytes up to the next allocation: at least a guard zone, for large ones half as much again."""
        return -(-(self.size + max(GUARD, self.size // 2)) // ALIGNMENT) * ALIGNMENT


class DeviceMemory(Space):
    """The global memory of one device: allocations between guard zones.

    `capacity` is in bytes, guard zones included; the operating system gives pages when they are written.  Freed
    ranges are used again only when nothing else is left, so that accesses to them are found.
    """

    def __init__(self, device: int = 0, capacity: int = 1 << 30) -> None:
        if not 0 < capacity < DEVICE:
            raise OutOfMemory(f"a device of {capacity:,} bytes")
        super().__init__(capacity)
        self.device, self.base = device, GLOBAL + device * DEVICE
        self._next = GUARD
        self._live: dict[int, Allocation] = {}
        self._freed: list[Allocation] = []
        self._starts: list[int] = []
        self._known: dict[int, Allocation] = {}

    @property
    def used(self) -> int:
        """Bytes up to the end of the last allocation."""
        return self._next

    @property
    def held(self) -> int:
        """Bytes of the allocations that were not freed."""
        return sum(one.size for one in self._live.values())

    def allocate(self, size: int) -> int:
        """The address of `size` new bytes, a multiple of 256; raises OutOfMemory."""
        if size < 0:
            raise OutOfMemory(f"an allocation of {size} bytes")
        found = Allocation(self._next, size)
        if found.offset + found.room > self.data.size:
            found = self._reused(size)
        else:
            self._next += found.room
            self._starts.append(found.offset)
        self._known[found.offset] = self._live[found.offset] = found
        self.state[found.offset : found.offset + size] = FRESH
        self.data[found.offset : found.offset + size] = POISON
        return self.base + found.offset

    def _reused(self, size: int) -> Allocation:
        for old in self._freed:
            if old.size >= size:
                self._freed.remove(old)
                self.state[old.offset : old.offset + old.size] = 0
                return Allocation(old.offset, size)
        free = max(0, self.data.size - self._next - GUARD)
        raise OutOfMemory(f"an allocation of {size:,} bytes; {free:,} of {self.data.size:,} are left")

    def free(self, address: int) -> None:
        """Give an allocation back; whoever touches it later is told so."""
        found = self._live.pop(address - self.base, None)
        if found is None:
            raise HostAccessError(f"no allocation begins at {address:#x}")
        self.state[found.offset : found.offset + found.size] = FREED
        self._freed.append(found)

    def write(self, address: int, values: Array | bytes) -> None:
        """Copy an array of the host, in C order, or bytes."""
        data = np.frombuffer(values, np.uint8) if isinstance(values, bytes | bytearray) else values
        flat = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        start = self._range(address, flat.size)
        self.data[start : start + flat.size] = flat
        self.state[start : start + flat.size] |= INITIALISED

    def read(self, address: int, size: int) -> np.ndarray[Any, Any]:
        """A copy of `size` bytes for the host; raises HostAccessError where nothing was written."""
        start = self._range(address, size)
        missing = self.state[start : start + size] & INITIALISED == 0
        if missing.any():
            where = address + int(missing.argmax())
            raise HostAccessError(
                f"{int(missing.sum()):,} of {size:,} bytes were not written, the first at {where:#x}"
            )
        return self.data[start : start + size].copy()

    def read_strided(
        self, address: int, shape: Sequence[int], dtype: np.dtype[Any], strides: Sequence[int]
    ) -> np.ndarray[Any, Any]:
        """A copy of elements that lie `strides` bytes apart, and of nothing between them."""
        steps = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
        if not all(shape):
            return np.zeros(tuple(shape), dtype)
        start = self._range(address, sum(steps) + dtype.itemsize)
        states = np.ndarray((*shape, dtype.itemsize), np.uint8, self.state, start, (*strides, 1))
        if missing := int((states & INITIALISED == 0).sum()):
            raise HostAccessError(f"{missing:,} of {states.size:,} bytes at {address:#x} were not written")
        return np.ndarray(tuple(shape), dtype, self.data, start, tuple(strides)).copy()

    def fill(self, address: int, value: int, count: int, width: int = 1) -> None:
        """Write `count` elements of `width` bytes, each `value`."""
        start = self._range(address, count * width)
        element = (value % (1 << 8 * width)).to_bytes(width, "little")
        self.data[start : start + count * width].reshape(count, width)[:] = np.frombuffer(element, np.uint8)
        self.state[start : start + count * width] |= INITIALISED

    def copy(self, target: int, source: int, size: int, source_memory: DeviceMemory | None = None) -> None:
        """Copy within the device, or from another one; what was not written stays unwritten."""
        other = source_memory or self
        start, begin = self._range(target, size), other._range(source, size)
        self.data[start : start + size] = other.data[begin : begin + size].copy()
        states = (other.state[begin : begin + size] & INITIALISED).copy()
        self.state[start : start + size] = self.state[start : start + size] & ~np.uint8(INITIALISED) | states

    def poison(self, address: int, size: int) -> None:
        """Declare bytes dead: reading them before they are written again is a fault."""
        start = self._range(address, size)
        self.data[start : start + size] = POISON
        self.state[start : start + size] &= ~np.uint8(INITIALISED)

    def protect(self, address: int, size: int, protected: bool = True) -> None:
        """Forbid kernels to write here, or allow it again."""
        start = self._range(address, size)
        if protected:
            self.state[start : start + size] &= ~np.uint8(WRITABLE)
        else:
            self.state[start : start + size] |= WRITABLE

    def _range(self, address: int, size: int) -> int:
        """The offset of a range that lies in one allocation."""
        offset = address - self.base
        found = self._before(offset)
        inside = found and offset + size <= found.offset + found.size and found.offset in self._live
        if size < 0 or not inside:
            raise HostAccessError(f"{size:,} bytes at {address:#x}: {self.describe(address)}")
        return offset

    def _before(self, offset: int) -> Allocation | None:
        index = bisect_right(self._starts, offset) - 1
        return self._known[self._starts[index]] if index >= 0 else None

    def describe(self, address: int) -> str:
        """Where an address lies, for people."""
        offset = address - self.base
        if not 0 <= offset < self.data.size:
            device = (address - GLOBAL) // DEVICE
            if GLOBAL <= address and device != self.device:
                return f"this is memory of device {device}, and not of device {self.device}"
            return f"this is no address of device {self.device}"
        found = self._before(offset)
        if found is None:
            return "this lies before every allocation"
        title = f"the allocation of {found.size:,} bytes at {self.base + found.offset:#x}"
        if offset >= found.offset + found.size:
            return f"{offset - found.offset - found.size:,} bytes after the end of {title}"
        freed = ", which was freed" if found.offset not in self._live else ""
        return f"{offset - found.offset:,} bytes into {title}{freed}"
