"""From PTX to the machine code of one kind of card, by NVIDIA's linker `nvjitlink`; no card is needed.

A driver could do that too, when a kernel is loaded, but one that is older than the compiler refuses its PTX.

A kernel says how many blocks a multiprocessor shall hold, which bounds the registers of a thread.  Where these do not
do on some kind of card, so that a thread would put values away into memory, its code is for one block fewer.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from netdsl.cuda.compiler import CACHE, compile_ptx, key_of
from netdsl.cuda.step import Source
from netdsl.extras import need
from netdsl.source import Diagnostic, NetError

_BLOCKS = re.compile(r"(?<=\.minnctapersm )\d+")
_SPILLS = re.compile(r"\b[1-9]\d* bytes spill")


def compile_cubin(source: Source, capability: tuple[int, int]) -> bytes:
    """The machine code of a kernel for cards of exactly this compute capability."""
    key = key_of(source, capability, cubin_form())
    kept = CACHE.load(key)
    if kept is not None:
        return kept
    code, *_ = assemble(compile_ptx(source, capability), capability)
    CACHE.store(key, code)
    return code


def cubin_form() -> str:
    """The form in which machine code is kept."""
    return f"cubin without spills {linker_version()}"


def linker_version() -> tuple[int, int]:
    """Of nvjitlink, major and minor."""
    major, minor = _linker().version()
    return major, minor


def assemble(ptx: str, capability: tuple[int, int]) -> tuple[bytes, str, int]:
    """The machine code, what the assembler says of it (registers, memory, spills), and the blocks that it is for.

    These are 0 for a kernel that names none.  Errors: NetError if the assembler refuses.
    """
    code, said = _assembled(ptx, capability)
    found = _BLOCKS.search(ptx)
    blocks = int(found[0]) if found else 0
    while blocks > 1 and _SPILLS.search(said):
        blocks -= 1
        code, said = _assembled(_BLOCKS.sub(str(blocks), ptx), capability)
    return code, said, blocks


def _assembled(ptx: str, capability: tuple[int, int]) -> tuple[bytes, str]:
    linker = _linker()
    major, minor = capability
    handle = linker.create(2, [f"-arch=sm_{major}{minor}", "-verbose"])
    try:
        data = ptx.encode()
        linker.add_data(handle, linker.InputType.PTX, data, len(data), "kernel")
        linker.complete(handle)
        code = bytearray(linker.get_linked_cubin_size(handle))
        linker.get_linked_cubin(handle, code)
        return bytes(code), _log(handle, linker.get_info_log_size, linker.get_info_log)
    except linker.nvJitLinkError as error:
        said = _log(handle, linker.get_error_log_size, linker.get_error_log) or str(error)
        raise NetError(
            Diagnostic("device", f"nvjitlink refuses a kernel for sm_{major}{minor}: {said}")
        ) from None
    finally:
        linker.destroy(handle)


def _log(handle: int, size: Any, read: Any) -> str:
    text = bytearray(size(handle))
    read(handle, text)
    return text.decode(errors="replace").rstrip("\0\n ")


def _linker() -> Any:
    need("numba_cuda", "numba-cuda", "computing on a GPU", "device")
    return importlib.import_module("cuda.bindings.nvjitlink")
