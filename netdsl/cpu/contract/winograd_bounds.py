"""What the drivers of Winograd's algorithm touch: rules that follow `contract.winograd_drivers`."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.cpu.bounds import Claims, Rule
from netdsl.cpu.contract.arguments import (
    ODD_MULTIPLES,
    TILE_CALL_BYTES,
    TILE_SQUARE_BYTES,
    Winograd,
    WinogradWeights,
)
from netdsl.cpu.contract.gemm import tile_rows
from netdsl.cpu.contract.panels import KernelTable
from netdsl.cpu.step import Code


def _edge(c: Claims[Winograd], field: str, name: str) -> int:
    """The edge of the tiles of a kernel, whose name says it."""
    code = c.step.args.links.get(field)
    assert isinstance(code, Code)
    found, _, edge = code.driver.rpartition("_")
    c.need(found == name, f"{field} is {code.driver}")
    return int(edge)


def _winograd(c: Claims[Winograd]) -> None:
    a = c.args
    edge = a.edge
    for kernel in ("input", "result"):
        c.need(_edge(c, f"{kernel}_kernel", f"winograd_{kernel}") == edge, "a kernel is for other tiles")
    c.positive(height=a.height, width=a.width, rows=a.rows, columns=a.columns, tiles=a.tiles)
    c.positive(block_tiles=a.block_tiles, splits=a.splits, chunk=a.chunk, panels=a.panels)
    sizes = (-(-a.rows // edge), -(-a.columns // edge))
    c.need((a.tile_rows, a.tile_columns) == sizes, "tiles leave pixels out, or are empty")
    images, rest = divmod(a.tiles, a.tile_rows * a.tile_columns)
    c.need(rest == 0, "its tiles are no whole images")
    c.reads("a", 4 * a.channels, 0, [(images * a.height * a.width, a.a_pixel)])
    _results(c, images)
    vectors = _vectors(c)
    c.need(a.panel_columns == vectors * a.lanes and a.b_step == 4 * a.panel_columns, "panels are no vectors")
    _weights(c)
    _buffer(c)


def _results(c: Claims[Winograd], images: int) -> None:
    a = c.args
    over = [(images * a.rows * a.columns, a.c_pixel)]
    c.need((a.panels - 1) * a.panel_columns < a.features <= a.panels * a.panel_columns, "panels miss columns")
    c.writes("c", 4 * a.features, 0, over)
    if "residual" in c.step.slots:
        c.reads("residual", 4 * a.features, 0, over)
    if "bias" in c.step.slots:
        c.reads("bias", 4 * a.features)


def _vectors(c: Claims[Winograd]) -> int:
    """The vectors of a panel, and that tiles are none that no micro-kernel has."""
    found = []
    for name, most in (("kernels", c.args.most), ("last_kernels", c.args.last_most)):
        table = c.step.args.links.get(name)
        assert isinstance(table, KernelTable)
        c.need(1 <= most <= tile_rows()[table.vectors], f"there is no tile of {most} rows")
        found.append(table.vectors)
    c.need(found[1] <= found[0], "the last panel is wider than the others")
    return found[0]


def _weights(c: Claims[Winograd]) -> None:
    a = c.args
    c.need(a.b_panel == a.channels * a.b_step, "panels of weights do not follow each other")
    c.reads("b", a.panels * a.b_panel, 0, [((a.edge + 2) ** 2, a.b_position)])


def _buffer(c: Claims[Winograd]) -> None:
    """Tiles lie one behind another in the buffer of the thread, then their products."""
    a = c.args
    start, positions = TILE_CALL_BYTES + TILE_SQUARE_BYTES, (a.edge + 2) ** 2
    c.need((a.chunk_count - 1) * a.chunk < a.channels <= a.chunk_count * a.chunk, "chunks miss channels")
    c.need(a.a_row == [a.v_row * odd for odd in range(1, 2 * ODD_MULTIPLES, 2)], "rows are not multiples")
    whole = -(-a.chunk // a.lanes) * a.lanes * 4
    c.need(whole <= a.v_row and a.block_tiles * a.v_row <= a.v_position, "tiles overlap")
    c.need(positions * a.v_position <= a.m_start, "tiles overlap their products")
    share = -(-a.panels // a.splits) * a.panel_columns * 4
    c.need(share <= a.m_row and a.block_tiles * a.m_row <= a.m_position, "products overlap")
    c.workspace(start + a.m_start + positions * a.m_position)
    c.floats(a.zeros, a.panel_columns)
    c.table(a.one_tap, 1)


def _winograd_weights(c: Claims[WinogradWeights]) -> None:
    a = c.args
    code = c.step.args.links.get("kernel")
    assert isinstance(code, Code)
    edge = int(code.driver.rpartition("_")[2])
    c.reads("source", a.panels * 9 * a.size)
    c.writes("to", a.panels * a.size, 0, [((edge + 2) ** 2, a.position)])


RULES: Mapping[str, Rule] = {"winograd": _winograd, "winograd_weights": _winograd_weights}
