"""Plans convolutions by Winograd's algorithm: which it fits, what it costs, and how tiles are cut into units."""

from __future__ import annotations

import numpy as np

from netdsl.backend.arguments import Arguments
from netdsl.backend.step import PACKED, SCRATCH, Plan, Slot, start_of
from netdsl.cpu.contract import gemm
from netdsl.cpu.contract.arguments import Winograd, WinogradWeights
from netdsl.cpu.contract.geometry import Correlation
from netdsl.cpu.contract.panels import KernelTable, Panels, Weights
from netdsl.cpu.contract.problem import Problem
from netdsl.cpu.contract.step import winograd_library
from netdsl.cpu.contract.winograd_cut import Cut, Tiles, best_cut, weight_cycles
from netdsl.cpu.step import Code, Step
from netdsl.native import host


class WinogradTiles:
    """Tiles of `edge` x `edge` pixels."""

    def __init__(self, edge: int) -> None:
        self.edge = edge

    def applies(self, problem: Problem) -> bool:
        """Whether it is a dense 3x3 convolution at distance 1, with a vector of channels on both sides."""
        if problem.options.exact or problem.role == "backward_weights" or len(problem.correlations) != 1:
            return False
        (c,) = problem.correlations
        return c.groups == 1 and min(c.channels, c.columns) >= host.lanes() and _is_three_by_three(c)

    def cost(self, problem: Problem) -> float:
        """Cycles of one thread; those of the weights count where they change from run to run."""
        tiles = self._tiles(problem)
        cycles = best_cut(tiles, 1, host.lanes()).cycles
        return cycles if problem.options.fixed else cycles + weight_cycles(tiles)

    def plan(self, problem: Problem) -> Plan[Step]:
        """The step, and those of the weights: panels of their taps, which become panels of positions."""
        (c,) = problem.correlations
        tiles = self._tiles(problem)
        cut = best_cut(tiles, problem.options.threads, host.lanes())
        title = f"{problem.geometry.title(problem.role)} winograd {self.edge}x{self.edge}"
        weights = Weights(problem.geometry, problem.role, problem.operands[1], SCRATCH)
        weights.add(c, cut.panels)
        pack = (
            *weights.steps(),
            _weights_step(title.replace("contract", "transform weights of"), tiles, cut.panels),
        )
        units = -(-tiles.count // cut.tiles) * cut.splits
        step = Step(title, _code("winograd"), _block(problem, c, tiles, cut), units=units)
        return Plan((step,), pack, tiles.positions * _position_bytes(tiles, cut.panels))

    def _tiles(self, problem: Problem) -> Tiles:
        (c,) = problem.correlations
        return Tiles(self.edge, c.source[0], c.count[1], c.count[2], c.channels, c.columns)


def _is_three_by_three(c: Correlation) -> bool:
    """Whether the taps are three by three neighbours, and pixels of the result follow each other as they do."""
    planes, rows, columns = c.offsets
    flat = planes == (0,) and c.source[1] == c.count[0] == 1
    three = len(rows) == len(columns) == 3 and rows[2] - rows[0] == columns[2] - columns[0] == 2
    return flat and three and c.step == (1, 1, 1) and c.compact


def _code(key: str) -> Code:
    return Code(winograd_library, key)


def _position_bytes(tiles: Tiles, panels: Panels) -> int:
    """The bytes of the weights of a position."""
    return 4 * panels.count * tiles.channels * panels.width


def _weights_step(title: str, tiles: Tiles, panels: Panels) -> Step:
    """Panels of nine taps in scratch memory become panels of positions."""
    block = Arguments(WinogradWeights, panels=panels.count, size=4 * tiles.channels * panels.width)
    block.fill(position=_position_bytes(tiles, panels), kernel=_code(f"winograd_weights_{tiles.edge}"))
    block.fill(source=Slot(start_of(SCRATCH)), to=Slot(start_of(PACKED), written=True))
    return Step(title, _code("winograd_weights"), block, units=panels.count)


def _block(problem: Problem, c: Correlation, tiles: Tiles, cut: Cut) -> Arguments:
    """The argument block."""
    block = Arguments(Winograd, channels=c.channels, features=c.columns, edge=tiles.edge)
    block.fill(height=c.source[2], width=c.source[3], a_pixel=4 * c.width)
    block.fill(origin_y=c.offsets[1][0], origin_x=c.offsets[2][0])
    block.fill(rows=c.count[1], columns=c.count[2], c_pixel=4 * c.pitch)
    block.fill(tiles=tiles.count, tile_rows=tiles.rows, tile_columns=tiles.columns)
    block.fill(a=Slot(problem.operands[0]), b=Slot(start_of(PACKED)), c=Slot(problem.result, written=True))
    block.fill(input_kernel=_code(f"winograd_input_{tiles.edge}"))
    block.fill(result_kernel=_code(f"winograd_result_{tiles.edge}"))
    epilogue = problem.epilogue
    block.fill(low=epilogue.low, high=epilogue.high)
    if epilogue.bias is not None:
        block.fill(bias=Slot(problem.operands[epilogue.bias]))
    if epilogue.residual is not None:
        block.fill(residual=Slot(problem.operands[epilogue.residual]))
    _fill_cut(block, tiles, cut)
    _fill_panels(block, tiles, cut.panels)
    return block


def _fill_cut(block: Arguments, tiles: Tiles, cut: Cut) -> None:
    block.fill(block_tiles=cut.tiles, splits=cut.splits, chunk=cut.chunk)
    block.fill(chunk_count=-(-tiles.channels // cut.chunk), a_row=gemm.a_rows(cut.row))
    block.fill(v_row=cut.row, v_position=cut.position, m_start=tiles.positions * cut.position)
    block.fill(m_row=cut.result_row, m_position=cut.result_position)


def _fill_panels(block: Arguments, tiles: Tiles, panels: Panels) -> None:
    row = 4 * panels.width
    most, last = (gemm.tile_rows()[v] for v in (panels.vectors, panels.ending))
    block.fill(panels=panels.count, panel_columns=panels.width, lanes=panels.lanes, most=most, last_most=last)
    block.fill(kernels=KernelTable(panels.vectors), last_kernels=KernelTable(panels.ending))
    block.fill(b_step=row, b_panel=tiles.channels * row, b_position=_position_bytes(tiles, panels))
    block.fill(zeros=np.zeros(panels.width, np.float32), one_tap=[0])
