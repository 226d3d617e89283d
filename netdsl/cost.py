"""The one cost model: what scalar expressions, primitives, ops and graphs cost.

*MACs* are the multiply-adds of contractions; *FLOPs* are 2 for each of them and 1 for every other operation on
floats.  Both are exact integers, those of an op added up over the primitives that it expands to in inference.
*Work* is in additions that take as long: what passes and planners weigh.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from netdsl.arrays import Array
from netdsl.ir import Graph, Node, Op, TensorType, Value
from netdsl.ops.base import LibraryOp
from netdsl.primitives import (
    Contract,
    Input,
    Map,
    NonMaxSuppression,
    PrimitiveBuilder,
    Reduce,
    ReduceWindow,
    ReduceWindowGrad,
    RoiReduce,
    RoiReduceGrad,
    ScatterAdd,
    TopK,
)
from netdsl.primitives.leaf import learns
from netdsl.primitives.map import common_shape
from netdsl.scalar import Arg, Binary, Expr, Index, Lit, Unary, Uniform, Where, dtype_of, walk
from netdsl.scalar.operators import FIXED, Dtype
from netdsl.scalar.walk import children, rebuild

# --- work of scalar expressions ----------------------------------------------------------------------------------

#: Operations worth one addition are not listed.  The numbers are rounded from the time that vector kernels take.
_WORK: Mapping[str, int] = {
    **dict.fromkeys(FIXED, 0),
    "div": 4,
    "sqrt": 4,
    "floordiv": 6,
    "mod": 6,
    "exp": 16,
    "expm1": 16,
    "tanh": 16,
    "uniform": 16,
    "sigmoid": 20,
    "log": 24,
    "log1p": 24,
    "erf": 32,
    "sin": 60,
    "cos": 60,
    "pow": 60,
}
_EXPENSIVE = 10


def operation_work(name: str) -> int:
    """What an operation on scalars costs, by its name, in additions."""
    return _WORK.get(name, 1)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a pass wants to know of an expression.

    `work` counts additions per element; `size` counts operations and leaves of the tree written out, where a
    shared part counts at each use, so that text and hashes of what passes write stay short; `expensive` names
    a costly function in it; `placed` says whether it reads coordinates or random numbers, whose meaning hangs
    on the iteration space.
    """

    work: int
    size: int
    expensive: str | None
    placed: bool


@lru_cache(maxsize=8192)
def facts(e: Expr) -> Facts:
    """Measure an expression, in time linear in its distinct parts."""
    sizes: dict[int, int] = {}
    work, expensive, placed = 0, None, False
    for x in walk(e):
        kids = children(x)
        sizes[id(x)] = 1 + sum(sizes[id(k)] for k in kids)
        placed = placed or isinstance(x, (Index, Uniform))
        own = operation_work(_name(x)) if kids else 0
        work += own
        if own >= _EXPENSIVE:
            expensive = _name(x)
    return Facts(work, sizes[id(e)], expensive, placed)


def _name(x: Expr) -> str:
    if isinstance(x, (Unary, Binary)):
        return x.op
    return "uniform" if isinstance(x, Uniform) else "where"


# --- operations on floats ----------------------------------------------------------------------------------------


@lru_cache(maxsize=8192)
def operations(exprs: tuple[Expr, ...], operands: tuple[Dtype | None, ...]) -> int:
    """How many distinct operations on floats expressions have, over operands of these types; None: constants.

    What depends on coordinates and constants alone is the same for every sample, and choosing by it is no operation;
    neither are casts and what is done to integers and conditions.
    """
    types = [t or "f32" for t in operands]
    found: dict[Expr, tuple[Dtype, bool]] = {}
    count = 0
    for x in (x for e in exprs for x in walk(e) if x not in found):
        kids = [found[k] for k in children(x)]
        # The rule of this node alone: over operands that have the types of its kids.
        alone = rebuild(x, [Arg(k) for k in range(len(kids))]) if kids else x
        dtype = dtype_of(alone, [t for t, _ in kids] if kids else types)
        varies = any(v for _, v in kids) or isinstance(x, Uniform)
        if isinstance(x, Arg):
            varies = operands[x.index] is not None
        elif kids and varies and not (isinstance(x, Unary) and x.op in ("float", "int", *FIXED)):
            chosen = kids[0][1] if isinstance(x, Where) else True
            count += chosen and "f32" in (dtype, *(t for t, _ in kids))
        found[x] = dtype, varies
    return count


def _without_factor(e: Expr) -> Expr:
    """The terms of a sum without a number that all are multiplied by, which could wait for the sum: averages."""
    while isinstance(e, Binary) and e.op == "mul" and isinstance(e.a, Lit) != isinstance(e.b, Lit):
        e = e.b if isinstance(e.a, Lit) else e.a
    return e


# --- primitives --------------------------------------------------------------------------------------------------


def primitive_macs(node: Node, operands: Sequence[TensorType]) -> int:
    """Multiply-adds of a primitive; taps that lie in padding count."""
    if not isinstance(node.op, Contract):
        return 0
    # y is the operand, or the result, that each tap of the kernel w is used once for.
    if node.op.role == "backward_weights":
        w, y = node.types[0], operands[1]
    else:
        w, y = operands[1], node.types[0] if node.op.role == "forward" else operands[0]
    return y.size * math.prod(w.shape[:-1])


def primitive_flops(node: Node, operands: Sequence[TensorType], constant: Collection[Value] = ()) -> int:
    """Operations on floats of a primitive; `constant` has the operands that are the same for every sample.

    Sums and maxima count one for each term; cells in padding are cells.
    """
    dtypes = tuple(None if v in constant else t.dtype for v, t in zip(node.inputs, operands, strict=True))
    (result, *_), op = node.types, node.op
    match op:
        case Map():
            return result.size * operations(op.exprs, dtypes)
        case Reduce():
            terms = _without_factor(op.expr) if op.kind == "sum" else op.expr
            each = operations((terms,), dtypes) + (result.dtype == "f32")
            return math.prod(common_shape(operands, op.shape)) * each
        case Contract():
            after = operations((op.epilogue,), ("f32", *dtypes[2:])) if op.epilogue is not None else 0
            return 2 * primitive_macs(node, operands) + result.size * after
        case ReduceWindow():
            return result.size * math.prod(op.size)
        case ReduceWindowGrad():  # a maximum is looked for again
            return operands[-1].size * math.prod(op.size) * (2 if op.kind == "max" else 1)
        case RoiReduce():  # as if every cell of the map were in one cell of each box
            return math.prod(operands[0].shape[:3]) * result.shape[1] * result.shape[-1]
        case RoiReduceGrad():
            return math.prod(result.shape[:3]) * operands[2].shape[1] * operands[2].shape[-1]
        case NonMaxSuppression():  # about 16 for each pair of a box that is kept and any other
            return 16 * op.count * operands[1].shape[0] * operands[1].shape[2]
        case TopK() | ScatterAdd():  # a comparison each, more where the order is rising and for the sort
            return operands[0].size
    return 0


def primitive_work(node: Node, operands: Sequence[TensorType]) -> int:
    """Work in additions that take as long: one for a multiply-add, more for functions and divisions."""
    (result, *_), op = node.types, node.op
    match op:
        case Map():
            return result.size * sum(facts(e).work for e in op.exprs)
        case Reduce():
            return math.prod(common_shape(operands, op.shape)) * (facts(op.expr).work + 1)
        case Contract():
            after = facts(op.epilogue).work if op.epilogue is not None else 0
            return primitive_macs(node, operands) + result.size * after
    return primitive_flops(node, operands)


# --- ops ---------------------------------------------------------------------------------------------------------


class _Written(PrimitiveBuilder):
    """An op written out in inference, over operands of given types; constant arrays are never made."""

    def __init__(self, op: LibraryOp, types: Sequence[TensorType]) -> None:
        super().__init__()
        self.constant: set[Value] = set()
        self._results = op.expand(self, *(self.add1(Input(t)) for t in types))

    def add(self, op: Op, *inputs: Value, **place: Any) -> tuple[Value, ...]:
        results = super().add(op, *inputs, **place)
        if all(v in self.constant for v in inputs) and not isinstance(op, Input):
            self.constant.update(results)
        return results

    def table(self, t: TensorType, make: Callable[[], Array]) -> Value:
        """A leaf of the type alone."""
        value = self.add1(Input(t))
        self.constant.add(value)
        return value

    def needed(self) -> Iterator[tuple[Node, list[TensorType]]]:
        """The nodes that the results are made of, with the types of their operands."""
        wanted = {v.node for v in self._results}
        for node in reversed(self.nodes.values()):
            if node.id in wanted:
                wanted |= {v.node for v in node.inputs}
                yield node, [self.type(v) for v in node.inputs]


@dataclass(frozen=True, slots=True)
class Cost:
    """Multiply-adds, and floating-point operations with two for each of these."""

    macs: int
    flops: int


@lru_cache(maxsize=4096)
def cost_of(op: LibraryOp, *types: TensorType) -> Cost:
    """What an op costs in inference, over operands and weights of these types."""
    written = _Written(op, types)
    nodes = list(written.needed())
    macs = sum(primitive_macs(*found) for found in nodes)
    flops = op.published_flops(*types)
    if flops is None:
        flops = sum(primitive_flops(*found, written.constant) for found in nodes)
    return Cost(macs, flops)


# --- graphs ------------------------------------------------------------------------------------------------------


def nbytes(types: Iterable[TensorType]) -> int:
    """Bytes of tensors together."""
    return sum(t.nbytes for t in types)


def count_params(graph: Graph) -> int:
    """Weights trained by gradient, frozen ones included, shared ones once; running statistics are not."""
    return sum(n.types[0].size for n in graph.leaves("param"))


def count_trainable(graph: Graph) -> int:
    """Weights trained by gradient, frozen ones left out."""
    return sum(n.types[0].size for n in graph.leaves("param") if learns(n.op))


def count_macs(graph: Graph) -> int:
    """Multiply-adds in inference, of all samples that the graph is for."""
    return sum(cost.macs for cost in _costs(graph))


def count_flops(graph: Graph) -> int:
    """Floating-point operations in inference, of all samples that the graph is for."""
    return sum(cost.flops for cost in _costs(graph))


def _costs(graph: Graph) -> Iterator[Cost]:
    for node in graph:
        if isinstance(node.op, LibraryOp):
            yield cost_of(node.op, *(graph.type(v) for v in node.inputs))
