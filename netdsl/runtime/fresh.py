"""The first weights of a program."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from netdsl import machine
from netdsl.ir import Node
from netdsl.ops.initializers import initialize

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

# Below so many weights a thread costs more than it draws in its time.
FEW = 10_000


def draw_weights(leaves: Iterable[Node], seed: int, put: Callable[[str, NDArray[Any]], None]) -> None:
    """Draw `param` and `state` leaves by their initialisers, and hand each to `put`, such as `program.set`.

    Large ones are drawn side by side on the processors of this process: NumPy draws outside of Python's lock.  Each
    leaf has a key of its own, so the bits are those of `initialize` whatever the number of processors, and few
    leaves are held at a time.
    """

    def draw(node: Node) -> None:
        put(node.id, initialize(node, seed))

    few = FEW if machine.processors() > 1 else math.inf
    small: list[Node] = []
    large: list[Node] = []
    for node in leaves:
        (small if node.types[0].size < few else large).append(node)
    with _pool() if large else nullcontext() as pool:
        drawn = pool.map(draw, large) if pool is not None else ()
        for node in small:
            draw(node)
        list(drawn)  # raises what a thread has raised


def _pool() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(machine.processors(), thread_name_prefix="netdsl-weights")
