"""Cut the columns of a GEMM into panels of vectors, and pack the weights into the panels."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netdsl.backend.arguments import Arguments
from netdsl.backend.step import PACKED, SCRATCH, Slot, start_of
from netdsl.cpu.codegen.library import once
from netdsl.cpu.contract import gemm
from netdsl.cpu.contract.arguments import Pack, Unit
from netdsl.cpu.contract.geometry import Correlation, Geometry
from netdsl.cpu.contract.step import code, library
from netdsl.cpu.step import Step
from netdsl.native import host
from netdsl.schedule import View

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Panels:
    """Columns cut into `count` panels of `vectors` vectors, the last one narrower."""

    columns: int
    vectors: int
    lanes: int

    @property
    def width(self) -> int:
        """Columns of a panel."""
        return self.vectors * self.lanes

    @property
    def count(self) -> int:
        """How many there are."""
        return -(-self.columns // self.width)

    @property
    def ending(self) -> int:
        """Vectors that the last panel uses."""
        return -(-(self.columns - (self.count - 1) * self.width) // self.lanes)

    @property
    def tail(self) -> int:
        """Columns in the last vector of all."""
        return (self.columns - 1) % self.lanes + 1


def tile_cycles(rows: int, vectors: int) -> float:
    """Cycles of one term for `rows` rows: two multiply-adds or two loads each, and sums that wait for themselves."""
    most = gemm.tile_rows()[vectors]
    tiles = -(-rows // most)
    tall = -(-rows // tiles)
    short = tiles * tall - rows

    def cycles(height: int) -> float:
        return max(height * vectors / 2, 4.0, (height + vectors) / 2) + 0.1

    return (tiles - short) * cycles(tall) + (short * cycles(tall - 1) if short else 0)


def panels_for(rows: int, columns: int) -> Panels:
    """The panels whose tiles need the fewest cycles."""
    return _panels_for(rows, columns, host.lanes())


@functools.lru_cache(maxsize=4096)
def _panels_for(rows: int, columns: int, lanes: int) -> Panels:
    options = [Panels(columns, v, lanes) for v in gemm.tile_rows() if v <= max(1, -(-columns // lanes))]
    return min(
        options, key=lambda p: (p.count - 1) * tile_cycles(rows, p.vectors) + tile_cycles(rows, p.ending)
    )


@dataclass(frozen=True)
class KernelTable:
    """Where the table of micro-kernels with so many vectors lies, by their height."""

    vectors: int

    def __call__(self) -> int:
        """The address, for kernels of the present lanes."""
        return int(_kernel_table(self.vectors, host.lanes()).ctypes.data)


@once
def _kernel_table(vectors: int, lanes: int) -> Ints:
    heights = range(1, gemm.tile_rows()[vectors] + 1)
    return np.array([0, *(library().address(gemm.kernel_name(h, vectors)) for h in heights)], np.int64)


def line_rows(c: Correlation) -> int:
    """Rows of the GEMM that follow each other: all pixels, or those of one line where lines cannot be joined."""
    return c.pixels if c.compact else c.count[2]


class Weights:
    """Packs the kernel into panels `[group][panel][term][vectors of lanes]`, one set after another, in `memory`."""

    def __init__(self, g: Geometry, role: str, kernel: View, memory: int = PACKED) -> None:
        self.g, self.role, self.kernel, self.memory, self.size = g, role, kernel, memory, 0
        self.units: dict[int, list[Arguments]] = {}

    def add(self, c: Correlation, panels: Panels) -> int:
        """Pack the weights for a correlation; returns where they go."""
        at, features = self.size, 4 * self.g.features
        taps = np.array([t * self.g.c * features for t in _kernel_taps(c, self.g)], np.int64)
        panel_bytes = 4 * panels.width * c.depth
        column = 4 if self.role == "forward" else features
        for group in range(c.groups):
            for p in range(panels.count):
                columns = min(panels.width, c.columns - p * panels.width)
                source = 4 * self.g.f * group + p * panels.width * column
                unit = Arguments(Unit, to=self.size, source=source, taps=taps, tap_count=len(taps))
                unit.fill(rows=c.channels, columns=columns)
                self.units.setdefault(panels.vectors, []).append(unit)
                self.size += panel_bytes
        return at

    def steps(self) -> tuple[Step, ...]:
        """A step for each width of panels."""
        return tuple(self._step(vectors, units) for vectors, units in self.units.items())

    def _step(self, vectors: int, units: list[Arguments]) -> Step:
        copy = "copy_panel" if self.role == "forward" else "copy_panel_transposed"
        block = Arguments(Pack, units=units, unit_count=len(units), copy=code(copy), vectors=vectors)
        block.fill(row=4 * vectors * host.lanes(), step=4 * self.g.features)
        block.fill(source=Slot(self.kernel), to=Slot(start_of(self.memory), written=True))
        title = self.g.title(self.role).replace("contract", "pack")
        return Step(title, code("pack"), block, self.size if self.memory == SCRATCH else 0, len(units))


def _kernel_taps(c: Correlation, g: Geometry) -> list[int]:
    """The numbers of the taps of a correlation in the kernel, in the order of its terms."""
    return [(z * g.k[1] + y) * g.k[2] + x for z in c.taps[0] for y in c.taps[1] for x in c.taps[2]]
