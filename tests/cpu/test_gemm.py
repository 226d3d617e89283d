"""The inner loops of the micro-kernels, as machine code for processors that need not be this one."""

import platform
import re

import numpy as np
import pytest

from netdsl.cpu.codegen.library import KernelLibrary
from netdsl.cpu.contract import gemm
from netdsl.cpu.contract.arguments import ODD_MULTIPLES

TARGETS = {"haswell": "8", "znver3": "8", "skylake-avx512": "16", "znver4": "16"}


def inner_loop(assembly, name):
    """The lines of the innermost loop of a kernel that multiplies."""
    start = re.search(rf"^gemm_\d+_{name}:", assembly, re.M).start()
    lines = assembly[start : assembly.index(".Lfunc_end", start)].splitlines()
    loops = []
    for end, line in enumerate(lines):
        jump = re.match(r"\s+j\w+\s+(\.L\w+)", line)
        if jump:
            starts = [k for k in range(end) if lines[k].startswith(jump.group(1) + ":")]
            if starts and any("vfmadd" in each for each in lines[starts[0] : end]):
                loops.append(lines[starts[0] + 1 : end + 1])
    return min(loops, key=len)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="x86 machine code")
@pytest.mark.parametrize("cpu", TARGETS)
def test_inner_loops_stay_in_registers(cpu, monkeypatch):
    monkeypatch.setenv("NETDSL_LANES", TARGETS[cpu])
    assembly = KernelLibrary("gemm", gemm.kernels()).assembly(cpu)
    for vectors, most in gemm.tile_rows().items():
        for rows in range(1, most + 1):
            loop = inner_loop(assembly, gemm.kernel_name(rows, vectors))
            assert sum("vfmadd" in line for line in loop) == rows * vectors, (rows, vectors)
            assert not [line for line in loop if "(%rsp)" in line], (rows, vectors)


def test_row_words():
    assert gemm.a_rows(4) == [4, 12, 20, 28, 36, 44, 52]
    assert len(gemm.a_rows(1)) == ODD_MULTIPLES
    assert np.array(gemm.a_rows(-8)).tolist()[0] == -8
