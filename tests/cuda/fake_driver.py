"""Stands for `cuda.bindings.driver` where there is no GPU: its calls, on the emulator, which takes PTX for code."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from cuda.bindings import driver as real

from netdsl.cuda.emulator import DeviceMemory, Emulator, OutOfMemory
from netdsl.cuda.emulator.memory import DEVICE, GLOBAL

Result = real.CUresult
PAGE = 2 << 20


class Graph(list[Callable[[], object]]):
    """Work that was recorded; each is one of its own."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class Pages:
    """How a driver gives memory: by pages of 2 MiB, of which small allocations share some."""

    def __init__(self, capacity: int) -> None:
        self.total = self.free = capacity // PAGE
        #: what each shared page has left, and the pages of each address
        self.left: list[int] = []
        self.taken: dict[int, int] = {}

    def take(self, size: int) -> int | None:
        """The pages that an allocation takes of those that are free; None where they are too few."""
        small = -(-size // 512) * 512
        fitting = [k for k, left in enumerate(self.left) if left >= small] if small <= PAGE // 2 else []
        if fitting:
            self.left[fitting[0]] -= small
            return 0
        pages = -(-size // PAGE)
        if pages > self.free:
            return None
        self.free -= pages
        if small <= PAGE // 2:
            self.left.append(PAGE - small)
            return 0  # shared pages stay
        return pages


class FakeDriver:
    """Every call returns what the real one does: a status, then values; `calls` counts them by name."""

    CUresult = Result
    CUdevice_attribute, CUfunction_attribute = real.CUdevice_attribute, real.CUfunction_attribute
    CUstream_flags, CUstreamCaptureMode = real.CUstream_flags, real.CUstreamCaptureMode
    CUevent_flags, CU_MEMHOSTALLOC_PORTABLE = real.CUevent_flags, real.CU_MEMHOSTALLOC_PORTABLE

    def __init__(self, cards: int = 1, capability: tuple[int, int] = (9, 0), capacity: int = 1 << 24) -> None:
        self.cards, self.capability = cards, capability
        # Twice as much, for the guard zones between allocations.
        self.memories = [DeviceMemory(k, 2 * capacity) for k in range(max(1, cards))]
        self.pages = [Pages(capacity) for _ in self.memories]
        self.emulators = [Emulator(memory) for memory in self.memories]
        self.memory = self.memories[0]
        self.reach, self.reached, self.card = True, set[tuple[int, int]](), 0
        self.calls: Counter[str] = Counter()
        self.fails: dict[str, Any] = {}
        self.captured: Graph | None = None
        #: work put into each stream, how much of it comes before an event, and which streams the capture has joined
        self.work, self.marks = Counter[str](), dict[str, tuple[str, int]]()
        self.origin, self.joined, self.ended = "", set[str](), Counter[str]()
        self.live: set[Any] = set()
        self.attributes: list[tuple[Any, int]] = []
        self.streams: list[str] = []
        self.pinned: dict[int, Any] = {}
        #: what the second stream has not done yet: nothing before somebody waits for it
        self.waiting: list[Callable[[], object]] = []
        self.events: dict[str, list[Callable[[], object]]] = {}

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if not name.startswith("cu"):
            return found

        def call(*arguments: Any) -> tuple[Any, ...]:
            self.calls[name] += 1
            if name in self.fails:
                return self.fails[name], None
            try:
                return (Result.CUDA_SUCCESS, *found(*arguments))
            except OutOfMemory:
                return Result.CUDA_ERROR_OUT_OF_MEMORY, None

        return call if name != "cuGetErrorString" else found

    def cuGetErrorString(self, error: Any) -> tuple[Any, bytes]:
        return Result.CUDA_SUCCESS, error.name.lower().encode()

    def cuInit(self, flags: int) -> Sequence[Any]:
        return ()

    def cuDriverGetVersion(self) -> Sequence[Any]:
        return (13020,)

    def cuDeviceGetCount(self) -> Sequence[Any]:
        return (self.cards,)

    def cuDeviceGet(self, number: int) -> Sequence[Any]:
        return (number,)

    def cuDeviceGetName(self, size: int, device: int) -> Sequence[Any]:
        return (b"Fake H200".ljust(size, b"\0"),)

    def cuDeviceGetAttribute(self, kind: Any, device: int) -> Sequence[Any]:
        return (self.capability["MINOR" in kind.name],)

    def cuDeviceTotalMem(self, device: int) -> Sequence[Any]:
        return (self.pages[device].total * PAGE,)

    def cuMemGetInfo(self) -> Sequence[Any]:
        pages = self.pages[self.card]
        return pages.free * PAGE, pages.total * PAGE

    def cuDevicePrimaryCtxRetain(self, device: int) -> Sequence[Any]:
        return (f"context {device}",)

    def cuCtxSetCurrent(self, context: str) -> Sequence[Any]:
        self.card = int(context.removeprefix("context "))
        return ()

    def cuDeviceCanAccessPeer(self, device: int, other: int) -> Sequence[Any]:
        return (int(self.reach),)

    def cuCtxEnablePeerAccess(self, context: str, flags: int) -> Sequence[Any]:
        pair = (self.card, int(context.removeprefix("context ")))
        assert pair not in self.reached
        self.reached.add(pair)
        return ()

    def cuStreamCreate(self, flags: Any) -> Sequence[Any]:
        made = sum(name.endswith(f" {self.card}") for name in self.streams)
        self.streams.append(f"{('stream', 'copies', 'recorder')[made % 3]} {self.card}")
        return (self.streams[-1],)

    def cuDevicePrimaryCtxRelease(self, device: int) -> Sequence[Any]:
        self.streams = [name for name in self.streams if not name.endswith(f" {device}")]
        return ()

    def cuStreamSynchronize(self, stream: str) -> Sequence[Any]:
        assert stream not in self.joined, "a stream that is captured cannot be waited for"
        if stream.startswith("copies"):
            self._do(self.waiting)
        return ()

    def _do(self, work: list[Callable[[], object]]) -> None:
        for one in [one for one in self.waiting if one in work]:
            self.waiting.remove(one)
            one()

    def cuEventCreate(self, flags: Any) -> Sequence[Any]:
        name = f"event {len(self.events)}"
        self.events[name] = []
        self.marks[name] = f"stream {self.card}", 0
        self.live.add(name)
        return (name,)

    def cuEventDestroy(self, event: str) -> Sequence[Any]:
        self.live.remove(event)
        return ()

    def cuEventRecord(self, event: str, stream: str) -> Sequence[Any]:
        copies = stream.startswith("copies")
        self.events[event] = list(self.waiting) if copies else []
        assert self.marks[event][0][-1] == stream[-1], "an event of another card"
        self.marks[event] = stream, self.work[stream]
        return ()

    def cuEventSynchronize(self, event: str) -> Sequence[Any]:
        self._do(self.events[event])
        return ()

    def cuStreamWaitEvent(self, stream: str, event: str, flags: int) -> Sequence[Any]:
        other, count = self.marks[event]
        if not stream.startswith("copies"):
            self._do(self.events[event])
        if other in self.joined:
            self.joined.add(stream)
            if stream == self.origin:
                self.ended[other] = max(self.ended[other], count)
        return ()

    def _issued(self, stream: str, action: Callable[[], object]) -> None:
        """Do it at once, or when the graph runs."""
        assert stream in (f"stream {self.card}", f"recorder {self.card}"), "a stream of another card"
        self.work[stream] += 1
        if stream not in self.joined:
            assert stream.startswith("stream"), "work beside the capture"
            action()
        elif self.captured is not None:
            self.captured.append(action)

    def _memory(self, address: int) -> DeviceMemory:
        """The card that has an address."""
        return self.memories[(address - GLOBAL) // DEVICE]

    def cuMemcpyAsync(self, target: int, source: int, size: int, stream: str) -> Sequence[Any]:
        of, to = self._memory(source), self._memory(target)
        self._issued(stream, lambda: to.copy(target, source, size, of))
        return ()

    def cuMemHostAlloc(self, size: int, flags: int) -> Sequence[Any]:
        block = (ctypes.c_uint8 * size)()
        address = ctypes.addressof(block)
        self.pinned[address] = block
        self.live.add(address)
        return (address,)

    def cuMemFreeHost(self, address: int) -> Sequence[Any]:
        del self.pinned[address]
        self.live.remove(address)
        return ()

    def cuMemcpyDtoDAsync(self, to: int, start: int, size: int, stream: str) -> Sequence[Any]:
        assert stream == f"stream {self.card}"
        self._memory(to).copy(to, start, size)
        return ()

    def cuMemAlloc(self, size: int) -> Sequence[Any]:
        assert size > 0
        pages = self.pages[self.card]
        if (taken := pages.take(size)) is None:
            raise OutOfMemory(f"{size} bytes")
        address = self.memories[self.card].allocate(size)
        pages.taken[address] = taken
        self.live.add(address)
        return (address,)

    def cuMemFree(self, address: int) -> Sequence[Any]:
        self.live.remove(address)
        memory = self._memory(address)
        pages = self.pages[memory.device]
        pages.free += pages.taken.pop(address)
        memory.free(address)
        return ()

    def cuMemsetD8Async(self, address: int, value: int, count: int, stream: str) -> Sequence[Any]:
        self._memory(address).fill(address, value, count)
        return ()

    def cuMemcpyHtoDAsync(self, address: int, host: int, size: int, stream: str) -> Sequence[Any]:
        def copy() -> None:
            self._memory(address).write(address, ctypes.string_at(host, size))

        if stream.startswith("copies"):
            self.waiting.append(copy)
        else:
            copy()
        return ()

    def cuMemcpyDtoHAsync(self, host: int, address: int, size: int, stream: str) -> Sequence[Any]:
        ctypes.memmove(host, self._memory(address).read(address, size).ctypes.data, size)
        return ()

    def cuModuleLoadData(self, code: bytes) -> Sequence[Any]:
        return (self.emulators[self.card].load(code.decode()),)

    def cuModuleEnumerateFunctions(self, most: int, module: Any) -> Sequence[Any]:
        return ([module.kernel(name) for name in module.kernels[:most]],)

    def cuFuncSetAttribute(self, function: Any, kind: Any, value: int) -> Sequence[Any]:
        self.attributes.append((kind, value))
        return ()

    def cuLaunchKernel(self, function: Any, *rest: Any) -> Sequence[Any]:
        *shape, shared, stream, parameters, extra = rest
        assert parameters == 0
        words = (ctypes.c_void_p * 5).from_address(extra)
        assert words[0] == 1 and words[2] == 2 and not words[4]
        data = ctypes.string_at(words[1], ctypes.c_size_t.from_address(words[3]).value)
        launch = (function, shape[:3], shape[3:], data)
        emulator = self.emulators[self.card]
        self._issued(stream, lambda: emulator.launch(*launch, shared=shared))
        return ()

    def cuStreamBeginCapture(self, stream: str, mode: Any) -> Sequence[Any]:
        assert self.captured is None, "two captures at once"
        self.captured, self.origin, self.joined, self.ended = Graph(), stream, {stream}, Counter()
        return ()

    def cuStreamEndCapture(self, stream: str) -> Sequence[Any]:
        assert stream == self.origin
        graph, joined = self.captured, self.joined
        self.captured, self.joined = None, set()
        ended = all(self.ended[other] == self.work[other] for other in joined - {stream})
        assert ended, "a stream that joined the capture has not ended"
        self.live.add(graph)
        return (graph,)

    def cuGraphInstantiate(self, graph: Any, flags: int) -> Sequence[Any]:
        made = Graph(graph)
        self.live.add(made)
        return (made,)

    def cuGraphDestroy(self, graph: Any) -> Sequence[Any]:
        self.live.remove(graph)
        return ()

    def cuGraphExecDestroy(self, graph: Any) -> Sequence[Any]:
        self.live.remove(graph)
        return ()

    def cuGraphLaunch(self, graph: Any, stream: str) -> Sequence[Any]:
        for action in graph:
            action()
        return ()
