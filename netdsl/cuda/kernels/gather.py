"""`gather` on the GPU: a thread for each 8 bytes of the result, or for each element where rows are no whole ones."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.backend.axes import elements
from netdsl.backend.step import Slot, TooLarge
from netdsl.cuda.codegen.lines import Lines
from netdsl.cuda.codegen.nest import MOST, THREADS, each_element, nest_parameters, space_values
from netdsl.cuda.step import Launch, Parameter, Source
from netdsl.ir.types import ITEM_SIZE
from netdsl.primitives import Gather
from netdsl.scalar.operators import Dtype
from netdsl.schedule import View

_ZERO = {"f32": "float32(0.0)", "i64": "int64(0)", "bool": "uint8(0)"}


def plan_gather(op: Gather, operands: Sequence[View], results: Sequence[View]) -> list[Launch]:
    """One launch; TooLarge for a result of more than 2^31 units."""
    (x, index), (y,) = operands, results
    columns, unit = _units(elements(x.shape[op.axis + 1 :]), x, y)
    space = (elements(x.shape[: op.axis]), index.type.size, columns)
    count, size = elements(space), x.shape[op.axis]
    if count > MOST:
        raise TooLarge(f"gather of {count:_} units; a kernel takes {MOST:_} at most")
    if not count:
        return []
    values = space_values(*space) | {"size": size}
    slots = {"x": Slot(x), "index": Slot(index), "out": Slot(y, written=True)}
    title = f"gather {index.type.size} of {size} x {elements(x.shape[op.axis + 1 :])}"
    return [Launch(title, _source(unit), -(-count // THREADS), THREADS, values, slots)]


def _units(columns: int, x: View, y: View) -> tuple[int, Dtype]:
    """How many units a row of elements is, and the type that they are copied as."""
    wide = ITEM_SIZE["i64"]
    whole = columns * x.item % wide == 0 and x.offset % wide == 0 and y.offset % wide == 0
    return (columns * x.item // wide, "i64") if whole else (columns, x.type.dtype)


def _source(unit: Dtype) -> Source:
    pointers = (Parameter("x", to=unit), Parameter("index", to="i64"), Parameter("out", to=unit))
    parameters = (*pointers, *nest_parameters(3, 0), Parameter("size", "i64"))
    out = Lines()
    with out.kernel(parameters), each_element(out, 3) as (flat, (outer, place, column)):
        # A negative index is a large one without its sign.
        out.write(f"""
            row = index[{place}]
            value = {_ZERO[unit]}
            if uint64(row) < uint64(size):
                value = x[(int64({outer}) * size + row) * int64(size2) + int64({column})]
            out[{flat}] = value
        """)
    return out.source(parameters)
