"""From the source of a kernel to PTX: the only file that knows `numba.cuda`.

A GPU is not needed, only the compiler that the package carries.  What is kept on disk is the PTX, by the source, the
architecture and the versions of the compilers.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import linecache
import math
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from netdsl.backend.kernel_cache import Sources
from netdsl.backend.tape import Tape
from netdsl.cache import Cache
from netdsl.cuda.codegen.scalar import emit, types_of
from netdsl.cuda.intrinsics import intrinsics
from netdsl.cuda.step import Parameter, Source
from netdsl.cuda.tile_intrinsics import tile_intrinsics
from netdsl.extras import need
from netdsl.source import Diagnostic, NetError

CACHE = Cache("cuda")
#: what shapes the code of tapes beside the tapes themselves
_PRINTERS = Sources([Path(__file__).parents[1] / "native", Path(__file__).parent / "codegen"])
_COMPILERS = ("numba-cuda", "numba", "llvmlite", "nvidia-nvvm")
_TYPES = ("float32", "int32", "int64", "uint8", "uint32", "uint64", "boolean")


def compile_ptx(source: Source, capability: tuple[int, int]) -> str:
    """The PTX of a kernel for cards of a compute capability, such as (9, 0), and newer ones.

    Errors: NetError where numba-cuda is not installed.
    """
    key = key_of(source, capability, "ptx")
    kept = CACHE.load(key)
    if kept is not None:
        return kept.decode()
    made = _compiled(source, capability)
    CACHE.store(key, made.encode())
    return made


def key_of(source: Source, capability: tuple[int, int], form: str) -> str:
    """What a form of a kernel is kept under: its content, the card and the compilers."""
    printers = _PRINTERS.digest if source.tapes else ""
    content = (source.key, capability, form, _versions(), _own(), printers)
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _compiled(source: Source, capability: tuple[int, int]) -> str:
    cuda = _numba_cuda()
    names: dict[str, Any] = {"cuda": cuda, "libdevice": cuda.libdevice, "math": math}
    names |= {name: getattr(cuda.types, name) for name in _TYPES} | _intrinsics()
    names |= {f"tape{k}": _tape(cuda, program) for k, program in enumerate(source.tapes)}
    file = f"<kernel {source.key}>"
    # numba.cuda and tracebacks find the lines there.
    linecache.cache[file] = (len(source.text), None, source.text.splitlines(keepends=True), file)
    # Text that this package wrote from numbers and operators of its own; numba.cuda compiles functions, no text.
    exec(compile(source.text, file, "exec"), names)
    signature = cuda.types.void(*(_type(cuda.types, p) for p in source.parameters))
    # No lineinfo: it doubles the time, and NVVM makes invalid names for some of the variables.
    ptx, _ = cuda.compile(
        names["kernel"],
        signature,
        cc=capability,
        device=False,
        abi="numba",
        output="ptx",
        launch_bounds=source.bounds,
    )
    return str(ptx)


def _tape(cuda: Any, program: Tape) -> Any:
    """The function of a tape: from a tuple of values to a tuple."""
    taken, given = (
        cuda.types.Tuple([getattr(cuda.types, name) for name in names]) for names in types_of(program)
    )

    def typed(context: Any, values: Any) -> Any:  # numba.cuda calls it by position, with types
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            values = [builder.extract_value(arguments[0], k) for k in range(len(taken))]
            return context.make_tuple(builder, given, emit(program, builder, values))

        return given(taken), generate

    return importlib.import_module("numba.cuda.extending").intrinsic(typed)


def _type(types: ModuleType, parameter: Parameter) -> Any:
    element = {
        "f32": types.float32,
        "i32": types.int32,
        "i64": types.int64,
        "u32": types.uint32,
        "bool": types.uint8,
    }
    if parameter.to is not None:
        return types.CPointer(element[parameter.to])
    assert parameter.kind is not None
    return element[parameter.kind]


@functools.cache
def _versions() -> tuple[str, ...]:
    need("numba_cuda", "numba-cuda", "computing on a GPU", "device")
    return tuple(metadata.version(name) for name in _COMPILERS)


@functools.cache
def _own() -> str:
    """A hash of the instructions that this package adds."""
    modules = (sys.modules[function.__module__] for function in (intrinsics, tile_intrinsics))
    return hashlib.sha256("".join(map(inspect.getsource, modules)).encode()).hexdigest()


@functools.cache
def _intrinsics() -> dict[str, Any]:
    numba = (_numba_cuda(), importlib.import_module("numba.cuda.extending"))
    return intrinsics(*numba) | tile_intrinsics(*numba)


@functools.cache
def _numba_cuda() -> Any:
    """`numba.cuda` of the package numba-cuda, not that which Numba carries and no longer keeps up."""
    cuda = importlib.import_module("numba.cuda")
    if "numba_cuda" not in str(cuda.__file__):
        message = f"numba.cuda was found in {cuda.__file__}, which is that of Numba itself"
        raise NetError(Diagnostic("device", message, fix="install numba-cuda beside numba, not elsewhere"))
    importlib.import_module("numba.cuda.libdevice")
    return cuda
