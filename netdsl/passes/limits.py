"""What the kernels of a device can take in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netdsl.cost import facts
from netdsl.ir import TensorType
from netdsl.passes.body import Body
from netdsl.primitives import Contract
from netdsl.primitives.epilogue import match_epilogue


@dataclass(frozen=True)
class Limits:
    """How far passes may fuse; each target has its own.

    `max_size` bounds the operations and leaves of all expressions of a node, written out, `max_operands` its operands
    and results; `epilogues` are the roles of contractions that take an epilogue.
    """

    max_size: int = 160
    max_operands: int = 12
    epilogues: tuple[str, ...] = ("forward", "backward_data")

    def fuses(self, op: Contract, operands: Sequence[TensorType], result: TensorType) -> bool:
        """Whether the kernel computes its epilogue while it stores, without a pass over the result of its own."""
        return match_epilogue(op.epilogue, operands, result)[1] is None

    def no_epilogue(self, op: Contract) -> str | None:
        """Why a contraction takes no epilogue, or None."""
        if op.role in self.epilogues:
            return None
        return f"the device adds no epilogue in role {op.role}"

    def oversize(self, body: Body, results: int) -> str | None:
        """Why a fused body would be too large, or None."""
        size = sum(facts(e).size for e in body.exprs)
        if size > self.max_size:
            return f"too large: {size} operations and operands, the limit is {self.max_size}"
        if (count := len(body.operands) + results) > self.max_operands:
            return f"too many tensors: {count}, the limit is {self.max_operands}"
        return None


DEFAULT = Limits()
