"""What a scalar expression costs per element: what the fusing passes weigh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from netdsl.scalar import Binary, Expr, Index, Unary, Uniform
from netdsl.scalar.walk import children

#: Operations worth one addition are not listed.  The numbers are rounded from vector kernels: a division or a
#: square root has a quarter of the throughput of an addition or less, the others are polynomials.
_COSTS: Mapping[str, int] = {
    "stop_gradient": 0,
    "div": 4,
    "sqrt": 4,
    "floordiv": 6,
    "mod": 6,
    "exp": 16,
    "expm1": 20,
    "log": 20,
    "log1p": 20,
    "sin": 20,
    "cos": 20,
    "tanh": 20,
    "sigmoid": 20,
    "erf": 24,
    "pow": 40,
    "uniform": 80,
}
_EXPENSIVE = 10


@dataclass(frozen=True, slots=True)
class Facts:
    """What a pass wants to know of an expression.

    `cost` counts additions per element; `size` counts operations and leaves of the tree written out, where a
    shared part counts at each use, so that text and hashes of what passes write stay short; `expensive` names
    a costly function in it; `placed` says whether it reads coordinates or random numbers, whose meaning hangs
    on the iteration space.
    """

    cost: int
    size: int
    expensive: str | None
    placed: bool


@lru_cache(maxsize=8192)
def facts(e: Expr) -> Facts:
    """Measure an expression, in time linear in its distinct parts."""
    sizes: dict[int, int] = {}
    cost, expensive, placed = 0, None, False
    stack = [e]
    while stack:
        x = stack[-1]
        if id(x) in sizes:
            stack.pop()
            continue
        kids = children(x)
        missing = [k for k in kids if id(k) not in sizes]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        sizes[id(x)] = 1 + sum(sizes[id(k)] for k in kids)
        placed = placed or isinstance(x, (Index, Uniform))
        own = _own_cost(x, bool(kids))
        cost += own
        if own >= _EXPENSIVE:
            expensive = _name(x)
    return Facts(cost, sizes[id(e)], expensive, placed)


def _own_cost(x: Expr, has_operands: bool) -> int:
    return _COSTS.get(_name(x), 1) if has_operands else 0


def _name(x: Expr) -> str:
    if isinstance(x, (Unary, Binary)):
        return x.op
    return "uniform" if isinstance(x, Uniform) else "where"
