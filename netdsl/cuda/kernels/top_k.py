"""`top_k` on the GPU: the best of parts of a row, then of those; rows are sorted whole where many are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netdsl.backend.axes import elements
from netdsl.backend.step import Slot
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import THREADS, each_element, nest_parameters, space_values
from netdsl.cuda.kernels.keys import Keys, Pairs, Scratch, falling, keys_of, words
from netdsl.cuda.kernels.sort import TILE, sort_rows, sort_tiles
from netdsl.cuda.step import Launch, Parameter
from netdsl.primitives import TopK
from netdsl.schedule import View

FEW = TILE // 8
"""Elements that are taken of parts of a row; more are taken of sorted rows."""


def plan_top(op: TopK, operands: Sequence[View], results: Sequence[View]) -> list[Launch]:
    """A launch for each level of parts, or a sort; TooLarge for more than 2^31 elements of long rows."""
    (x,) = operands
    rows, size = elements(x.shape[:-1]), x.shape[-1]
    if not rows:
        return []
    scratch, out = Scratch(), Slot(results[0], written=True)
    keys = Keys((Parameter("x", to="f32"),), _key, {"x": Slot(x)})
    if size > TILE and op.count > FEW:
        launches, found = sort_rows(keys, rows, size, 32, scratch)
        launches.append(_first(found, rows, size, op.count, out))
    else:
        launches = []
        while size > TILE:
            parts = -(-size // TILE)
            best = Pairs.new(scratch, rows * parts * op.count)
            launches.append(sort_tiles(keys, rows, size, op.count, best.slots("out", written=True)))
            keys, size = keys_of(best), parts * op.count
        launches.append(sort_tiles(keys, rows, size, op.count, {"out": out}))
    title = f"top_k {op.count} of {x.shape[-1]}"
    return [replace(launch, title=f"{title}: {launch.title}", scratch=scratch.size) for launch in launches]


def _key(out: Lines, at: str, place: str) -> tuple[str, str]:
    return falling(out, out.let(f"x[{at}]")), place


def _first(found: Pairs, rows: int, size: int, count: int, result: Slot) -> Launch:
    """The first places of sorted rows, as i64."""
    parameters = (
        *words("places"),
        Parameter("out", to="i64"),
        *nest_parameters(2, 0),
        Parameter("size", "u32"),
    )
    out = Lines()
    with out.kernel(parameters), each_element(out, 2) as (flat, (row, place)):
        out.add(f"out[{flat}] = int64(places[uint64({row}) * uint64(size) + uint64({place})])")
    values = space_values(rows, count) | {"size": size}
    slots = {"places": Slot(found.places), "out": result}
    source = out.source(parameters)
    return Launch("take", source, -(-rows * count // THREADS), THREADS, values, slots)
