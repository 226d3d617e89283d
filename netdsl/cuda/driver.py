"""The GPUs of this machine, by NVIDIA's driver: the only file that knows `cuda.bindings`.

Kernels are compiled by `numba.cuda`, but not launched by it: a launch through it takes several times as long, and it
records no graphs.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from netdsl.backend.memory import Array, OutOfMemory
from netdsl.compat import override
from netdsl.cuda.card import VARIABLE, Bound, BoundLaunch, BoundStep, Card
from netdsl.cuda.compiler import OLDEST, is_kept
from netdsl.cuda.cubin import compile_cubin, cubin_form
from netdsl.cuda.launches import Launches, Recorded
from netdsl.cuda.pages import in_pages
from netdsl.cuda.step import Source
from netdsl.cuda.streams import bind_streams
from netdsl.extras import need
from netdsl.schedule import View
from netdsl.source import Diagnostic, NetError

PLAIN_SHARED = 48 * 1024
"""Bytes of dynamic shared memory that a kernel may have without asking."""

_FAULTS = (
    "ILLEGAL_ADDRESS",
    "ILLEGAL_INSTRUCTION",
    "MISALIGNED_ADDRESS",
    "INVALID_ADDRESS_SPACE",
    "INVALID_PC",
    "HARDWARE_STACK_ERROR",
    "LAUNCH_FAILED",
    "LAUNCH_TIMEOUT",
    "ASSERT",
)
"""The errors of kernels, of which the driver tells at a later call."""

_recording, _one_recording = threading.local(), threading.Lock()
"""Whether a thread records, and one at a time."""

_EMULATE = f"{VARIABLE}=emulated executes kernels on the processor, slowly, for checking"


class DriverCard(Card):
    """One GPU; its launches run in one stream, and what is sent ahead is copied by a second one."""

    def __init__(self, number: int) -> None:
        self._driver = _driver()
        self._process = os.getpid()
        self._faults = {getattr(self._driver.CUresult, f"CUDA_ERROR_{name}") for name in _FAULTS}
        self._failed = False
        self._open(number)
        self._functions: dict[str, Any] = {}
        self._reached: dict[int, bool] = {}

    def _open(self, number: int) -> None:
        call, driver = self._call, self._driver
        self._name = "the GPU"
        self._names = [self._named(k) for k in range(_cards(driver))]
        if number >= len(self._names):
            found = f" of number {number}; there is {self._listed()}" if self._names else ""
            raise _nothing(f"this machine has no GPU{found}")
        self._device = device = call("cuDeviceGet", number)
        name = self._names[number]
        kinds = driver.CUdevice_attribute
        major = call("cuDeviceGetAttribute", kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)
        minor = call("cuDeviceGetAttribute", kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)
        self.capability = (major, minor)
        if self.capability < OLDEST:
            raise _nothing(
                f"{name} has compute capability {major}.{minor}, kernels are made for 7.5 and newer"
            )
        self._name, self._total = name, int(call("cuDeviceTotalMem", device))
        self._context = call("cuDevicePrimaryCtxRetain", device)
        kind = driver.CUstream_flags.CU_STREAM_NON_BLOCKING
        with self._undone("cuDevicePrimaryCtxRelease", device):  # takes the streams with it
            self._enter()
            self._stream, self._copies, self._recorder = (call("cuStreamCreate", kind) for _ in range(3))

    def _named(self, number: int) -> str:
        """What a GPU is called."""
        name = self._call("cuDeviceGetName", 128, self._call("cuDeviceGet", number))
        return str(name.split(b"\0")[0].decode())

    def _listed(self) -> str:
        """All GPUs as they are chosen."""
        return ", ".join(f"cuda:{k} ({name})" for k, name in enumerate(self._names))

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call the driver; NetError with its own words where it fails."""
        error, *found = getattr(self._driver, name)(*arguments)
        if error != self._driver.CUresult.CUDA_SUCCESS:
            raise self._refused(name, error)
        return found[0] if found else None

    def _refused(self, name: str, error: Any) -> NetError:
        text = _words(self._driver, error)
        if error == self._driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
            return OutOfMemory(Diagnostic("memory", f"{self._name} has no memory left ({name}: {text})"))
        if error in self._faults:  # told by whichever call comes next
            self._failed = True
            fix = f"{_EMULATE}, and names the line that fails"
            return NetError(
                Diagnostic("device", f"the GPU failed in what it ran before {name}: {text}", fix=fix)
            )
        return NetError(Diagnostic("device", f"the CUDA driver refuses {name}: {text}"))

    @contextmanager
    def _undone(self, name: str, thing: Any) -> Iterator[None]:
        """Give something back where the body fails, whose error is told, whatever the driver says here."""
        try:
            yield
        except BaseException:
            getattr(self._driver, name)(thing)
            raise

    def _give_back(self, name: str, thing: Any, *used: Any) -> None:
        """Give something back behind the streams that use it.

        A process that was forked has none of it, and of a card that failed, as was told, nothing is left.
        """
        if os.getpid() == self._process and not self._failed:
            self._enter()
            for stream in used:
                self._call("cuStreamSynchronize", stream)
            self._call(name, thing)

    def _enter(self) -> None:
        """Make the card the one of this thread."""
        if os.getpid() != self._process:
            text = "a process that is forked cannot use the GPU of its parent"
            raise NetError(
                Diagnostic("device", text, fix='start it by the method "spawn" of multiprocessing')
            )
        self._call("cuCtxSetCurrent", self._context)

    def capacity(self) -> int:
        """Bytes of memory."""
        return self._total

    def available(self) -> int:
        """Bytes of memory that nobody uses now."""
        self._enter()
        return int(self._call("cuMemGetInfo"))

    @override
    def taken(self, sizes: Sequence[int]) -> int:
        return in_pages(sizes)

    @property
    def name(self) -> str:
        """As NVIDIA calls it."""
        return self._name

    def allocate(self, size: int) -> int:
        """The address of zeroed memory."""
        self._enter()
        address = int(self._call("cuMemAlloc", max(1, size)))
        with self._undone("cuMemFree", address):
            self._call("cuMemsetD8Async", address, 0, max(1, size), self._stream)
        return address

    def free(self, address: int) -> None:
        """Give memory back."""
        self._give_back("cuMemFree", address, self._stream, self._copies)

    def write(self, address: int, array: Array) -> None:
        """Copy the elements of an array of the host, row-major."""
        if array.nbytes:
            self._enter()
            self._call("cuMemcpyHtoDAsync", address, array.ctypes.data, array.nbytes, self._stream)

    def fetch(self, host: Array, address: int, view: View) -> None:
        """Start to copy a view, with what lies between its elements."""
        self._enter()
        self._call("cuMemcpyDtoHAsync", host.ctypes.data, address, host.nbytes, self._stream)

    def copy(self, to: int, start: int, size: int) -> None:
        """Copy bytes within the card."""
        self._enter()
        self._call("cuMemcpyDtoDAsync", to, start, size, self._stream)

    def pinned(self, size: int) -> Array:
        """Page-locked bytes."""
        self._enter()
        address = int(self._call("cuMemHostAlloc", size, self._driver.CU_MEMHOSTALLOC_PORTABLE))
        block: Any = (ctypes.c_uint8 * size).from_address(address)
        used = self._stream, self._copies
        weakref.finalize(block, self._give_back, "cuMemFreeHost", address, *used).atexit = False
        found: Array = np.frombuffer(block, np.uint8)
        return found

    def event(self) -> Any:
        """A moment that has passed."""
        self._enter()
        return self._call("cuEventCreate", self._driver.CUevent_flags.CU_EVENT_DISABLE_TIMING)

    def forget_event(self, event: Any) -> None:
        """Give an event back."""
        self._give_back("cuEventDestroy", event)

    def send(self, address: int, host: Array, after: Any, landed: Any) -> None:
        """Copy page-locked bytes by the second stream."""
        self._enter()
        self._call("cuStreamWaitEvent", self._copies, after, 0)
        self._call("cuMemcpyHtoDAsync", address, host.ctypes.data, host.nbytes, self._copies)
        self._call("cuEventRecord", landed, self._copies)

    def follow(self, landed: Any) -> None:
        """Let launches wait for an event."""
        self._enter()
        self._call("cuStreamWaitEvent", self._now, landed, 0)

    def mark(self, event: Any) -> None:
        """Record an event behind the launches."""
        self._enter()
        self._call("cuEventRecord", event, self._now)

    def settle(self, event: Any) -> None:
        """Wait for an event."""
        self._enter()
        self._call("cuEventSynchronize", event)

    def load(self, source: Source, shared: int) -> Any:
        """The function of a kernel, as machine code of this card."""
        key = source.key
        if key not in self._functions:
            self._enter()
            self.compiled += not is_kept(source, self.capability, cubin_form())
            module = self._call("cuModuleLoadData", compile_cubin(source, self.capability))
            (self._functions[key],) = self._call("cuModuleEnumerateFunctions", 1, module)
        if shared > PLAIN_SHARED:
            kind = self._driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            self._call("cuFuncSetAttribute", self._functions[key], kind, shared)
        return self._functions[key]

    def bind(self, steps: Sequence[BoundStep], replayed: bool = False) -> Bound:
        """The steps, or a CUDA graph of them, which costs the host one call for all."""
        launches = [s for s in steps if isinstance(s, BoundLaunch) and s.card is self]
        if len(launches) < len(steps):
            return bind_streams(self, steps, replayed)
        return Recorded(self, launches) if replayed and launches else Launches(self, launches)

    def copy_over(self, target: int, source: int, size: int) -> None:
        """Copy bytes to another card, which is found by the address: graphs hold no cuMemcpyPeerAsync."""
        self._enter()
        self._call("cuMemcpyAsync", target, source, size, self._now)

    def reaches(self, other: DriverCard) -> bool:
        """Whether this card uses the memory of another one without the host; if it can, it does from now on."""
        key = int(other._device)
        if key not in self._reached:
            self._reached[key] = bool(self._call("cuDeviceCanAccessPeer", self._device, other._device))
            if self._reached[key]:
                self._enter()
                error = self._driver.cuCtxEnablePeerAccess(other._context, 0)[0]
                results = self._driver.CUresult
                if error not in (results.CUDA_SUCCESS, results.CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED):
                    raise self._refused("cuCtxEnablePeerAccess", error)
        return self._reached[key]

    def start(self, calls: Sequence[tuple[Any, ...]]) -> None:
        """Launch kernels, each with what `cuLaunchKernel` takes before the stream and behind it."""
        self._enter()
        launch, success, stream = self._driver.cuLaunchKernel, self._driver.CUresult.CUDA_SUCCESS, self._now
        for head, tail in calls:
            error, *_ = launch(*head, stream, *tail)
            if error != success:
                raise self._refused("cuLaunchKernel", error)

    @property
    def _now(self) -> Any:
        """Where this thread's launches go: the stream in which they run, or the one that it records."""
        return self._recorder if getattr(_recording, "on", False) else self._stream

    def capture(self, start: Callable[[], None]) -> Any:
        """A CUDA graph of what `start` puts into the stream, and into others that wait for it and end before it.

        Streams of their own are recorded: in those that run, other threads launch, copy and wait meanwhile, and
        their work would be recorded instead of done.
        """
        modes, call, driver = self._driver.CUstreamCaptureMode, self._call, self._driver
        with _one_recording:
            self._enter()
            call("cuStreamBeginCapture", self._recorder, modes.CU_STREAM_CAPTURE_MODE_RELAXED)
            _recording.on = True
            try:
                start()
                self._enter()
            except BaseException:
                driver.cuCtxSetCurrent(self._context)
                driver.cuGraphDestroy(driver.cuStreamEndCapture(self._recorder)[1])
                raise
            finally:
                _recording.on = False
            graph = call("cuStreamEndCapture", self._recorder)
        with self._undone("cuGraphDestroy", graph):
            made = call("cuGraphInstantiate", graph, 0)
        with self._undone("cuGraphExecDestroy", made):
            call("cuGraphDestroy", graph)
        return made

    def forget(self, graph: Any) -> None:
        """Give a graph back."""
        self._give_back("cuGraphExecDestroy", graph)

    def replay(self, graph: Any) -> None:
        """Start a recorded graph."""
        self._enter()
        self._call("cuGraphLaunch", graph, self._stream)

    def wait(self, what: str) -> None:
        """Return when all that was launched is done; NetError, with `what` ran, where it failed."""
        error, *_ = self._driver.cuStreamSynchronize(self._stream)
        if error in self._faults:
            self._failed = True
            text = f"the GPU failed in {what}: {_words(self._driver, error)}"
            raise NetError(Diagnostic("device", text, fix=f"{_EMULATE}, and names the line that fails"))
        if error != self._driver.CUresult.CUDA_SUCCESS:
            raise self._refused("cuStreamSynchronize", error)

    def facts(self) -> Mapping[str, Any]:
        """The card, its memory and its driver."""
        version = self._call("cuDriverGetVersion")
        capability = f"sm_{self.capability[0]}{self.capability[1]}"
        return {
            "cuda": f"{self._name}, {capability}, {self._total / 2**30:.1f} GiB",
            **({"gpus": self._listed()} if len(self._names) > 1 else {}),
            "cuda_driver": f"CUDA {version // 1000}.{version % 1000 // 10}",
        }


@functools.cache
def _driver() -> Any:
    """`cuda.bindings.driver`, initialised; NetError where there is no driver, or one that is too old."""
    need("numba_cuda", "numba-cuda", "computing on a GPU", "device")
    driver = importlib.import_module("cuda.bindings.driver")
    pathfinder = importlib.import_module("cuda.pathfinder")
    try:
        error, *_ = driver.cuInit(0)
    except pathfinder.DynamicLibNotFoundError:
        raise _nothing("no NVIDIA driver is found on this machine") from None
    if error == driver.CUresult.CUDA_ERROR_NO_DEVICE:
        raise _nothing("the NVIDIA driver finds no GPU")
    if error != driver.CUresult.CUDA_SUCCESS:
        raise _nothing(f"the NVIDIA driver does not start: {_words(driver, error)}")
    newest = int(driver.cuDriverGetVersion()[1])
    made = int(importlib.import_module("cuda.bindings.nvjitlink").version()[0])
    if newest // 1000 < made:
        text = f"the NVIDIA driver knows CUDA {newest // 1000}.{newest % 1000 // 10}, kernels are made by CUDA {made}"
        raise NetError(Diagnostic("device", text, fix="install a newer NVIDIA driver"))
    return driver


def _words(driver: Any, error: Any) -> str:
    """What the driver says of an error."""
    said = driver.cuGetErrorString(error)[1]
    return said.decode() if isinstance(said, bytes) else str(error)


def count() -> int:
    """How many GPUs the driver finds; NetError where there is no driver."""
    return _cards(_driver())


def _cards(driver: Any) -> int:
    error, count = driver.cuDeviceGetCount()
    if error != driver.CUresult.CUDA_SUCCESS:
        raise _nothing(
            f"the NVIDIA driver does not count its GPUs (cuDeviceGetCount): {_words(driver, error)}"
        )
    return int(count)


def _nothing(text: str) -> NetError:
    return NetError(Diagnostic("device", text, fix=f"--device cpu computes on the processor; {_EMULATE}"))
