"""Plans contractions on the GPU: products of matrices, whose sums are cut in parts where there are few tiles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from netdsl.backend.step import Slot, TooLarge
from netdsl.cuda.codegen.nest import MOST, divisor_values
from netdsl.cuda.contract.call import Call
from netdsl.cuda.contract.depthwise import is_depthwise, plan_depthwise
from netdsl.cuda.contract.finish import Ending
from netdsl.cuda.contract.product import Product
from netdsl.cuda.contract.roles import Work, works
from netdsl.cuda.contract.sums import part_sums, partial
from netdsl.cuda.contract.tiles import Tile, cut
from netdsl.cuda.step import Launch
from netdsl.ir import Node
from netdsl.primitives import Contract
from netdsl.schedule import Layout, Side, View


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
    """The launches of a contraction with its epilogue; TooLarge for views of more than 2^31 elements.

    Every kernel rounds the two factors to `op.precision`, with tensor cores or without, and adds up in float32.
    """
    (result,) = results
    for view in (*operands, result):
        if (found := view.hull().type.size // view.item) > MOST:
            raise TooLarge(f"{op.name} over {found:_} elements; a kernel takes {MOST:_} at most")
    if not result.type.size:
        return []
    call = Call(op, tuple(operands), result)
    if is_depthwise(call):
        return plan_depthwise(call)
    return [launch for work in works(call) for launch in _launches(call, work)]


def _launches(call: Call, work: Work) -> Iterator[Launch]:
    """One launch, or those of parts of the sums and of the sum of the parts."""
    groups = call.op.groups
    tile, parts = cut(work.rows, work.columns, work.terms, groups, call.op.precision)
    if parts == 1:
        yield _product(call, work, tile, 1, work.ending)
        return
    channels = groups * work.columns
    yield _product(call, work, tile, parts, partial(call.title, work.rows, channels, work.columns, parts))
    yield part_sums(call.title, work.ending, work.rows, channels, parts)


def _product(call: Call, work: Work, tile: Tile, parts: int, end: Ending) -> Launch:
    """The launch of a product of matrices; parts lie one after the other."""
    source = Product(work.a, work.b, tile, end.finish, call.op.precision).source()
    groups = call.op.groups
    step = 0 if parts == 1 else work.rows * groups * work.columns
    tiles = {"row_tiles": -(-work.rows // tile.rows), "column_tiles": -(-work.columns // tile.columns)}
    chunks = -(-work.terms // tile.depth)
    values = {**work.values, **end.values, "rows": work.rows, "columns": work.columns, "terms": work.terms}
    values |= {"part_terms": -(-chunks // parts) * tile.depth, "part_step": step}
    for name, value in {**tiles, "groups": groups}.items():
        values |= divisor_values(name, value)
    slots = {**end.slots, "a": Slot(work.views[0]), "b": Slot(work.views[1])}
    blocks = math.prod(tiles.values()) * groups * parts
    return Launch(call.title, source, blocks, tile.threads, values, slots, 4 * parts * step)
