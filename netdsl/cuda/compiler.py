"""From the source of a kernel to PTX: the only file that knows `numba.cuda`.

`numba.cuda` makes LLVM IR of the text, in which tapes are calls of functions that are only declared; the functions
are added as a module of their own, and libnvvm, which carries libdevice, makes PTX of both.  Texts that differ in
their tapes alone go through `numba.cuda` once: that takes ten times as long as all the rest.  A GPU is not needed.
What is kept on disk is the IR, by the text, and the PTX, by the source and the architecture; both by the versions of
the compilers too.  The IR is the same for all cards.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import linecache
import math
import sys
import zlib
from collections import ChainMap
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from llvmlite import ir

from netdsl.backend.kernel_cache import Sources
from netdsl.backend.tape import Tape
from netdsl.cache import Cache
from netdsl.cuda.codegen.scalar import emit, types_of
from netdsl.cuda.intrinsics import intrinsics
from netdsl.cuda.step import Parameter, Source
from netdsl.cuda.tensor_intrinsics import tensor_intrinsics
from netdsl.cuda.tile_intrinsics import tile_intrinsics
from netdsl.extras import need
from netdsl.native.emit import F32, I1, I32, I64
from netdsl.source import Diagnostic, NetError

CACHE = Cache("cuda")
OLDEST = (7, 5)
"""The compute capability of the oldest cards that the compilers write code for."""
PTX = "ptx"
"""The form in which the emulator takes kernels."""
#: what shapes the code of tapes beside the tapes themselves
_PRINTERS = Sources([Path(__file__).parents[1] / "native", Path(__file__).parent / "codegen"])
_COMPILERS = ("numba-cuda", "numba", "llvmlite")
_FAMILIES = (intrinsics, tile_intrinsics, tensor_intrinsics)
_TRIPLE = "nvptx64-nvidia-cuda"
_TYPES = ("float32", "int32", "int64", "uint8", "uint32", "uint64", "boolean")


def compile_ptx(source: Source, capability: tuple[int, int]) -> str:
    """The PTX of a kernel for cards of a compute capability, such as (9, 0), and newer ones.

    Errors: NetError where numba-cuda is not installed.
    """

    def make() -> str:
        modules = [_ir_of_text(source)]
        modules += [_ir_of_tapes(source.tapes)] if source.tapes else []
        nvvm = importlib.import_module("numba.cuda.cudadrv.nvvm")
        made: bytes = nvvm.compile_ir(modules, opt=3, arch=f"compute_{capability[0]}{capability[1]}")
        return made.decode().strip("\0\n ")

    return _kept(key_of(source, capability, PTX), make)


def _kept(key: str, make: Callable[[], str]) -> str:
    kept = CACHE.load(key)
    if kept is not None:
        return zlib.decompress(kept).decode()
    made = make()
    CACHE.store(key, zlib.compress(made.encode()))
    return made


def is_kept(source: Source, capability: tuple[int, int], form: str) -> bool:
    """Whether a form of a kernel is on disk, and need not be compiled."""
    return CACHE.load(key_of(source, capability, form)) is not None


def key_of(source: Source, capability: tuple[int, int], form: str) -> str:
    """What a form of a kernel is kept under: its content, the card and the compilers."""
    return _key(source.key, capability, form, _PRINTERS.digest if source.tapes else "")


def _key(*content: object) -> str:
    return hashlib.sha256(repr((*content, _versions(), _own())).encode()).hexdigest()


def _ir_of_text(source: Source) -> str:
    """The LLVM IR of a text, with the tapes declared."""
    tapes = tuple(tuple(map(tuple, types_of(program))) for program in source.tapes)
    key = _key(source.text, source.parameters, source.bounds, tapes, "ir")
    return _kept(key, lambda: lowered(source, key))


def lowered(source: Source, key: str, capability: tuple[int, int] = OLDEST) -> str:
    """The LLVM IR of a text; nothing but names in it tells for which cards it was made."""
    cuda = _numba_cuda()
    names: dict[str, Any] = {"cuda": cuda, "libdevice": cuda.libdevice, "math": math}
    names |= {name: getattr(cuda.types, name) for name in _TYPES} | _intrinsics()
    names |= {_name(k): _declared(cuda, k, program) for k, program in enumerate(source.tapes)}
    file = f"<kernel {key}>"
    # numba.cuda and tracebacks find the lines there.
    linecache.cache[file] = (len(source.text), None, source.text.splitlines(keepends=True), file)
    # Text that this package wrote from numbers and operators of its own; numba.cuda compiles functions, no text.
    exec(compile(source.text, file, "exec"), names)
    signature = cuda.types.void(*(_type(cuda.types, p) for p in source.parameters))
    # What `cuda.compile` does before it calls libnvvm.  No lineinfo: it doubles the time, and NVVM makes invalid
    # names for some of the variables.
    compiler = importlib.import_module("numba.cuda.compiler")
    library, _ = compiler._compile_pyfunc_with_fixup(
        names["kernel"], signature, cc=capability, device=False, abi="numba", launch_bounds=source.bounds
    )
    (made,) = library.llvm_strs
    return str(made)


# -- tapes --------------------------------------------------------------------------------------------------

_LLVM = {"float32": F32, "int64": I64, "uint32": I32, "boolean": I1}


def _name(k: int) -> str:
    """The name of the function of a tape, in the text and in the IR."""
    return f"tape{k}"


def _function(module: ir.Module, k: int, program: Tape) -> ir.Function:
    """The function of a tape in a module, without its code: it gives a structure."""
    taken, given = ([_LLVM[name] for name in names] for names in types_of(program))
    return ir.Function(module, ir.FunctionType(ir.LiteralStructType(given), taken), _name(k))


def _declared(cuda: Any, k: int, program: Tape) -> Any:
    """A tape in a text: from a tuple of values to a tuple, by a call of its function."""
    taken, given = (
        cuda.types.Tuple([getattr(cuda.types, name) for name in names]) for names in types_of(program)
    )

    def typed(context: Any, values: Any) -> Any:  # numba.cuda calls it by position, with types
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            values = [builder.extract_value(arguments[0], n) for n in range(len(taken))]
            function = builder.module.globals.get(_name(k)) or _function(builder.module, k, program)
            found = builder.call(function, values)
            results = [builder.extract_value(found, n) for n in range(len(given))]
            return context.make_tuple(builder, given, results)

        return given(taken), generate

    return importlib.import_module("numba.cuda.extending").intrinsic(typed)


def _ir_of_tapes(tapes: Sequence[Tape]) -> str:
    """The LLVM IR of the functions, which libnvvm inlines and throws away."""
    module = ir.Module("tapes")
    nvvm = importlib.import_module("numba.cuda.cudadrv.nvvm")
    module.triple, module.data_layout = _TRIPLE, nvvm.NVVM().data_layout
    nvvm.add_ir_version(module)
    for k, program in enumerate(tapes):
        function = _function(module, k, program)
        function.linkage = "linkonce_odr"
        function.attributes.add("alwaysinline")
        builder = ir.IRBuilder(function.append_basic_block())
        results = emit(program, builder, list(function.args))
        made = ir.Constant(function.function_type.return_type, ir.Undefined)
        for n, result in enumerate(results):
            made = builder.insert_value(made, result, n)
        builder.ret(made)
    return str(module)


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
    return (*(metadata.version(name) for name in _COMPILERS), _nvvm())


def _nvvm() -> str:
    """Which libnvvm is used: the version of its package, or which file it is where a CUDA toolkit brings it."""
    try:
        return metadata.version("nvidia-nvvm")
    except metadata.PackageNotFoundError:
        path = Path(importlib.import_module("cuda.pathfinder").load_nvidia_dynamic_lib("nvvm").abs_path)
        return f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}"


@functools.cache
def _own() -> str:
    """A hash of this file and of the instructions that this package adds."""
    modules = (sys.modules[function.__module__] for function in (key_of, *_FAMILIES))
    return hashlib.sha256("".join(map(inspect.getsource, modules)).encode()).hexdigest()


@functools.cache
def _intrinsics() -> dict[str, Any]:
    numba = (_numba_cuda(), importlib.import_module("numba.cuda.extending"))
    return dict(ChainMap(*(family(*numba) for family in _FAMILIES)))


@functools.cache
def _numba_cuda() -> Any:
    """`numba.cuda` of the package numba-cuda, not that which Numba carries and no longer keeps up."""
    cuda = importlib.import_module("numba.cuda")
    if "numba_cuda" not in str(cuda.__file__):
        message = f"numba.cuda was found in {cuda.__file__}, which is that of Numba itself"
        raise NetError(Diagnostic("device", message, fix="install numba-cuda beside numba, not elsewhere"))
    importlib.import_module("numba.cuda.libdevice")
    return cuda
