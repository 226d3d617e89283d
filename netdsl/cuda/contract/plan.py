"""Plans contractions on the GPU: products of matrices, whose sums are cut in parts where there are few tiles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from netdsl.backend.step import SCRATCH, Slot, start_of
from netdsl.cuda.codegen.nest import MOST, divisor_values
from netdsl.cuda.contract.finish import Box, Ending, ending
from netdsl.cuda.contract.product import Product, part_sums
from netdsl.cuda.contract.roles import Work, works
from netdsl.cuda.contract.tiles import Tile, cut
from netdsl.cuda.step import Launch
from netdsl.ir import Node, TensorType
from netdsl.primitives import Contract
from netdsl.schedule import Layout, Side, View

SUM_THREADS = 256


def accepts(node: Node, side: Side, index: int, view: View) -> bool:
    """Whether `plan_contract` takes a view: pixels may lie anywhere, channels next to each other.

    Kernels and their gradients are dense, and so are the pixels of y where sums run over them.
    """
    op = node.op
    assert isinstance(op, Contract)
    if view.layout is Layout.DENSE or (side == "operand" and index > 1):
        return True
    if side == "operand" and index == 1:
        return op.role == "backward_weights" and view.layout is Layout.ROWS
    kernels = side == "result" and op.role == "backward_weights"
    return not kernels and (view.shape[-1] == 1 or view.strides[-1] == view.item)


def plan_contract(op: Contract, operands: Sequence[View], results: Sequence[View]) -> list[Launch]:
    """The launches of a contraction with its epilogue; LookupError for views of more than 2^31 elements."""
    (result,) = results
    for view in (*operands, result):
        if (found := view.hull().type.size // view.item) > MOST:
            raise LookupError(f"{op.name} over {found:_} elements; a kernel takes {MOST:_} at most")
    if not result.type.size:
        return []
    return [launch for work in works(op, operands, result) for launch in _launches(work)]


def _launches(work: Work) -> Iterator[Launch]:
    """One launch, or those of parts of the sums and of the sum of the parts."""
    tile, parts = cut(work.rows, work.columns, work.terms, work.groups)
    if parts == 1:
        yield _product(work, tile, 1, work.ending)
        return
    channels = work.groups * work.columns
    step = work.rows * channels
    if parts * step > MOST:
        raise LookupError(
            f"{work.title} in {parts} parts of {step:_} elements; a kernel takes {MOST:_} at most"
        )
    sums = View.dense(SCRATCH, TensorType((work.rows, channels)))
    yield _product(work, tile, parts, ending(None, (), sums, Box((0, 0), (1, 1), sums.shape)))
    values = {**work.ending.values, "parts": parts, "part_step": step, **divisor_values("channels", channels)}
    slots = {**work.ending.slots, "sums": Slot(start_of(SCRATCH))}
    blocks = -(-step // SUM_THREADS)
    yield Launch(
        f"{work.title} sum",
        part_sums(work.ending.finish),
        blocks,
        SUM_THREADS,
        values,
        slots,
        4 * parts * step,
    )


def _product(work: Work, tile: Tile, parts: int, end: Ending) -> Launch:
    """The launch of a product of matrices; parts lie one after the other."""
    source = Product(work.a, work.b, tile, end.finish).source()
    step = 0 if parts == 1 else work.rows * work.groups * work.columns
    tiles = {"row_tiles": -(-work.rows // tile.rows), "column_tiles": -(-work.columns // tile.columns)}
    chunks = -(-work.terms // tile.depth)
    values = {**work.values, **end.values, "rows": work.rows, "columns": work.columns, "terms": work.terms}
    values |= {"part_terms": -(-chunks // parts) * tile.depth, "part_step": step}
    for name, value in {**tiles, "groups": work.groups}.items():
        values |= divisor_values(name, value)
    slots = {**end.slots, "a": Slot(work.views[0]), "b": Slot(work.views[1])}
    blocks = math.prod(tiles.values()) * work.groups * parts
    return Launch(work.title, source, blocks, tile.threads, values, slots, 4 * parts * step)
