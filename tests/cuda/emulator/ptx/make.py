"""Compiles the kernels of sources.py again, with numba-cuda: `python -m tests.cuda.emulator.ptx.make`."""

from pathlib import Path

from tests.cuda.emulator.ptx.sources import KERNELS, compiled

for name in KERNELS:
    path = Path(__file__).with_name(f"{name}.ptx")
    path.write_text(compiled(name), encoding="utf-8")
    print(path.name, len(path.read_text(encoding="utf-8")))
