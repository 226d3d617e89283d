"""The first weights of a program."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from numpy.typing import NDArray

from netdsl import machine
from netdsl.ir import Node
from netdsl.ops.initializers import initialize

# Below so many weights threads cost more than they draw in their time.
FEW = 100_000


def draw_weights(leaves: Iterable[Node], seed: int, put: Callable[[str, NDArray[Any]], None]) -> None:
    """Draw `param` and `state` leaves by their initialisers, and hand each to `put`, such as `program.set`.

    They are drawn side by side on the processors of this process: NumPy draws outside of Python's lock.  Each leaf
    has a key of its own, so the bits are those of `initialize` whatever the number of processors, and no more leaves
    than these are held at a time.
    """
    nodes = list(leaves)

    def draw(node: Node) -> None:
        put(node.id, initialize(node, seed))

    if sum(n.types[0].size for n in nodes) < FEW or machine.processors() == 1:
        for node in nodes:
            draw(node)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(machine.processors(), thread_name_prefix="netdsl-weights") as pool:
        list(pool.map(draw, nodes))
