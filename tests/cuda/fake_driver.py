"""Stands for `cuda.bindings.driver` where there is no GPU: its calls, on the emulator, which takes PTX for code."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from cuda.bindings import driver as real

from netdsl.cuda.emulator import DeviceMemory, Emulator, OutOfMemory

Result = real.CUresult


class FakeDriver:
    """Every call returns what the real one does: a status, then values; `calls` counts them by name."""

    CUresult = Result
    CUdevice_attribute, CUfunction_attribute = real.CUdevice_attribute, real.CUfunction_attribute
    CUstream_flags, CUstreamCaptureMode = real.CUstream_flags, real.CUstreamCaptureMode
    CUevent_flags, CU_MEMHOSTALLOC_PORTABLE = real.CUevent_flags, real.CU_MEMHOSTALLOC_PORTABLE

    def __init__(self, cards: int = 1, capability: tuple[int, int] = (9, 0), capacity: int = 1 << 24) -> None:
        self.cards, self.capability = cards, capability
        self.memory = DeviceMemory(0, capacity)
        self.emulator = Emulator(self.memory)
        self.calls: Counter[str] = Counter()
        self.fails: dict[str, Any] = {}
        self.captured: list[Any] | None = None
        self.live: set[int | str] = set()
        self.attributes: list[tuple[Any, int]] = []
        self.streams = 0
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
        return (self.memory.data.size,)

    def cuMemGetInfo(self) -> Sequence[Any]:
        return self.memory.data.size - self.memory.held, self.memory.data.size

    def cuDevicePrimaryCtxRetain(self, device: int) -> Sequence[Any]:
        return ("context",)

    def cuCtxSetCurrent(self, context: str) -> Sequence[Any]:
        assert context == "context"
        return ()

    def cuStreamCreate(self, flags: Any) -> Sequence[Any]:
        self.streams += 1
        return (("stream", "copies")[self.streams - 1],)

    def cuStreamSynchronize(self, stream: str) -> Sequence[Any]:
        if stream == "copies":
            self._do(self.waiting)
        return ()

    def _do(self, work: list[Callable[[], object]]) -> None:
        for one in [one for one in self.waiting if one in work]:
            self.waiting.remove(one)
            one()

    def cuEventCreate(self, flags: Any) -> Sequence[Any]:
        name = f"event {len(self.events)}"
        self.events[name] = []
        self.live.add(name)
        return (name,)

    def cuEventDestroy(self, event: str) -> Sequence[Any]:
        self.live.remove(event)
        return ()

    def cuEventRecord(self, event: str, stream: str) -> Sequence[Any]:
        self.events[event] = list(self.waiting) if stream == "copies" else []
        return ()

    def cuEventSynchronize(self, event: str) -> Sequence[Any]:
        self._do(self.events[event])
        return ()

    def cuStreamWaitEvent(self, stream: str, event: str, flags: int) -> Sequence[Any]:
        if stream == "stream":
            self._do(self.events[event])
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
        assert stream == "stream"
        self.memory.copy(to, start, size)
        return ()

    def cuMemAlloc(self, size: int) -> Sequence[Any]:
        assert size > 0
        address = self.memory.allocate(size)
        self.live.add(address)
        return (address,)

    def cuMemFree(self, address: int) -> Sequence[Any]:
        self.live.remove(address)
        self.memory.free(address)
        return ()

    def cuMemsetD8Async(self, address: int, value: int, count: int, stream: str) -> Sequence[Any]:
        self.memory.fill(address, value, count)
        return ()

    def cuMemcpyHtoDAsync(self, address: int, host: int, size: int, stream: str) -> Sequence[Any]:
        def copy() -> None:
            self.memory.write(address, ctypes.string_at(host, size))

        if stream == "copies":
            self.waiting.append(copy)
        else:
            copy()
        return ()

    def cuMemcpyDtoHAsync(self, host: int, address: int, size: int, stream: str) -> Sequence[Any]:
        ctypes.memmove(host, self.memory.read(address, size).ctypes.data, size)
        return ()

    def cuModuleLoadData(self, code: bytes) -> Sequence[Any]:
        return (self.emulator.load(code.decode()),)

    def cuModuleEnumerateFunctions(self, most: int, module: Any) -> Sequence[Any]:
        return ([module.kernel(name) for name in module.kernels[:most]],)

    def cuFuncSetAttribute(self, function: Any, kind: Any, value: int) -> Sequence[Any]:
        self.attributes.append((kind, value))
        return ()

    def cuLaunchKernel(self, function: Any, *rest: Any) -> Sequence[Any]:
        *shape, shared, stream, parameters, extra = rest
        assert stream == "stream" and parameters == 0
        words = (ctypes.c_void_p * 5).from_address(extra)
        assert words[0] == 1 and words[2] == 2 and not words[4]
        data = ctypes.string_at(words[1], ctypes.c_size_t.from_address(words[3]).value)
        launch = (function, shape[:3], shape[3:], data)
        if self.captured is None:
            self.emulator.launch(*launch, shared=shared)
        else:
            self.captured.append((launch, shared))
        return ()

    def cuStreamBeginCapture(self, stream: str, mode: Any) -> Sequence[Any]:
        self.captured = []
        return ()

    def cuStreamEndCapture(self, stream: str) -> Sequence[Any]:
        graph, self.captured = self.captured, None
        return (graph,)

    def cuGraphInstantiate(self, graph: Any, flags: int) -> Sequence[Any]:
        self.live.add(id(graph))
        return (graph,)

    def cuGraphDestroy(self, graph: Any) -> Sequence[Any]:
        return ()

    def cuGraphExecDestroy(self, graph: Any) -> Sequence[Any]:
        self.live.remove(id(graph))
        return ()

    def cuGraphLaunch(self, graph: Any, stream: str) -> Sequence[Any]:
        for launch, shared in graph:
            self.emulator.launch(*launch, shared=shared)
        return ()
