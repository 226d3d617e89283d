"""Sets of kernels compiled together into one object, kept on disk, and loaded by address.

Plain llvmlite rather than Numba's cache: one object holds a whole set and loads in about 2 ms without
importing Numba; an emitted kernel costs 13 ms to compile instead of 190; and the key covers all that shapes the code,
which Numba's key does not (it misses changes in the functions that emit IR). Numba compiles the kernels that are
Python functions (`NumbaKernel`), and their LLVM IR joins the same object.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, MutableSet
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, ParamSpec, Protocol, TypeVar

import llvmlite.binding as llvm
from llvmlite import ir

from netdsl.backend.forks import Turn, hold_across_forks
from netdsl.backend.kernel_cache import Sources
from netdsl.cache import Cache
from netdsl.native import host

#: compiled kernels
CACHE = Cache("cpu", "NETDSL_CACHE_DIR")
# Functions with which Numba's code calls Python, which a driver must not do.
_PYTHON = ("Py", "_Py", "numba_", "NRT_")

# Held while code is made, loaded or freed, so that threads that want the same code get one copy of it, not each its
# own, and a forked child finds LLVM in order.
_MAKING = threading.RLock()

P = ParamSpec("P")
T = TypeVar("T")

I64, VOID = ir.IntType(64), ir.VoidType()
# Of the entry of a step: its argument block, a share and the number of shares, the workspace of the thread.
ENTRY_ARGUMENTS = 4


class EmittedKernel(Protocol):
    """A kernel that writes its own LLVM IR: `void(int64 * arguments)`."""

    @property
    def arguments(self) -> int:
        """How many int64s it takes."""

    def write(self, function: ir.Function, lanes: int) -> None:
        """Fill in the body."""


@dataclass(frozen=True)
class NumbaKernel:
    """A kernel that is a Python function of int64s, which Numba compiles.

    `load` imports and returns it, so that Numba is imported only when there is something to compile.
    """

    load: Callable[[], Callable[..., None]]
    arguments: int = ENTRY_ARGUMENTS


AnyKernel = EmittedKernel | NumbaKernel


def once(make: Callable[P, T]) -> Callable[P, T]:
    """`functools.cache` for what addresses point into: threads that ask at the same time get the same object.

    The plain one lets each make its own, and lets go of all but one of them: addresses in the others would dangle.
    """
    cached = functools.cache(make)

    @functools.wraps(make)
    def get(*args: P.args, **kwargs: P.kwargs) -> T:
        with _MAKING:
            return cached(*args, **kwargs)  # type: ignore[arg-type]  # hashable, or it raises

    return get


class Library:
    """Kernels by key, compiled for this processor on first use and then taken from the user's cache.

    The cache key is a hash of `name`, `description` (all that shapes the kernels beside `sources`: for generated
    kernels, the text they are generated from), the keys, the lanes, the processor, the versions of the compilers and
    `sources`, the files of the rooms that the kernels come from. Addresses are valid as long as the library lives.
    """

    #: whether LLVM turns loops into vector code; kernels of vector code say themselves what is a vector
    vectorize: ClassVar[bool] = False

    def __init__(
        self, name: str, kernels: Mapping[str, AnyKernel], sources: Sources, description: str = ""
    ) -> None:
        self.name, self.kernels, self.lanes = name, dict(kernels), host.lanes()
        self._sources = sources
        self._entry = f"{name}-{self._stamp(description)}.o"
        self._engine: Any = None
        self.cached = True

    def address(self, key: str) -> int:
        """The address of the kernel's code.

        Errors: KeyError for a kernel that is not in the library, RuntimeError for a driver that may call back
        into Python.
        """
        with _MAKING:
            return int(self._loaded().get_function_address(self._symbols[key]))

    def load(self) -> None:
        """Compile, or take from the cache, and put the code into memory; it stays as long as the library lives."""
        self._loaded()

    def llvm_ir(self) -> str:
        """The optimised LLVM IR of all kernels, for reading."""
        with self._module(_machine()) as module:
            return str(module)

    def assembly(self, cpu: str | None = None) -> str:
        """The machine code of all kernels, for reading: for this processor, or for the one LLVM calls `cpu`."""
        machine = _machine(cpu)
        with self._module(machine) as module:
            return str(machine.emit_assembly(module))

    @functools.cached_property
    def _symbols(self) -> dict[str, str]:
        return {
            key: f"{self.name}_{number}_" + "".join(c if c.isalnum() else "_" for c in key)[:40]
            for number, key in enumerate(self.kernels)
        }

    def _stamp(self, description: str) -> str:
        kernels = [(key, type(k).__name__, k.arguments) for key, k in self.kernels.items()]
        parts = (self.name, description, kernels, self.lanes, self._sources.digest, _environment())
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]

    def _loaded(self) -> Any:
        with _MAKING:
            _LEFT.clear()
            if self._engine is None:
                code = CACHE.load(self._entry)
                if code is None:
                    self.cached = False
                    code = self._compiled()
                    # Else old code could go under the key of new sources, or the other way round.
                    if self._sources.unchanged():
                        CACHE.store(self._entry, code)
                self._engine = _load(code)
            return self._engine

    def _compiled(self) -> bytes:
        with self._module(_machine()) as module:
            return bytes(_machine().emit_object(module))

    @contextmanager
    def _module(self, machine: Any) -> Iterator[Any]:
        """The optimised module of all kernels; it ends with the block."""
        module = ir.Module(self.name)
        module.triple, module.data_layout = machine.triple, str(machine.target_data)
        for key, kernel in self.kernels.items():
            if not isinstance(kernel, NumbaKernel):
                self._define(module, key, kernel)
        # In a context of its own, as the global one keeps what it ever saw. LLVM wants modules to end before their
        # context; Python may end objects that only garbage refers to in any order, so the order is stated here.
        with llvm.create_context() as context, llvm.parse_assembly(str(module), context) as compiled:
            for key, kernel in self.kernels.items():
                if isinstance(kernel, NumbaKernel):
                    from netdsl.native.numba_ir import compiled_ir

                    text = compiled_ir(kernel.load(), kernel.arguments, self._symbols[key])
                    with llvm.parse_assembly(text, context) as part:
                        compiled.link_in(part)
            compiled.verify()
            _optimise(compiled, machine, self.vectorize)
            for function in compiled.functions:
                if function.name.startswith(_PYTHON):
                    raise RuntimeError(f"a driver of the library {self.name} calls {function.name}")
            yield compiled

    def _define(self, module: ir.Module, key: str, kernel: EmittedKernel) -> None:
        function = ir.Function(module, ir.FunctionType(VOID, [I64] * kernel.arguments), self._symbols[key])
        function.attributes.add("nounwind")
        kernel.write(function, self.lanes)


# Libraries that are no longer used but could not be freed at once.
_LEFT: list[Library] = []


def leave(libraries: MutableSet[Any]) -> None:
    """Free the libraries that nobody else holds: now, or with the next that loads while another thread makes code.

    It never waits: the garbage collector may call it in any thread, whatever locks that holds.
    """
    _LEFT.extend(libraries)
    libraries.clear()
    if _MAKING.acquire(blocking=False):
        try:
            _LEFT.clear()
        finally:
            _MAKING.release()


@functools.cache
def _machine(cpu: str | None = None) -> Any:
    """LLVM's code generator for this processor (or `cpu`), with the settings Numba uses for code in memory."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    features = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(host.cpu_features().items()))
    return target.create_target_machine(
        cpu=cpu or host.cpu_name(),
        features="" if cpu else features,
        opt=3,
        reloc="static" if target.name.startswith("x86") else "default",
        codemodel="jitdefault",
        jit=True,
    )


def _optimise(module: Any, machine: Any, vectorize: bool) -> None:
    """Run LLVM's pipeline, without unrolling where code is vectors: it would hoist loads and spill registers."""
    options = llvm.create_pipeline_tuning_options(speed_level=3 if vectorize else 2)
    options.loop_unrolling = options.loop_vectorization = options.slp_vectorization = vectorize
    options.loop_interleaving = vectorize
    builder = llvm.create_pass_builder(machine, options)
    manager = builder.getModulePassManager()
    manager.run(module, builder)
    # llvmlite means to free a manager when it is closed, but up to 0.50 its class inherits an empty method first.
    if type(manager)._dispose is llvm.ffi.ObjectRef._dispose:
        llvm.NewPassManager._dispose(manager)
    manager.close()


def _load(code: bytes) -> Any:
    """Put an object file into memory, ready to run."""
    # In the global context, which never ends: one of its own could end before the engine, which owns the module.
    empty = llvm.parse_assembly(f'target triple = "{_machine().triple}"')
    # The engine owns the machine it is given, so it gets one of its own.
    engine = llvm.create_mcjit_compiler(empty, _machine.__wrapped__())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


@functools.cache
def _environment() -> tuple[object, ...]:
    """What shapes the code of every library beside our own sources: the compilers and the processor."""
    return (
        sys.version_info[:3],
        importlib.metadata.version("llvmlite"),
        importlib.metadata.version("numba"),
        llvm.get_process_triple(),
        host.cpu_name(),
        tuple(sorted(host.cpu_features().items())),
    )


# A forked child inherits no code half made.
hold_across_forks(Turn.CODE, _MAKING.acquire, _MAKING.release)
