"""What the assembler made of a kernel: registers, memory, barriers, and its instructions.

The figures are those that the assembler says itself.  Instructions are read by NVIDIA's `nvdisasm`, where it is
installed.
"""

from __future__ import annotations

import functools
import importlib
import json
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from netdsl.cuda.compiler import CACHE, compile_ptx, key_of
from netdsl.cuda.cubin import assemble, cubin_form
from netdsl.cuda.occupancy import resident_blocks
from netdsl.cuda.step import Launch, Source

_SAID = {
    "registers": r"Used (\d+) registers",
    "barriers": r"used (\d+) barriers",
    "stack": r"(\d+) bytes stack frame",
    "stores": r"(\d+) bytes spill stores",
    "loads": r"(\d+) bytes spill loads",
}
_SHARED = re.compile(r"^\s*(?:\.visible )?\.shared .*\.b8 [\w$]+\[(\d+)\];", re.M)
_INSTRUCTION = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?\w+\s+)?([A-Z][\w.]*)", re.M)
#: kinds of instructions by how their names begin or what is in them
_KINDS = {
    "f64": r"(?:D(?:ADD|MUL|FMA|SETP|MNMX|MMA)\b|.*\.F64\b|.*RCP64H|.*RSQ64H)",
    "local": r"(?:LDL|STL)\b",
    "barriers": r"BAR\b",
    "matrix": r"(?:HMMA\.1688|HMMA\.16816|[HQU]?GMMA)",
    "wide loads": r"(?:LDG\b.*\.128|LDGSTS\b.*\.128)",
    "wide stores": r"STG\b.*\.128",
}


@dataclass(frozen=True)
class MachineCode:
    """The machine code of a kernel for one kind of card.

    `registers` of a thread, hardware `barriers` and static `shared` bytes of a block; `stack` bytes of a thread, and
    those that it stores and loads because registers ran out.  `blocks` are those that a multiprocessor shall hold, by
    which registers are bounded.  `instructions` has how often each stands in the code, by its whole name; None where
    nothing was there to read them.
    """

    registers: int
    blocks: int
    barriers: int
    shared: int
    stack: int
    stores: int
    loads: int
    instructions: Mapping[str, int] | None

    def count(self, kind: str) -> int:
        """Instructions of a kind: "f64", "local", "barriers", "matrix", "wide loads", "wide stores"."""
        pattern = re.compile(_KINDS[kind])
        return sum(n for name, n in (self.instructions or {}).items() if pattern.match(name))

    def resident(self, launch: Launch, capability: tuple[int, int]) -> int:
        """Blocks of a launch of it that a multiprocessor holds at once."""
        return resident_blocks(capability, launch.threads, self.registers, self.shared + launch.shared)


def machine_code(source: Source, capability: tuple[int, int]) -> MachineCode:
    """What becomes of a kernel on cards of a compute capability; no card is needed, and it is kept on disk."""
    tool = _disassembler()
    read = repr((_SAID, _SHARED.pattern, _INSTRUCTION.pattern))
    key = key_of(source, capability, f"machine code {cubin_form()} {tool is not None} {read}")
    kept = CACHE.load(key)
    if kept is None:
        ptx = compile_ptx(source, capability)
        code, said, blocks = assemble(ptx, capability)
        # The assembler counts what the system takes of shared memory for some cards, the PTX never.
        shared = sum(map(int, _SHARED.findall(ptx)))
        found = MachineCode(
            **_figures(said), blocks=blocks, shared=shared, instructions=_instructions(code) if tool else None
        )
        kept = json.dumps(asdict(found)).encode()
        CACHE.store(key, kept)
    return MachineCode(**json.loads(kept))


def _figures(said: str) -> dict[str, int]:
    """The numbers in the words of the assembler; what it does not mention is 0."""
    found = {name: re.search(pattern, said) for name, pattern in _SAID.items()}
    assert found["registers"], said
    return {name: int(m[1]) if m else 0 for name, m in found.items()}


def _instructions(code: bytes) -> dict[str, int]:
    """How often each instruction stands in machine code."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(code)
        # The program that was installed beside the compiler, and no shell.
        command = [str(_disassembler()), "-c", "-ndf", str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return dict(sorted(Counter(_INSTRUCTION.findall(done.stdout)).items()))


@functools.cache
def _disassembler() -> Any:
    """Where nvdisasm is; None where it is not installed."""
    return importlib.import_module("cuda.pathfinder").find_nvidia_binary_utility("nvdisasm")
